//! Named cases, by topic. Every case is asked of the engine and of the oracle.

mod audit;
mod dry_run;
mod expiry;
mod fields;
mod guards;
mod hosts;
mod lazy;
mod logic;
mod network;
mod peers;
mod private;
mod steps;
mod tokens;
mod unreadable;
mod waiting;

use crate::oracle;
use crate::support::{Request, Said, engine, said_by};
use serde_json::{Value, json};

/// What engine and oracle say, having checked that they agree.
fn said(config: &Value, request: &Request) -> Said {
    let said = said_by(&engine(config), request);
    assert_eq!(oracle::decide(config, request), said, "the oracle differs: {config:#}\n{request:#?}");
    said
}

/// The verdict.
fn verdict(config: &Value, request: &Request) -> String {
    said(config, request).verdict
}

/// The AUDIT rules that matched.
fn audited(config: &Value, request: &Request) -> Vec<String> {
    said(config, request).audit
}

/// An HTTP configuration of these policies.
fn http_config(policies: &Value) -> Value {
    json!({"policies": policies})
}

/// A NETWORK configuration of these policies.
fn network_config(policies: &Value) -> Value {
    json!({"type": "NETWORK", "policies": policies})
}

/// The same configuration with other settings.
fn with(config: &Value, settings: &Value) -> Value {
    let mut config = config.clone();
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    config
}

/// Mesh-wide, `ALLOW`, one rule with this `to[0].operation`.
fn allow_to(operation: &Value) -> Value {
    json!({"name": "allow", "rules": [{"to": [{"operation": operation}]}]})
}

/// Mesh-wide, `DENY`, one rule with this `to[0].operation`.
fn deny_to(operation: &Value) -> Value {
    json!({"name": "deny", "action": "DENY", "rules": [{"to": [{"operation": operation}]}]})
}

/// Mesh-wide, `ALLOW`, one rule with this `from[0].source`.
fn allow_from(source: &Value) -> Value {
    json!({"name": "allow", "rules": [{"from": [{"source": source}]}]})
}

/// Mesh-wide, `ALLOW`, one rule with this `when[0]`.
fn allow_when(condition: &Value) -> Value {
    json!({"name": "allow", "rules": [{"when": [condition]}]})
}

/// Everything is allowed.
fn allow_all() -> Value {
    json!({"name": "all", "rules": [{}]})
}

const ALLOWED: &str = "allow[ns[*]-policy[allow]-rule[0]]";
const DENIED: &str = "deny[ns[*]-policy[deny]-rule[0]]";
const NO_ALLOW: &str = "deny[no_allow_matched]";

/// Whether the policy `allow` admits: nothing but its match may decide.
fn admits(config: &Value, request: &Request) -> bool {
    match &*verdict(config, request) {
        ALLOWED => true,
        NO_ALLOW => false,
        other => panic!("decided by something else: {other} for {config:#}\n{request:#?}"),
    }
}
