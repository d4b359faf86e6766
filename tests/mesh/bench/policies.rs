//! The same policies in both languages: each refuses a namespace of its own one host of its own, and one refuses the flipped host.

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Result, anyhow, ensure};
use egress_mesh::manifests::{egressctl, parse};
use egress_mesh_tests::{scratch, set};
use serde_json::{Value, json};

use crate::{Bench, FLIPPED};

/// Whose policies are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// This filter.
    Ours,
    /// Istio's AuthorizationPolicies, which Envoy's RBAC filters enforce.
    Native,
}

/// Objects that one kubectl creates; several work at once, since each holds itself back.
const CHUNK: usize = 1_250;

/// From so many policies on a plugin is applied by the server, because the client's annotation has no room.
const BY_SERVER: usize = 2_000;
/// And from so many on it goes as a bundle.
const AS_BUNDLE: usize = 12_000;

fn native(name: &str, namespace: &str, host: &str) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "istio-system"},
        "spec": {
            "selector": {"matchLabels": {"istio": "egressgateway"}}, "action": "DENY",
            "rules": [{
                "from": [{"source": {"namespaces": [namespace]}}],
                // Without the port Istio would refuse everything on its TCP servers, where it ignores the hosts of a DENY.
                "to": [{"operation": {"hosts": [host, format!("{host}:*")], "ports": ["8080"]}}],
            }],
        },
    })
}

fn ours(name: &str, namespace: &str, host: &str) -> Value {
    json!({
        "name": name, "namespace": namespace, "action": "DENY",
        "rules": [{"to": [{"operation": {"hosts": [host]}}]}],
    })
}

/// A change, ready to be applied.
pub(crate) enum Change {
    /// `kubectl apply -f -`
    Client(Vec<Value>),
    /// `kubectl apply --server-side -f -`
    Server(Vec<Value>),
}

// === impl Change ===

impl Change {
    pub(crate) fn apply(&self, bench: &Bench) -> Result<()> {
        let kubectl = bench.mesh.kubectl();
        match self {
            Self::Client(documents) => kubectl.apply(documents),
            Self::Server(documents) => kubectl.apply_by_server(documents),
        }
        .map(|_| ())
    }
}

/// A native policy about somebody else, who changes from one to the next: TCP servers know its namespace, too.
pub(crate) fn change_of_somebody_else(number: usize) -> Change {
    let mut policy = native("other", &format!("others-{number}"), "elsewhere.example.com");
    if let Some(operation) = policy.pointer_mut("/spec/rules/0").and_then(Value::as_object_mut) {
        operation.remove("to");
    }
    Change::Client(vec![policy])
}

/// The policy that flips: whether the host is refused, or another that nobody asks for.
pub(crate) fn change(bench: &Bench, engine: Engine, policies: usize, refused: bool) -> Result<Change> {
    let host = if refused { FLIPPED } else { "elsewhere.example.com" };
    if engine == Engine::Native {
        return Ok(Change::Client(vec![native("flip", "a", host)]));
    }
    let mut all: Vec<Value> = (1..policies)
        .map(|at| ours(&format!("p{at}"), &format!("team-{at}"), &format!("h{at}.example.com")))
        .collect();
    all.push(ours("flip", "a", host));
    let mut plugins = bench.plugins.clone();
    // At scale one plugin is enough to be measured: a gateway for HTTP.
    plugins.retain(|plugin| policies == 1 || plugin.pointer("/spec/type") == Some(&json!("HTTP")));
    for plugin in &mut plugins {
        set(plugin, "/spec/pluginConfig/policies", json!(all))?;
    }
    if policies < BY_SERVER {
        return Ok(Change::Client(plugins));
    }
    if policies < AS_BUNDLE {
        return Ok(Change::Server(plugins));
    }
    plugins.iter().map(pack).collect::<Result<_>>().map(Change::Server)
}

/// `egressctl pack`
fn pack(plugin: &Value) -> Result<Value> {
    let path = scratch()?.join("plugin.json");
    fs::write(&path, plugin.to_string())?;
    let output = Command::new(egressctl()?).arg("pack").arg(&path).output()?;
    ensure!(output.status.success(), "egressctl pack: {}", String::from_utf8_lossy(&output.stderr));
    parse(&String::from_utf8(output.stdout)?)?.pop().ok_or_else(|| anyhow!("egressctl pack wrote nothing"))
}

/// Brings the number of native policies up to what is wanted, the flipping one not counted among these.
pub(crate) fn fill(bench: &Bench, from: usize, to: usize) -> Result<()> {
    let numbers: Vec<usize> = (from..to).collect();
    thread::scope(|scope| {
        let creations: Vec<_> = numbers
            .chunks(CHUNK)
            .map(|chunk| {
                scope.spawn(move || {
                    let items: Vec<Value> = chunk
                        .iter()
                        .map(|at| {
                            native(&format!("p{at}"), &format!("team-{at}"), &format!("h{at}.example.com"))
                        })
                        .collect();
                    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
                    bench.mesh.kubectl().run_with(&["create", "-f", "-"], &list).map(|_| ())
                })
            })
            .collect();
        creations
            .into_iter()
            .try_for_each(|one| one.join().map_err(|_| anyhow!("creating policies panicked"))?)
    })
}
