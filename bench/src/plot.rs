//! The picture: what a request costs by number of policies.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::measure::as_f64;
use crate::measure::requests::Flatness;
use crate::measure::rivals::{Rivals, SHAPE};
use crate::stats::Estimate;

const SIZE: (u32, u32) = (860, 480);
const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const NATIVE: RGBColor = RGBColor(0xc4, 0x4e, 0x1d);
const WASM: RGBColor = RGBColor(0x77, 0x77, 0x77);

/// Draws what each filter adds to a request, with intervals, on logarithmic axes.
///
/// # Errors
/// When the file cannot be written.
pub fn requests(rivals: &Rivals, shapes: &[Flatness], path: &Path) -> Result<()> {
    draw(rivals, shapes, path).map_err(|error| anyhow!("plotting: {error}"))
}

type Point = (f64, Estimate);

fn draw(rivals: &Rivals, shapes: &[Flatness], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut ours = series(rivals, "ours, ");
    // The largest size comes from the comparison of sizes.
    let largest = shapes.iter().find(|one| one.shape == SHAPE.name()).and_then(|one| one.sizes.last());
    if let Some(size) = largest.filter(|size| ours.iter().all(|(at, _)| *at < as_f64(size.policies))) {
        ours.push((as_f64(size.policies), size.added));
    }
    let native = series(rivals, "native RBAC, ");
    let three = rivals.added.iter().find(|(name, _)| name.contains("three")).map(|(_, added)| *added);
    let top = native.iter().chain(&ours).map(|(_, added)| added.high).fold(20.0, f64::max);

    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("CPU that a filter adds to a request", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((8.0..130_000.0_f64).log_scale(), (0.5..top * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("policies")
        .y_desc("µs")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| if *y < 1.0 { format!("{y:.1}") } else { format!("{y:.0}") })
        .light_line_style(BLACK.mix(0.06))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (points, name, colour) in
        [(&native, "native RBAC, the same policies", NATIVE), (&ours, "egress-authz", OURS)]
    {
        let line = points.iter().map(|(at, added)| (*at, added.median));
        chart
            .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(line.map(|point| Circle::new(point, 3, colour.filled())))?;
        chart.draw_series(points.iter().map(|(at, added)| {
            PathElement::new(vec![(*at, added.low.max(0.5)), (*at, added.high)], colour.stroke_width(1))
        }))?;
    }
    if let Some(three) = three {
        let line = [(8.0, three.median), (130_000.0, three.median)];
        chart
            .draw_series(DashedLineSeries::new(line, 6, 4, WASM.stroke_width(1)))?
            .label("any wasm with three host calls")
            .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], WASM.stroke_width(1)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE)
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()?;
    Ok(())
}

/// The points whose names begin so and end with their number of policies.
fn series(rivals: &Rivals, prefix: &str) -> Vec<Point> {
    let points = rivals.added.iter().filter_map(|(name, added)| {
        let policies: usize = name.strip_prefix(prefix)?.parse().ok()?;
        Some((as_f64(policies), *added))
    });
    points.collect()
}
