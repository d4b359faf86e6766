//! A policy that changes, one that is wrong, and a plugin that is deleted.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use egress_mesh::manifests::read;
use egress_mesh_tests::{counters, eventually, gets, set};
use serde_json::{Value, json};

use super::{ALLOWED, Live, PATIENCE, REFUSED, UNGUARDED, WHO, tell};

const HOSTS: &str = "/spec/pluginConfig/policies/0/rules/0/to/0/operation/hosts";
const OPERATION: &str = "/spec/pluginConfig/policies/0/rules/0/to/0/operation";

pub(crate) fn a_changed_policy_takes_effect(live: &mut Live) -> Result<()> {
    let prober = live.prober()?;
    let other = live.plugins(|plugin| set(plugin, HOSTS, json!(["elsewhere.example.com"])))?;
    live.mesh.kubectl().apply(&other)?;
    let took = eventually("both protocols refuse", PATIENCE, || {
        gets(&live.mesh, WHO, &format!("http://{ALLOWED}/"), 403)?;
        gets(&live.mesh, WHO, &format!("https://{ALLOWED}/"), 0)
    })?;
    eprintln!("refused {} ms after `kubectl apply`", took.as_millis());
    live.mesh.kubectl().apply(&live.base)?;
    eventually("both protocols allow again", PATIENCE, || live.is_in_force())?;
    tell("meanwhile", &prober.end()?);
    Ok(())
}

/// The key is misspelt: the API server takes it, since to it a pluginConfig is anything.
fn misspell(live: &Live) -> Result<()> {
    let wrong = live.plugins(|plugin| set(plugin, OPERATION, json!({"host": ["*"]})))?;
    live.mesh.kubectl().apply(&wrong).map(|_| ())
}

pub(crate) fn a_bad_policy_is_refused_and_the_old_one_stays(live: &mut Live) -> Result<()> {
    let prober = live.prober()?;
    let gateway = live.mesh.gateway()?;
    let rejected = |gateway| counters(gateway, &["extension_config_discovery", "config_fail"]);
    let (before, said) = (rejected(gateway)?, gateway.agent().log().len());
    let istiod_said = live.mesh.control_plane().istiod()?.log().len();
    misspell(live)?;
    // Where an operator sees it. Envoy's counters:
    eventually("both plugins' updates are refused", PATIENCE, || {
        let now = rejected(gateway)?;
        ensure!(now >= before + 2, "{before} refused before, {now} now");
        Ok(())
    })?;
    // The gateway's own log says what is wrong, and the repair.
    let log = gateway.agent().log().get(said..).unwrap_or_default().to_owned();
    for wanted in ["policies[0].rules[0].to[0].operation.host", "hosts"] {
        ensure!(log.contains(wanted), "the gateway's log does not say {wanted:?}: {log}");
    }
    // istiod's log, which names the plugin and not the field, and its debug page, of which `istioctl proxy-status` is made.
    eventually("istiod has heard of it", PATIENCE, || {
        let log = live.mesh.control_plane().istiod()?.log();
        let log = log.get(istiod_said..).unwrap_or_default();
        ensure!(log.contains("ADS:ECDS: ACK ERROR istio-egressgateway.istio-system"), "istiod says: {log}");
        let page: Value = serde_json::from_str(&live.mesh.control_plane().istiod_page("/debug/syncz")?)?;
        let proxies = page.as_array().context("no proxies")?;
        let of_gateway = proxies.iter().find(|proxy| proxy["proxy"] == "istio-egressgateway.istio-system");
        let status = of_gateway.context("no gateway among the proxies")?;
        ensure!(status["extensionconfig_sent"] != status["extensionconfig_acked"], "acknowledged: {status}");
        ensure!(status.to_string().contains("Unable to create Wasm plugin"), "no last error: {status}");
        Ok(())
    })?;
    live.is_in_force().context("under the policy before the bad one")?;
    // A repaired policy is taken again.
    live.mesh.kubectl().apply(&live.base)?;
    live.mesh.settle(&live.base.clone())?;
    live.is_in_force()?;
    tell("meanwhile", &prober.end()?);
    Ok(())
}

pub(crate) fn a_restart_under_a_bad_policy_refuses_everything(live: &mut Live) -> Result<()> {
    let prober = live.prober()?;
    misspell(live)?;
    sleep(Duration::from_secs(1));
    live.mesh.gateway_mut()?.restart()?;
    let ready = live.mesh.gateway_mut()?.ready();
    ready.context("refusing everything, it is ready all the same")?;
    sleep(Duration::from_secs(2));
    live.nothing_passes()?;
    live.restore()?;
    tell("meanwhile", &prober.end()?);
    Ok(())
}

