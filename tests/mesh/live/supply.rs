//! The image: one that is not there, one that is another, a registry that is down.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use egress_image::image::{Image, Labels};
use egress_image::layout::Layout;
use egress_mesh_tests::{agents_log, eventually, gets, scratch, set};
use serde_json::{Value, json};

use super::{ALLOWED, Live, PATIENCE, WHO, tell};

/// Under changed plugins everything is refused, soon and for good, and the agent says why; then all is as before.
fn refuses_everything(live: &mut Live, why: &str, change: impl Fn(&mut Value) -> Result<()>) -> Result<()> {
    let prober = live.prober()?;
    let said = agents_log(live.mesh.gateway()?).len();
    live.mesh.kubectl().apply(&live.plugins(change)?)?;
    eventually("everything is refused", PATIENCE, || {
        gets(&live.mesh, WHO, &format!("http://{ALLOWED}/"), 403)?;
        gets(&live.mesh, WHO, &format!("https://{ALLOWED}/"), 0)
    })?;
    let log = agents_log(live.mesh.gateway()?);
    let log = log.get(said..).unwrap_or_default();
    ensure!(log.contains(why) && log.contains("applying deny RBAC filter"), "the agent says: {log}");
    live.nothing_passes()?;
    live.restore().context("afterwards")?;
    tell(why, &prober.end()?);
    Ok(())
}

pub(crate) fn an_image_that_cannot_be_had_refuses_everything(live: &mut Live) -> Result<()> {
    let missing = live.mesh.image().replace("egress-authz@", "no-such-image@");
    refuses_everything(live, "MANIFEST_UNKNOWN", |plugin| set(plugin, "/spec/url", json!(missing)))
}

pub(crate) fn a_wrong_digest_refuses_everything(live: &mut Live) -> Result<()> {
    let tagged = format!("oci://{}:lab", egress_mesh::place::image_repository());
    refuses_everything(live, "does not match: 0000", |plugin| {
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
    ready.context("refusing everything, it is ready all the same")?;
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
    ready.context("refusing everything, it is ready all the same")?;
    for _ in 0..5 {
        live.nothing_passes()?;
        sleep(Duration::from_millis(500));
    }
    live.mesh.start_registry()?;
    // Nobody tries again by himself: the agent asks for the image when istiod pushes the plugin, or when it starts.
    sleep(Duration::from_secs(5));
    live.nothing_passes().context("the registry is back, and nothing was pushed")?;
    let told = live.plugins(|plugin| set(plugin, "/spec/pluginConfig/reportAllowed", json!(true)))?;
    live.mesh.kubectl().apply(&told)?;
    let took =
        eventually("a change of the plugins has the agent fetch again", PATIENCE, || live.is_in_force())?;
    eprintln!("the registry is back: in force {} ms after a change of the plugins", took.as_millis());
    live.mesh.gateway_mut()?.restart()?;
    live.mesh.gateway_mut()?.ready()?;
    eventually("after a restart with the registry", PATIENCE, || live.is_in_force())?;
    tell("meanwhile", &prober.end()?);
    Ok(())
}
