//! Every manifest of the repository, against the types that are made from the schemas of Istio and Kubernetes: no key
//! that they do not know, no value that they do not take.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use egress_delivery_tests::egressctl;
use egress_lab::paths::repo_dir;
use k8s_openapi::api;
use kcr_extensions_istio_io::v1alpha1::wasmplugins::WasmPlugin;
use kcr_networking_istio_io::v1::destinationrules::DestinationRule;
use kcr_networking_istio_io::v1::gateways::Gateway;
use kcr_networking_istio_io::v1::serviceentries::ServiceEntry;
use kcr_networking_istio_io::v1::virtualservices::VirtualService;
use kcr_networking_istio_io::v1alpha3::envoyfilters::EnvoyFilter;
use kcr_telemetry_istio_io::v1::telemetries::Telemetry;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Resources for which no package has types yet, as far as ours use them.
mod own {
    use std::collections::BTreeMap;

    use kcr_extensions_istio_io::v1alpha1::wasmplugins as wasm;
    use serde::Deserialize;
    use serde_json::Value;

    type Metadata = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    /// Istio 1.30: what a WasmPlugin is translated into.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read to be checked")]
    pub(crate) struct TrafficExtension {
        api_version: String,
        kind: String,
        metadata: Metadata,
        spec: TrafficExtensionSpec,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read to be checked")]
    struct TrafficExtensionSpec {
        selector: Option<wasm::WasmPluginSelector>,
        target_refs: Option<Vec<wasm::WasmPluginTargetRefs>>,
        phase: Option<wasm::WasmPluginPhase>,
        r#match: Option<Vec<wasm::WasmPluginMatch>>,
        wasm: Wasm,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read to be checked")]
    struct Wasm {
        url: String,
        image_pull_policy: Option<wasm::WasmPluginImagePullPolicy>,
        image_pull_secret: Option<String>,
        r#type: Option<wasm::WasmPluginType>,
        fail_strategy: Option<wasm::WasmPluginFailStrategy>,
        plugin_config: Option<BTreeMap<String, Value>>,
    }

