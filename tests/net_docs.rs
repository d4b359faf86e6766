//! `docs/tls.md` shows manifests, reasons and an audit line: they are those of the product.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers too")]

use std::fs;

use egress_lab::paths;
use serde_json::Value;

fn file(path: &str) -> String {
    fs::read_to_string(paths::repo_dir().unwrap().join(path)).unwrap()
}

fn yaml(text: &str) -> Value {
    yaml_serde::from_str(text).unwrap()
}

/// The page's examples in one language.
fn blocks(language: &str) -> Vec<String> {
    let page = file("docs/tls.md");
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn manifest(kind: &str) -> Value {
    blocks("yaml").iter().map(|block| yaml(block)).find(|manifest| manifest["kind"] == kind).unwrap()
}

/// The documents of a file, after the comment that stands above them.
fn documents(path: &str) -> Vec<Value> {
    file(path).split("\n---\n").map(yaml).collect()
}

#[test]
fn the_patch_is_the_one_that_is_shipped() {
    let shipped = documents("deploy/istio/late-dial.yaml");
    assert_eq!(manifest("EnvoyFilter"), *shipped.first().unwrap());
    let patch = "/spec/configPatches/0/patch/value/typed_config";
    let tcp_proxy = manifest("EnvoyFilter").pointer(patch).cloned().unwrap();
    assert_eq!(tcp_proxy["upstream_connect_mode"], "ON_DOWNSTREAM_TLS_HANDSHAKE");
    assert!(tcp_proxy["max_early_data_bytes"].as_u64().unwrap() >= 65_535, "a whole ClientHello");
}

/// One policy for both types: the plugins differ by their type and their ports.
#[test]
fn the_plugins_are_as_the_page_says() {
    let shipped = documents("deploy/istio/wasm-plugins.yaml");
    let of = |kind: &str| shipped.iter().find(|plugin| plugin["spec"]["type"] == kind).unwrap().clone();
    let (http, network) = (of("HTTP"), of("NETWORK"));
    let page = manifest("WasmPlugin");
    for field in ["selector", "type", "phase", "failStrategy", "url", "match"] {
        assert_eq!(page["spec"][field], network["spec"][field], "{field}");
    }
    for plugin in [&http, &network] {
        assert_eq!(plugin["spec"]["pluginConfig"]["type"], plugin["spec"]["type"]);
    }
    // The HTTP plugin names no ports, and so is in every HTTP listener: istiod would compare them with the pod's.
    assert!(http["spec"]["match"].is_null());
    for place in network["spec"]["match"].as_array().unwrap() {
        assert_eq!(place["mode"], "CLIENT");
        assert!(!place["ports"].as_array().unwrap().is_empty());
    }
    let without_type = |plugin: &Value| {
        let mut config = plugin["spec"]["pluginConfig"].as_object().unwrap().clone();
        let _ = config.remove("type");
        config
    };
    assert_eq!(without_type(&http), without_type(&network), "one policy file");
}

#[test]
fn the_reasons_exist() {
    let page = file("docs/tls.md");
    let language = file("docs/language.md");
    let words = [
        "no_allow_matched",
        "sni_mismatch",
        "unauthenticated",
        "identity_pending",
        "route_mismatch",
        "hello_timeout",
        "oversized_hello",
        "malformed_hello",
        "malformed_host",
        "recheck[",
        "wrong_type",
    ];
    for word in words {
        assert!(page.contains(&format!("`{word}")), "{word} is not on the page");
        assert!(language.contains(word), "{word} is no reason");
    }
    let line: Value = serde_json::from_str(blocks("json").first().unwrap()).unwrap();
    assert_eq!(line["reason"], "sni_mismatch");
    let source = file("filter/src/audit.rs");
    for field in line.as_object().unwrap().keys().filter(|field| *field != "type") {
        assert!(source.contains(&format!("    {field}: ")), "the audit line has no {field}");
    }
}