pub(crate) fn a_deleted_plugin_is_removed_by_istio_and_an_admission_policy_prevents_it(
    live: &mut Live,
) -> Result<()> {
    live.restore()?;
    let http = format!("http://{UNGUARDED}/");
    let tls = format!("https://{UNGUARDED}/");
    gets(&live.mesh, WHO, &http, 403)?;
    // What Istio does: no plugin, no filter, everything passes.
    let plugins = live.plugins(|_| Ok(()))?;
    live.mesh.kubectl().delete(&plugins)?;
    let took = eventually("everything passes", PATIENCE, || {
        gets(&live.mesh, WHO, &http, 200)?;
        gets(&live.mesh, WHO, &tls, 200)
    })?;
    eprintln!(
        "without its plugins the gateway lets everything pass, {} ms after the deletion",
        took.as_millis()
    );
    live.restore()?;
    // What prevents it.
    let guard = read("deploy/keep-plugins.yaml")?;
    live.mesh.kubectl().apply(&guard)?;
    let result = refused_deletions(live);
    live.mesh.kubectl().delete(&guard)?;
    result?;
    live.is_in_force()
}

fn refused_deletions(live: &Live) -> Result<()> {
    let kubectl = live.mesh.kubectl();
    let delete = |dry: bool, kind: &str, which: &[&str]| -> Result<(bool, String)> {
        let mut arguments = vec!["-n", "istio-system", "delete", kind, "--wait=false"];
        arguments.extend(which);
        if dry {
            arguments.push("--dry-run=server");
        }
        let output = kubectl.output(&arguments, "")?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    eventually("the admission policy is in force", PATIENCE, || {
        let (deleted, said) = delete(true, "wasmplugin", &["egress-authz-http"])?;
        ensure!(!deleted, "deleted: {said}");
        Ok(())
    })?;
    for which in [&["egress-authz-http"][..], &["egress-authz-network"], &["--all"]] {
        let (deleted, said) = delete(false, "wasmplugin", which)?;
        ensure!(!deleted && said.contains("lets everything pass"), "delete {which:?}: {said}");
    }
    // An open door is one as well.
    let open = live.plugins(|plugin| set(plugin, "/spec/failStrategy", json!("FAIL_OPEN")))?;
    let text = json!({"apiVersion": "v1", "kind": "List", "items": open}).to_string();
    let output = kubectl.output(&["apply", "-f", "-"], &text)?;
    ensure!(!output.status.success(), "FAIL_OPEN was taken");
    // A policy may change all the same.
    let other = live.plugins(|plugin| set(plugin, HOSTS, json!([ALLOWED, "more.example.com"])))?;
    kubectl.apply(&other)?;
    // Who means it says so first.
    let meant = [
        "-n",
        "istio-system",
        "annotate",
        "wasmplugin",
        "egress-authz-network",
        "egress-authz.example/delete=yes",
    ];
    kubectl.run(&meant)?;
    let (deleted, said) = delete(true, "wasmplugin", &["egress-authz-network"])?;
    ensure!(deleted, "a deletion that is meant is refused, too: {said}");
    kubectl.run(&[
        "-n",
        "istio-system",
        "annotate",
        "wasmplugin",
        "egress-authz-network",
        "egress-authz.example/delete-",
    ])?;
    gets(&live.mesh, WHO, &format!("http://{REFUSED}/"), 403)
}

pub(crate) fn a_finalizer_keeps_a_deleted_plugin_in_force(live: &mut Live) -> Result<()> {
    let prober = live.prober()?;
    let kubectl = live.mesh.kubectl().clone();
    let patch = |finalizers: &str| {
        let patch = format!(r#"{{"metadata":{{"finalizers":{finalizers}}}}}"#);
        for name in ["egress-authz-http", "egress-authz-network"] {
            kubectl.run(&[
                "-n",
                "istio-system",
                "patch",
                "wasmplugin",
                name,
                "--type=merge",
                "-p",
                &patch,
            ])?;
        }
        Ok::<(), anyhow::Error>(())
    };
    patch(r#"["egress-authz.example/keep"]"#)?;
    kubectl.delete(&live.plugins(|_| Ok(()))?)?;
    sleep(Duration::from_secs(3));
    let deleted = kubectl.run(&[
        "-n",
        "istio-system",
        "get",
        "wasmplugin",
        "-o",
        "jsonpath={.items[*].metadata.deletionTimestamp}",
    ])?;
    ensure!(!deleted.trim().is_empty(), "the plugins are not marked as deleted");
    live.is_in_force().context("deleted, with a finalizer")?;
    tell("meanwhile", &prober.end()?);
    patch("[]")?;
    live.restore()
}
