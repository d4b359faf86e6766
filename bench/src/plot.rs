//! Pictures: lines over the number of policies, on logarithmic axes.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::measure::as_f64;
use crate::measure::requests::Flatness;
use crate::measure::rivals::{Rivals, SHAPE};
use crate::stats::Estimate;

const SIZE: (u32, u32) = (860, 480);

/// Of this filter.
pub const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
/// Of Envoy's native RBAC.
pub const NATIVE: RGBColor = RGBColor(0xc4, 0x4e, 0x1d);
/// Of this filter, where it is less lucky.
const ANEW: RGBColor = RGBColor(0x7f, 0xb2, 0xdb);
const WASM: RGBColor = RGBColor(0x77, 0x77, 0x77);

/// What is drawn.
#[derive(Debug)]
pub struct Picture<'a> {
    /// Above it.
    pub caption: &'a str,
    /// What is measured, and in which unit.
    pub measured: &'a str,
    /// The numbers of policies that it spans.
    pub policies: Range<f64>,
    /// What is measured spans this.
    pub range: Range<f64>,
    /// The lines, in the order of the legend.
    pub lines: Vec<Line<'a>>,
}

/// A line of it.
#[derive(Debug)]
pub struct Line<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Its colour.
    pub colour: RGBColor,
    /// By number of policies.
    pub points: Vec<(f64, Estimate)>,
    /// Dashed and without dots: something to compare with, that has no number of policies.
    pub is_mark: bool,
}

impl Picture<'_> {
    /// Draws it as SVG.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn draw(&self, path: &Path) -> Result<()> {
        self.try_draw(path).map_err(|error| anyhow!("plotting: {error}"))
    }

    fn try_draw(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.caption, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(self.policies.clone().log_scale(), self.range.clone().log_scale())?;
        chart
            .configure_mesh()
            .x_desc("policies")
            .y_desc(self.measured)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| if *y < 1.0 { format!("{y:.1}") } else { format!("{y:.0}") })
            .light_line_style(BLACK.mix(0.06))
            .label_style(("sans-serif", 14))
            .draw()?;
        for Line { name, colour, points, is_mark } in &self.lines {
            let colour = *colour;
            let line = points.iter().map(|(at, measured)| (*at, measured.median));
            let drawn = if *is_mark {
                chart.draw_series(DashedLineSeries::new(line, 6, 4, colour.stroke_width(1)))?
            } else {
                chart.draw_series(line.clone().map(|point| Circle::new(point, 3, colour.filled())))?;
                chart.draw_series(points.iter().map(|(at, measured)| {
                    let low = measured.low.max(self.range.start);
                    PathElement::new(vec![(*at, low), (*at, measured.high)], colour.stroke_width(1))
                }))?;
                chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            };
            drawn
                .label(*name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
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
}

/// What each filter adds to a request, by number of policies.
///
/// # Errors
/// When the file cannot be written.
pub fn requests(rivals: &Rivals, shapes: &[Flatness], path: &Path) -> Result<()> {
    let native = series(rivals, "native RBAC, ");
    let shape = shapes.iter().find(|one| one.shape == SHAPE.name());
    let anew = shape.iter().flat_map(|shape| &shape.sizes).map(|size| (as_f64(size.policies), size.added));
    let top = native.iter().map(|(_, added)| added.high).fold(20.0, f64::max);
    let policies = 8.0..130_000.0;
    let line = |name, colour, points| Line { name, colour, points, is_mark: false };
    let mut lines = vec![
        line("native RBAC, the same policies", NATIVE, native),
        line("egress-authz, no two requests alike", ANEW, anew.collect()),
        line("egress-authz, the same request again", OURS, series(rivals, "ours, ")),
    ];
    if let Some((_, three)) = rivals.added.iter().find(|(name, _)| name.contains("three")) {
        let points = vec![(policies.start, *three), (policies.end, *three)];
        let name = "any wasm with three host calls";
        lines.push(Line { is_mark: true, ..line(name, WASM, points) });
    }
    let caption = "CPU that a filter adds to a request";
    Picture { caption, measured: "µs", policies, range: 0.5..top * 1.5, lines }.draw(path)
}

/// The points whose names begin so and end with their number of policies.
fn series(rivals: &Rivals, prefix: &str) -> Vec<(f64, Estimate)> {
    let points = rivals.added.iter().filter_map(|(name, added)| {
        let policies: usize = name.strip_prefix(prefix)?.parse().ok()?;
        Some((as_f64(policies), *added))
    });
    points.collect()
}
