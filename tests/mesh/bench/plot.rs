//! The picture: how long a change takes to count, by number of policies.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use serde_json::Value;

const SIZE: (u32, u32) = (860, 420);
const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const NATIVE: RGBColor = RGBColor(0xc4, 0x4e, 0x1d);

/// Draws the median seconds of each engine.
pub(crate) fn draw(results: &Value, path: &Path) -> Result<()> {
    seconds(results, path).map_err(|error| anyhow!("plotting: {error}"))
}

fn points(results: &Value, engine: &str) -> Vec<(f64, f64)> {
    let rows = results.pointer(&format!("/{engine}/changes")).and_then(Value::as_array);
    let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_f64);
    rows.into_iter()
        .flatten()
        .filter_map(|row| Some((number(row, "policies")?, number(row, "seconds_to_verdict_median")?)))
        .collect()
}

fn seconds(results: &Value, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("From `kubectl apply` to the new verdict", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((0.8..150_000.0_f64).log_scale(), 0.0..3.0_f64)?;
    chart
        .configure_mesh()
        .x_desc("policies")
        .y_desc("seconds")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .light_line_style(BLACK.mix(0.06))
        .label_style(("sans-serif", 14))
        .draw()?;
    let lines = [
        ("AuthorizationPolicy", "AuthorizationPolicy, one object each", NATIVE),
        ("egress-authz", "egress-authz, one object; from 50,000 as a bundle", OURS),
    ];
    for (engine, label, colour) in lines {
        let points = points(results, engine);
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE)
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(area.present()?)
}
