//! The dashboard and the alert rules of `deploy/observability/`: what they ask for is what a real gateway exports.

#![expect(clippy::indexing_slicing, reason = "a JSON or YAML value that is not there is null")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use egress_lab::envoy::Options;
use egress_lab::filter::FailurePolicy;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::paths;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_tests::prometheus::{await_sum, page};
use egress_tests::rig::Rig;
use egress_tests::{audit, suite, tests};
use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::{Value, json};

/// Labels that whoever scrapes adds.
const SCRAPED: [&str; 1] = ["instance"];

fn main() -> ExitCode {
    suite::run(
        start,
        tests![
            every_alert_asks_for_what_there_is,
            every_panel_asks_for_what_there_is,
            a_wrong_name_is_noticed
        ],
    )
}

/// What a gateway exports: labels and their values by metric, and a line of its audit log.
struct Exported {
    metrics: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    line: Value,
}

fn start() -> Result<Exported> {
    let mut wasm = Wasm::new(paths::filter_wasm()?, &json!({}));
    wasm.failure_policy = FailurePolicy::FailReload;
    let listeners = vec![
        Listener::new(Kind::Mtls80, Filter::Wasm(wasm.clone())),
        Listener::new(Kind::Mtls443, Filter::Wasm(wasm)),
    ];
    let mut rig = Rig::of(Shape::new(listeners), &["a/x"], &Options::default())?;
    let mark = audit::mark(rig.envoy());
    rig.policy(json!({"policies": [
        {"name": "none"}, {"name": "soon", "namespace": "a", "action": "DENY", "mode": "DRY_RUN", "rules": [{}]}]}))?;
    ensure!(rig.status("a/x", "http://www.example.com/")? == 403);
    rig.policy(json!({"defaultAction": "ALLOW", "policies": [
        {"name": "soon", "namespace": "a", "action": "DENY", "mode": "DRY_RUN", "rules": [{}]}]}))?;
    ensure!(rig.status("a/x", "http://www.example.com/")? == 200);
    ensure!(matches!(rig.mesh_mut().gateway_mut().set_policy_text("{")?, Update::Rejected(_)));
    await_sum(rig.envoy(), "egress_authz_decisions", &[("verdict", "would_deny")], 1.0)?;
    await_sum(rig.envoy(), "egress_authz_policies", &[("plugin", "mtls80")], 1.0)?;
    let mut metrics = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
    for sample in page(rig.envoy())? {
        let labels = metrics.entry(sample.name).or_default();
        for (label, value) in sample.labels {
            labels.entry(label).or_default().insert(value);
        }
    }
    let line = audit::wait(rig.envoy(), mark, |line| line["verdict"] == "deny")?;
    Ok(Exported { metrics, line })
}

/// All selectors and groupings of an expression.
#[derive(Default)]
struct Asked {
    selectors: Vec<VectorSelector>,
    groupings: Vec<String>,
}

