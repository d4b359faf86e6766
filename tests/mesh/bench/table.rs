//! The results, as JSON and as a table.

use egress_test_support::median;
use serde_json::{Value, json};

use crate::connections::Cut;
use crate::cost::Cost;
use crate::policies::Engine;

fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Ours => "egress-authz",
        Engine::Native => "AuthorizationPolicy",
    }
}

fn rounded(number: f64) -> Value {
    // What is less than the clock's grain may come out below nothing.
    json!(((number * 100.0).round() / 100.0).max(0.0))
}

/// Puts an engine's results beside the others.
pub(crate) fn keep(results: &mut Value, engine: Engine, cut: &Cut, costs: &[Cost]) {
    let rows: Vec<Value> = costs
        .iter()
        .filter(|cost| cost.engine == engine)
        .map(|cost| {
            json!({
                "policies": cost.policies,
                "seconds_to_verdict_median": rounded(median(&cost.seconds)),
                "seconds_to_verdict_max": rounded(cost.seconds.iter().copied().fold(0.0, f64::max)),
                "seconds_of_kubectl_median": rounded(median(&cost.kubectl)),
                "bytes_pushed": cost.bytes,
                "istiod_cpu_seconds": rounded(cost.istiod),
                "gateway_cpu_seconds": rounded(cost.gateway),
                "envoy_mib": cost.envoy_mib,
                "agent_mib": cost.agent_mib,
            })
        })
        .collect();
    let value = json!({
        "connections": {
            "changes": cut.changes, "allowed": cut.steady, "allowed_cut": cut.steady_cut,
            "refused": cut.flipped, "refused_cut": cut.flipped_cut,
            "last_cut_after_seconds": cut.seconds.map(|seconds| rounded(f64::from(seconds))),
        },
        "changes": rows,
    });
    if let Some(results) = results.as_object_mut() {
        results.insert(name(engine).to_owned(), value);
    }
}

/// For people.
pub(crate) fn text(results: &Value) -> String {
    let mut lines = vec![
        "policies      engine               verdict after (max)   of it kubectl   pushed      istiod CPU  gateway CPU  Envoy    agent".to_owned(),
    ];
    for engine in [Engine::Native, Engine::Ours].map(name) {
        for row in
            results.pointer(&format!("/{engine}/changes")).and_then(Value::as_array).into_iter().flatten()
        {
            let number = |key: &str| row.get(key).and_then(Value::as_f64).unwrap_or_default();
            lines.push(format!(
                "{:>8}      {engine:<20} {:>6.2} s ({:.2} s)       {:>6.2} s        {:>8.0} KB {:>9.2} s {:>10.2} s {:>6.0} MiB {:>4.0} MiB",
                number("policies"),
                number("seconds_to_verdict_median"),
                number("seconds_to_verdict_max"),
                number("seconds_of_kubectl_median"),
                number("bytes_pushed") / 1000.0,
                number("istiod_cpu_seconds"),
                number("gateway_cpu_seconds"),
                number("envoy_mib"),
                number("agent_mib"),
            ));
        }
    }
    for engine in [Engine::Native, Engine::Ours].map(name) {
        let of =
            |key: &str| results.pointer(&format!("/{engine}/connections/{key}")).cloned().unwrap_or_default();
        let when = match of("last_cut_after_seconds") {
            Value::Null => String::new(),
            seconds => format!(" (the last after {seconds} s)"),
        };
        lines.push(format!(
            "{engine}: changes {}; live TLS connections of allowed workloads cut: {} of {}{when}; of refused ones: {} of {}",
            of("changes"),
            of("allowed_cut"),
            of("allowed"),
            of("refused_cut"),
            of("refused"),
        ));
    }
    lines.join("\n")
}
