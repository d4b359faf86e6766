//! When is what was applied in force? istiod collects changes and pushes them to each proxy in its own time, so each proxy is
//! asked what it has.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::manifests::Key;
use crate::pod::Pod;

/// How long istiod, agent and Envoy may take together.
const PATIENCE: Duration = Duration::from_secs(30);

/// After a proxy has shown the last of a push it may still be busy with the rest of it.
const REST: Duration = Duration::from_millis(100);

/// Where ECDS resources' names begin.
const EXTENSION: &str = "extensions.istio.io/";

/// An object that is applied last and does nothing: a proxy that knows it knows what was applied before.
pub(crate) fn revision(number: u64) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "mesh-revision", "namespace": "istio-system"},
        "spec": {
            "hosts": [revision_host(number)], "location": "MESH_EXTERNAL", "resolution": "NONE",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        },
    })
}

fn revision_host(number: u64) -> String {
    format!("revision-{number}.mesh.example")
}

/// What the proxies must have in the end.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    revision: u64,
    /// Clusters that routes of the gateways lead to.
    gateway: Vec<String>,
    /// Clusters that routes of the sidecars lead to.
    sidecar: Vec<String>,
    /// The plugins' ECDS names (their end), and configurations.
    plugins: Vec<(String, Value)>,
}

// === impl Expected ===

impl Expected {
    pub(crate) fn of(documents: &[Value], revision: u64) -> Self {
        let mut expected = Self { revision, ..Self::default() };
        for document in documents {
            match document.get("kind").and_then(Value::as_str) {
                Some("VirtualService") => expected.routes(document),
                Some("WasmPlugin") => {
                    expected.plugin(document, "/spec/pluginConfig", "~istio-translated-wasmplugin")
                }
                Some("TrafficExtension") => expected.plugin(document, "/spec/wasm/pluginConfig", ""),
                _ => {}
            }
        }
        expected
    }

    fn routes(&mut self, service: &Value) {
        let ways =
            ["http", "tls", "tcp"].into_iter().filter_map(|way| service.pointer(&format!("/spec/{way}")));
        for route in ways.filter_map(Value::as_array).flatten() {
            let gateways: Vec<&str> = route
                .pointer("/match/0/gateways")
                .or_else(|| service.pointer("/spec/gateways"))
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let text = |place: &str| route.pointer(place).and_then(Value::as_str).unwrap_or_default();
            let port = route.pointer("/route/0/destination/port/number").cloned().unwrap_or_default();
            let subset = text("/route/0/destination/subset");
            let cluster = format!("outbound|{port}|{subset}|{}", text("/route/0/destination/host"));
            if gateways.contains(&"mesh") { &mut self.sidecar } else { &mut self.gateway }.push(cluster);
        }
    }

    fn plugin(&mut self, document: &Value, config: &str, mark: &str) {
        let key = Key::of(document);
        let config = document.pointer(config).cloned().unwrap_or_else(|| json!({}));
        self.plugins.push((format!("/{}.{}{mark}", key.namespace, key.name), config));
    }

    /// Waits for a sidecar.
    pub(crate) fn sidecar(&self, pod: &Pod) -> Result<()> {
        await_that(pod, || {
            let routes = pod.admin("/config_dump?resource=dynamic_route_configs")?;
            if !routes.contains(&revision_host(self.revision)) {
                bail!("the last revision is not there");
            }
            let listeners = listeners(pod)?;
            self.sidecar.iter().try_for_each(|cluster| carries(&[&routes, &listeners], cluster))
        })
    }

    /// Waits for a gateway.
    pub(crate) fn gateway(&self, pod: &Pod) -> Result<()> {
        await_that(pod, || {
            let clusters = pod.admin("/config_dump?resource=dynamic_active_clusters")?;
            if !clusters.contains(&revision_host(self.revision)) {
                bail!("the last revision is not there");
            }
            let listeners = listeners(pod)?;
            let routes = pod.admin("/config_dump?resource=dynamic_route_configs")?;
            self.gateway.iter().try_for_each(|cluster| carries(&[&routes, &listeners], cluster))?;
            self.extensions(pod, &listeners)
        })
    }

    /// Every plugin that a listener asks for is one that was applied, and has its configuration.
    fn extensions(&self, pod: &Pod, listeners: &str) -> Result<()> {
        let asked = extensions_in(listeners)?;
        if asked.is_empty() && !self.plugins.is_empty() {
            bail!("no listener has a plugin");
        }
        let loaded = extensions(pod)?;
        for name in &asked {
            let (_, wanted) = self
                .plugins
                .iter()
                .find(|(end, _)| name.ends_with(end))
                .with_context(|| format!("a listener still has {name}"))?;
            let (_, config) = loaded
                .iter()
                .find(|(other, _)| other == name)
                .with_context(|| format!("{name} is not loaded"))?;
            if !same(config, wanted) {
                bail!("{name} has another configuration: {config}");
            }
        }
        Ok(())
    }
}

/// The ECDS filters that a proxy has loaded: name, and the plugin's configuration (null where it is not one, as where the
/// agent could not fetch the image and put a filter that refuses everything in its place).
///
/// # Errors
/// When the proxy does not answer.
pub fn extensions(pod: &Pod) -> Result<Vec<(String, Value)>> {
    // Asked for by `resource`, Envoy shows those of the HTTP filters or those of the network filters, never both.
    let dump: Value = serde_json::from_str(&pod.admin("/config_dump")?)?;
    let dumps = dump.get("configs").and_then(Value::as_array).into_iter().flatten();
    Ok(dumps
        .filter_map(|dump| dump.get("ecds_filters")?.as_array())
        .flatten()
        .filter_map(|filter| {
            let name = filter.pointer("/ecds_filter/name")?.as_str()?.to_owned();
            let text = filter
                .pointer("/ecds_filter/typed_config/config/configuration/value")
                .and_then(Value::as_str);
            Some((name, text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()))
        })
        .collect())
}

fn listeners(pod: &Pod) -> Result<String> {
    let text = pod.admin("/config_dump?resource=dynamic_listeners")?;
    if text.contains("\"warming_state\"") {
        bail!("a listener is warming");
    }
    Ok(text)
}

fn extensions_in(listeners: &str) -> Result<Vec<String>> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) if text.starts_with(EXTENSION) && !found.contains(text) => {
                found.push(text.clone())
            }
            Value::Array(list) => list.iter().for_each(|entry| collect(entry, found)),
            Value::Object(map) => map
                .iter()
                // What is drained serves nobody new.
                .filter(|(key, _)| *key != "draining_state")
                .for_each(|(_, entry)| collect(entry, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(listeners)?, &mut found);
    Ok(found)
}

fn carries(dumps: &[&String], cluster: &str) -> Result<()> {
    let quoted = format!("\"{cluster}\"");
    if !dumps.iter().any(|dump| dump.contains(&quoted)) {
        bail!("no route leads to {cluster}");
    }
    Ok(())
}

/// Whether two configurations are the same, where every number has become a double.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}

fn await_that(pod: &Pod, condition: impl Fn() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = condition() {
        if Instant::now() > deadline {
            let name = pod.netns().name();
            return Err(error.context(format!("{name} does not have what was applied after {PATIENCE:?}")));
        }
        sleep(Duration::from_millis(30));
    }
    sleep(REST);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_doubles_on_the_way() {
        assert!(same(&json!({"a": [1.0]}), &json!({"a": [1]})));
        assert!(!same(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
    }
}