impl ExprVisitor for Asked {
    type Error = anyhow::Error;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool> {
        match expr {
            Expr::VectorSelector(selector) => self.selectors.push(selector.clone()),
            Expr::MatrixSelector(matrix) => self.selectors.push(matrix.vs.clone()),
            Expr::Aggregate(aggregate) => {
                if let Some(LabelModifier::Include(labels)) = &aggregate.modifier {
                    self.groupings.extend(labels.labels.iter().cloned());
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

/// Grafana's own variables, as some value that fits.
fn without_variables(expr: &str) -> String {
    expr.replace("$__rate_interval", "5m")
        .replace("$__range", "1h")
        .replace("$namespace", ".*")
        .replace("$gateway", "gateway")
}

fn check(exported: &Exported, expr: &str) -> Result<()> {
    let parsed =
        parser::parse(&without_variables(expr)).map_err(|error| anyhow::anyhow!("{error}: {expr}"))?;
    let mut asked = Asked::default();
    walk_expr(&mut asked, &parsed)?;
    ensure!(!asked.selectors.is_empty(), "it asks for nothing: {expr}");
    let mut known = BTreeSet::new();
    for selector in &asked.selectors {
        let found = metrics_of(exported, selector)?;
        ensure!(!found.is_empty(), "no gateway exports what {selector} asks for");
        for metric in &found {
            known.extend(metric.keys().map(String::as_str));
        }
        for matcher in selector.matchers.matchers.iter().filter(|matcher| matcher.name != "__name__") {
            let values: Vec<_> =
                found.iter().filter_map(|metric| metric.get(&matcher.name)).flatten().collect();
            ensure!(!values.is_empty(), "{selector}: no label {}", matcher.name);
            // The words of reasons are those of docs/language.md#reasons; a verdict is one that was seen.
            if matcher.name == "verdict" && matches!(matcher.op, MatchOp::Equal) {
                let words = ["allow", "deny", "would_allow", "would_deny"];
                ensure!(words.contains(&matcher.value.as_str()), "{selector}: no verdict {}", matcher.value);
            }
            if matcher.name == "policy" {
                for word in matcher.value.split('|').filter(|word| *word != "other") {
                    ensure!(is_reason(word)?, "{selector}: no reason {word}");
                }
            }
        }
    }
    for label in &asked.groupings {
        ensure!(
            known.contains(label.as_str()) || SCRAPED.contains(&label.as_str()),
            "{expr}: no label {label}"
        );
    }
    Ok(())
}

/// A reason as the core writes it.
fn is_reason(word: &str) -> Result<bool> {
    let source = fs::read_to_string(paths::repo_dir()?.join("policy/src/verdict/reason.rs"))?;
    Ok(source.contains(&format!("=> \"{word}\"")))
}

type Labels = BTreeMap<String, BTreeSet<String>>;

fn metrics_of<'e>(exported: &'e Exported, selector: &VectorSelector) -> Result<Vec<&'e Labels>> {
    if let Some(name) = &selector.name {
        return Ok(exported.metrics.get(name).into_iter().collect());
    }
    let by_name = selector.matchers.matchers.iter().find(|matcher| matcher.name == "__name__");
    let Some(MatchOp::Re(expression)) = by_name.map(|matcher| &matcher.op) else {
        bail!("{selector} asks for no name")
    };
    Ok(exported
        .metrics
        .iter()
        .filter(|(name, _)| expression.is_match(name))
        .map(|(_, labels)| labels)
        .collect())
}

fn read(name: &str) -> Result<String> {
    let path = paths::repo_dir()?.join("deploy/observability").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn every_alert_asks_for_what_there_is(exported: &mut Exported) -> Result<()> {
    let rules: Value = yaml_serde::from_str(&read("alerts.yaml")?)?;
    let rules = rules.pointer("/groups/0/rules").and_then(Value::as_array).context("no rules")?;
    ensure!(rules.len() >= 8, "{} rules", rules.len());
    for rule in rules {
        let name = rule["alert"].as_str().context("no name")?;
        check(exported, rule["expr"].as_str().context("no expr")?).with_context(|| name.to_owned())?;
        for field in ["summary", "description"] {
            ensure!(rule["annotations"][field].is_string(), "{name} has no {field}");
        }
        ensure!(rule["labels"]["severity"].is_string(), "{name} has no severity");
    }
    Ok(())
}

fn every_panel_asks_for_what_there_is(exported: &mut Exported) -> Result<()> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut asked = String::new();
    for panel in panels {
        let title = panel["title"].as_str().context("no title")?;
        for target in panel["targets"].as_array().context("no targets")? {
            let expr = target["expr"].as_str().context("no expr")?;
            match target["datasource"]["type"].as_str() {
                Some("prometheus") => check(exported, expr).with_context(|| title.to_owned())?,
                Some("loki") => check_log_query(exported, expr).with_context(|| title.to_owned())?,
                other => bail!("{title}: {other:?}"),
            }
            asked.push_str(expr);
        }
    }
    // Everything that operators are promised is on it.
    for part in [
        "by (namespace)",
        "by (policy)",
        "host",
        "would_deny",
        "policies_expiring",
        "vm_reload",
        "config_info",
        "config_fail",
    ] {
        ensure!(asked.contains(part), "no panel for {part}");
    }
    Ok(())
}

/// The fields that a query of audit lines groups by, and the text that it looks for, must be in one.
fn check_log_query(exported: &Exported, query: &str) -> Result<()> {
    let (_, rest) = query.split_once("by (").context("it groups by nothing")?;
    let (fields, _) = rest.split_once(')').context("no end")?;
    for field in fields.split(',').map(str::trim) {
        ensure!(exported.line.get(field).is_some(), "an audit line has no {field}: {}", exported.line);
    }
    let wanted = query.split('`').nth(1).context("it looks for nothing")?;
    ensure!(exported.line.to_string().contains(wanted), "an audit line does not hold {wanted}");
    Ok(())
}

/// A check that finds everything good proves nothing.
fn a_wrong_name_is_noticed(exported: &mut Exported) -> Result<()> {
    for (expr, problem) in [
        ("sum(rate(egress_authz_decision{verdict=\"deny\"}[5m]))", "no gateway exports"),
        ("sum by (host) (rate(egress_authz_decisions[5m]))", "no label host"),
        ("rate(egress_authz_decisions{verdict=\"denied\"}[5m])", "no verdict"),
        ("rate(egress_authz_decisions{policy=\"no_alow_matched\"}[5m])", "no reason"),
        ("{__name__=~\"envoy_wasm_.+_vm_restarts\"}", "no gateway exports"),
        ("sum(rate(egress_authz_decisions[5m])", "unclosed"),
    ] {
        match check(exported, expr) {
            Ok(()) => bail!("{expr} passes"),
            Err(error) => ensure!(format!("{error:#}").contains(problem), "{expr}: {error:#}"),
        }
    }
    Ok(())
}