    /// The Gateway API's.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read to be checked")]
    pub(crate) struct Gateway {
        api_version: String,
        kind: String,
        metadata: Metadata,
        spec: GatewaySpec,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read to be checked")]
    struct GatewaySpec {
        gateway_class_name: String,
        listeners: Vec<Listener>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read to be checked")]
    struct Listener {
        name: String,
        port: u16,
        protocol: String,
        allowed_routes: Option<Value>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read to be checked")]
    pub(crate) struct Kustomization {
        api_version: String,
        kind: String,
        pub(crate) resources: Vec<String>,
    }
}

/// Checks one document; says what it is.
fn check(document: &Value) -> Result<String> {
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    match (version, kind) {
        ("extensions.istio.io/v1alpha1", "WasmPlugin") => read::<WasmPlugin>(document),
        ("extensions.istio.io/v1alpha1", "TrafficExtension") => read::<own::TrafficExtension>(document),
        ("networking.istio.io/v1", "DestinationRule") => read::<DestinationRule>(document),
        ("networking.istio.io/v1", "Gateway") => read::<Gateway>(document),
        ("networking.istio.io/v1", "ServiceEntry") => read::<ServiceEntry>(document),
        ("networking.istio.io/v1", "VirtualService") => read::<VirtualService>(document),
        ("networking.istio.io/v1alpha3", "EnvoyFilter") => read::<EnvoyFilter>(document),
        ("telemetry.istio.io/v1", "Telemetry") => read::<Telemetry>(document),
        ("gateway.networking.k8s.io/v1", "Gateway") => read::<own::Gateway>(document),
        ("kustomize.config.k8s.io/v1beta1", "Kustomization") => read::<own::Kustomization>(document),
        ("v1", "Namespace") => read::<api::core::v1::Namespace>(document),
        ("v1", "Service") => read::<api::core::v1::Service>(document),
        ("v1", "ServiceAccount") => read::<api::core::v1::ServiceAccount>(document),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy") => {
            read::<api::admissionregistration::v1::ValidatingAdmissionPolicy>(document)
        }
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding") => {
            read::<api::admissionregistration::v1::ValidatingAdmissionPolicyBinding>(document)
        }
        ("apps/v1", "Deployment") => read::<api::apps::v1::Deployment>(document),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => {
            read::<api::autoscaling::v2::HorizontalPodAutoscaler>(document)
        }
        ("policy/v1", "PodDisruptionBudget") => read::<api::policy::v1::PodDisruptionBudget>(document),
        ("networking.k8s.io/v1", "NetworkPolicy") => read::<api::networking::v1::NetworkPolicy>(document),
        _ => bail!("a kind that this test does not know: {version} {kind}"),
    }
    .with_context(|| format!("{kind} {}", document["metadata"]["name"]))?;
    Ok(kind.to_owned())
}

fn read<T: DeserializeOwned>(document: &Value) -> Result<()> {
    let mut unknown = Vec::new();
    let _: T = serde_ignored::deserialize(document, |path| unknown.push(path.to_string()))?;
    // The types of custom resources are told these two by their place.
    unknown.retain(|path| path != "apiVersion" && path != "kind");
    ensure!(unknown.is_empty(), "the schema does not know {}", unknown.join(", "));
    Ok(())
}

fn documents(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path)?;
    yaml_serde::Deserializer::from_str(&text)
        .map(|document| Ok(Value::deserialize(document)?))
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect()
}

fn yaml_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

/// A folder with what the gateway files of the examples come to.
fn rendered_examples() -> Result<PathBuf> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?.keep();
    for entry in fs::read_dir(repo_dir()?.join("examples/egress"))? {
        let file = entry?.path();
        let output = Command::new(egressctl()?)
            .args(["render", "--workload", "mytest/app=sleep-a:sleep-a"])
            .arg(&file)
            .output()?;
        ensure!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        fs::write(folder.join(file.file_name().context("a file's name")?), output.stdout)?;
    }
    Ok(folder)
}

/// Every manifest; the gateway files beside them are none.
fn manifests() -> Vec<PathBuf> {
    let repository = repo_dir().unwrap();
    let mut found = vec![repository.join("wasmplugin.yaml")];
    yaml_files(&repository.join("deploy"), &mut found);
    yaml_files(&rendered_examples().unwrap(), &mut found);
    found.retain(|path| path.parent() != Some(&repository.join("deploy")) || !is_short(path));
    // Prometheus' rules are no Kubernetes resource; a test of their own holds them to the gateway's metrics.
    found.retain(|path| path.parent() != Some(&repository.join("deploy/observability")));
    found.sort();
    found
}

fn is_short(path: &Path) -> bool {
    ["egress.yaml", "ambient.yaml"].iter().any(|name| path.ends_with(name))
}

#[test]
fn every_manifest_is_as_its_schema_says() {
    let mut kinds = Vec::new();
    let mut problems = Vec::new();
    for path in manifests() {
        for document in documents(&path).with_context(|| path.display().to_string()).unwrap() {
            match check(&document) {
                Ok(kind) => kinds.push(kind),
                Err(error) => problems.push(format!("{}: {error:#}", path.display())),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    for kind in [
        "WasmPlugin",
        "TrafficExtension",
        "ServiceEntry",
        "Gateway",
        "DestinationRule",
        "VirtualService",
        "EnvoyFilter",
        "Telemetry",
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "Kustomization",
    ] {
        assert!(kinds.iter().any(|found| found == kind), "no {kind} was checked");
    }
}

/// The check itself: what a schema forbids is seen, at every depth and in every kind that ships.
#[test]
fn what_is_wrong_is_seen() {
    let breaks: [(&str, &str, &str); 8] = [
        ("wasm-plugins.yaml", "failStrategy: FAIL_CLOSE", "failStrategy: FAIL_SHUT"),
        ("wasm-plugins.yaml", "imagePullPolicy:", "imagePolicy:"),
        ("traffic-extensions.yaml", "phase: AUTHZ", "phaze: AUTHZ"),
        ("gateway.yaml", "mode: PASSTHROUGH", "mode: PASSTHRU"),
        ("virtual-services.yaml", "sniHosts:", "sniHost:"),
        ("service-entries.yaml", "resolution: DNS", "resolution: dns"),
        ("workload.yaml", "targetPort:", "targetport:"),
        ("network-policies.yaml", "namespaceSelector:", "namespaceselector:"),
    ];
    let dir = repo_dir().unwrap().join("deploy/istio");
    for (file, right, wrong) in breaks {
        let text = fs::read_to_string(dir.join(file)).unwrap();
        assert!(text.contains(right), "{file} has no {right}");
        let broken = text.replacen(right, wrong, 1);
        let documents =
            yaml_serde::Deserializer::from_str(&broken).map(|document| Value::deserialize(document).unwrap());
        assert!(
            documents.map(|document| check(&document)).any(|result| result.is_err()),
            "{file}: {wrong} passes"
        );
    }
}

#[test]
fn a_kustomization_names_files_that_are_there() {
    for dir in ["deploy/istio", "deploy/ambient"] {
        let dir = repo_dir().unwrap().join(dir);
        let text = fs::read_to_string(dir.join("kustomization.yaml")).unwrap();
        let kustomization: own::Kustomization = yaml_serde::from_str(&text).unwrap();
        assert!(!kustomization.resources.is_empty());
        for resource in kustomization.resources {
            assert!(dir.join(&resource).is_file(), "{} has no {resource}", dir.display());
        }
    }
}

/// Both plugins have one policy, and each is on the Gateway's servers of its type and on nothing else.
#[test]
fn both_plugins_have_one_policy_and_their_own_ports() {
    let dir = repo_dir().unwrap().join("deploy/istio");
    let plugins = documents(&dir.join("wasm-plugins.yaml")).unwrap();
    let [http, network] = plugins.as_slice() else { panic!("two plugins are wanted") };
    let untyped = |plugin: &Value| {
        let mut config = plugin["spec"]["pluginConfig"].clone();
        let own = config.as_object_mut().unwrap().remove("type").unwrap();
        assert_eq!(own, plugin["spec"]["type"]);
        config
    };
    assert_eq!(untyped(http), untyped(network));
    let ports = |plugin: &Value| -> Vec<u64> {
        let ports = plugin["spec"]["match"][0]["ports"].as_array().unwrap();
        ports.iter().map(|port| port["number"].as_u64().unwrap()).collect()
    };
    let gateway = &documents(&dir.join("gateway.yaml")).unwrap()[0];
    let served = |protocol: &str| -> Vec<u64> {
        let servers = gateway["spec"]["servers"].as_array().unwrap();
        let of = servers.iter().filter(|server| server["port"]["protocol"] == protocol);
        let mut ports: Vec<u64> = of.map(|server| server["port"]["number"].as_u64().unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    // istiod would hold an HTTP plugin's ports against the pod's, and not attach it.
    assert!(http["spec"].get("match").is_none());
    assert_eq!(ports(network), served("TLS"));
    assert_eq!(served("TLS"), [443, 444]);
}
