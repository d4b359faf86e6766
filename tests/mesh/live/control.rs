//! istiod that is down, and an Envoy that is killed.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use egress_mesh_tests::eventually;

use super::{Live, PATIENCE, tell};

pub(crate) fn the_gateway_goes_on_without_istiod(live: &mut Live) -> Result<()> {
    let prober = live.prober()?;
    live.mesh.control_plane_mut().stop_istiod();
    for _ in 0..3 {
        sleep(Duration::from_secs(1));
        live.is_in_force().context("istiod is down")?;
    }
    // One that starts meanwhile has nothing to work with, and is not ready.
    live.mesh.gateway_mut()?.restart()?;
    for _ in 0..6 {
        sleep(Duration::from_millis(500));
        live.nothing_passes().context("restarted without istiod")?;
    }
    let page = live.mesh.gateway()?.admin("/ready");
    ensure!(!page.is_ok_and(|said| said.trim() == "LIVE"), "restarted without istiod, and yet ready");
    live.mesh.control_plane_mut().start_istiod()?;
    live.mesh.gateway_mut()?.ready()?;
    let took = eventually("with istiod again", PATIENCE, || live.is_in_force())?;
    eprintln!("istiod is back: in force {} ms after the gateway was ready", took.as_millis());
    live.restore()?;
    tell("meanwhile", &prober.end()?);
    Ok(())
}

pub(crate) fn a_killed_envoy_lets_nothing_pass(live: &mut Live) -> Result<()> {
    let prober = live.prober()?;
    for _ in 0..2 {
        live.mesh.gateway()?.kill_envoy()?;
        eventually("the agent ends with its Envoy, as a container does", PATIENCE, || {
            ensure!(live.mesh.gateway()?.envoy_pid().is_err(), "an Envoy runs");
            Ok(())
        })?;
        live.nothing_passes()?;
        live.mesh.gateway_mut()?.restart()?;
        live.mesh.gateway_mut()?.ready()?;
        eventually("after the restart", PATIENCE, || live.is_in_force())?;
    }
    tell("meanwhile", &prober.end()?);
    Ok(())
}
