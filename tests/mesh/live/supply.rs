//! The image: one that is not there, one that is another, a registry that is down.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use egress_image::image::{Image, Labels};
use egress_image::layout::Layout;
use egress_mesh_tests::{eventually, gets, scratch, set};
use serde_json::{Value, json};

use super::{ALLOWED, Live, PATIENCE, WHO, tell};

/// Under changed plugins everything is refused, soon and for good; then all is as before.
fn refuses_everything(live: &mut Live, what: &str, change: impl Fn(&mut Value) -> Result<()>) -> Result<()> {
    let prober = live.prober()?;
    let said = live.mesh.gateway()?.agent().log().len();
    live.mesh.kubectl().apply(&live.plugins(change)?)?;
    eventually(&format!("{what}: everything is refused"), PATIENCE, || {
        gets(&live.mesh, WHO, &format!("http://{ALLOWED}/"), 403)?;
        gets(&live.mesh, WHO, &format!("https://{ALLOWED}/"), 0)
    })?;
    let log = live.mesh.gateway()?.agent().log();
    let log = log.get(said..).unwrap_or_default();
    let line = log.lines().find(|line| line.to_lowercase().contains("wasm") && !line.contains("wasm log"));
    eprintln!("{what}: the agent says: {}", line.unwrap_or("nothing"));
    live.nothing_passes()?;
    live.restore().context("afterwards")?;
    tell(what, &prober.end()?);
    Ok(())
}

pub(crate) fn an_image_that_cannot_be_had_refuses_everything(live: &mut Live) -> Result<()> {
    let missing = live.mesh.image().replace("egress-authz@", "no-such-image@");
    refuses_everything(live, "an image that is not there", |plugin| set(plugin, "/spec/url", json!(missing)))
}

pub(crate) fn a_wrong_digest_refuses_everything(live: &mut Live) -> Result<()> {
    let tagged = format!("oci://{}:lab", egress_mesh::place::image_repository());
    refuses_everything(live, "a wrong sha256", |plugin| {
        set(plugin, "/spec/url", json!(tagged))?;
        set(plugin, "/spec/sha256", json!("0".repeat(64)))
    })
}

/// An image whose module ends in the middle: agent and registry take it, Envoy does not, and what was there stays.
pub(crate) fn a_truncated_module_is_refused_and_the_old_one_stays(live: &mut Live) -> Result<()> {
    let wasm = fs::read(egress_lab::paths::filter_wasm()?)?;
    let half = wasm.get(..wasm.len() / 2).context("an empty module")?;
    let dir = scratch()?.join("truncated");
    Layout::write(&dir, &Image::build(half, &Labels::new("0.0.0", "none", "none"))?, "truncated")?;
    let image = live.mesh.push(&dir, "truncated")?;
    let prober = live.prober()?;
    let said = live.mesh.control_plane().istiod()?.log().len();
    live.mesh.kubectl().apply(&live.plugins(|plugin| set(plugin, "/spec/url", json!(image)))?)?;
    eventually("istiod hears that the gateway refuses it", PATIENCE, || {
        let log = live.mesh.control_plane().istiod()?.log();
        let log = log.get(said..).unwrap_or_default();
        ensure!(log.contains("ACK ERROR"), "istiod says: {log}");
        Ok(())
    })?;
    live.is_in_force().context("with a truncated module pushed")?;
    // Who starts with it has no filter that would let anything pass.
    live.mesh.gateway_mut()?.restart()?;
    let ready = live.mesh.gateway_mut()?.ready();
    eprintln!("started with a truncated module, the gateway is {}", if ready.is_ok() { "ready" } else { "not ready" });
    live.nothing_passes()?;
    live.restore().context("afterwards")?;
    tell("a truncated module", &prober.end()?);
    Ok(())
}

pub(crate) fn a_restart_without_the_registry_refuses_everything(live: &mut Live) -> Result<()> {
    let prober = live.prober()?;
    live.mesh.stop_registry();
    live.is_in_force().context("the registry is down, the gateway has its module")?;
    live.mesh.gateway_mut()?.restart()?;
    let ready = live.mesh.gateway_mut()?.ready();
    eprintln!("started without a registry, the gateway is {}", if ready.is_ok() { "ready" } else { "not ready" });
    for _ in 0..5 {
        live.nothing_passes()?;
        sleep(Duration::from_millis(500));
    }
    live.mesh.start_registry()?;
    let alone = eventually("the gateway finds its module by itself", Duration::from_secs(20), || live.is_in_force());
    match &alone {
        Ok(took) => eprintln!("the registry is back: in force by itself after {} ms", took.as_millis()),
        Err(_) => eprintln!("the registry is back: not in force by itself within 20 s"),
    }
    // A push has the agent fetch again.
    let told = live.plugins(|plugin| set(plugin, "/spec/pluginConfig/reportAllowed", json!(true)))?;
    live.mesh.kubectl().apply(&told)?;
    let took = eventually("after a change of the plugins", PATIENCE, || live.is_in_force());
    eprintln!("after a change of the plugins: {took:?}");
    live.mesh.gateway_mut()?.restart()?;
    live.mesh.gateway_mut()?.ready()?;
    eventually("after a restart with the registry", PATIENCE, || live.is_in_force())?;
    let tally = prober.end()?;
    ensure!(!tally.is_empty(), "nobody asked");
    tell("meanwhile", &tally);
    Ok(())
}
