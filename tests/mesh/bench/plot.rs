//! The picture: how long a change takes to count, by number of policies.

use std::path::Path;

use anyhow::Result;
use egress_bench::plot::{Line, NATIVE, OURS, Picture};
use egress_bench::stats::Estimate;
use serde_json::Value;

/// Draws the median seconds of each engine.
pub(crate) fn draw(results: &Value, path: &Path) -> Result<()> {
    let line = |name, colour, engine| Line { name, colour, points: points(results, engine), is_mark: false };
    let lines = vec![
        line("AuthorizationPolicy, one object each", NATIVE, "AuthorizationPolicy"),
        line("egress-authz, one object; from 50,000 as a bundle", OURS, "egress-authz"),
    ];
    let caption = "From `kubectl apply` to the new verdict";
    Picture { caption, measured: "seconds", policies: 0.8..150_000.0, range: 0.1..10.0, lines }.draw(path)
}

fn points(results: &Value, engine: &str) -> Vec<(f64, Estimate)> {
    let rows = results.pointer(&format!("/{engine}/changes")).and_then(Value::as_array);
    let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_f64);
    let point =
        |row| Some((number(row, "policies")?, Estimate::exact(number(row, "seconds_to_verdict_median")?)));
    rows.into_iter().flatten().filter_map(point).collect()
}
