//! What happens while things change and break: at no moment does a request pass that the policy refuses, but where Istio itself
//! removes the filter.

mod bypass;
mod control;
mod policy;
mod supply;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use egress_mesh::mesh::{Mesh, Options};
use egress_mesh_tests::prober::{Prober, Tally};
use egress_mesh_tests::{gets, of_kind, rendered};
use egress_tests::tests;
use serde_json::{Value, json};

/// Who asks.
const WHO: &str = "a/x";
/// What the policy admits.
const ALLOWED: &str = "www.example.com";
/// What it refuses, and nobody ever reaches.
const REFUSED: &str = "refused.example.com";
/// What it refuses, and one reaches when the plugin was deleted.
const UNGUARDED: &str = "deleted.example.com";

/// Longer than a push takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    use bypass::*;
    use control::*;
    use policy::*;
    use supply::*;
    egress_mesh_tests::run(
        start,
        tests![
            a_changed_policy_takes_effect,
            a_bad_policy_is_refused_and_the_old_one_stays,
            a_restart_under_a_bad_policy_refuses_everything,
            an_image_that_cannot_be_had_refuses_everything,
            a_wrong_digest_refuses_everything,
            a_truncated_module_is_refused_and_the_old_one_stays,
            a_restart_without_the_registry_refuses_everything,
            the_gateway_goes_on_without_istiod,
            a_killed_envoy_lets_nothing_pass,
            an_application_that_goes_around_its_sidecar_is_held_by_the_network_policy,
            a_deleted_plugin_is_removed_by_istio_and_an_admission_policy_prevents_it,
            a_finalizer_keeps_a_deleted_plugin_in_force,
        ],
    )
}

/// The mesh, and what is applied where a test does not say otherwise.
struct Live {
    mesh: Mesh,
    base: Vec<Value>,
}

fn start() -> Result<Live> {
    let mesh = Mesh::start(&Options::with_workloads(&[WHO])?)?;
    let hosts = [ALLOWED, REFUSED, UNGUARDED];
    let short = json!({
        "sites": [{"hosts": hosts, "over": "HTTP"}, {"hosts": hosts, "over": "TLS"}],
        "config": {"policies": [
            {"name": "list", "namespace": "a", "rules": [{"to": [{"operation": {"hosts": [ALLOWED]}}]}]},
        ]},
    });
    let base = rendered(&mesh, &short)?;
    Ok(Live { mesh, base })
}

// === impl Live ===

impl Live {
    /// Everything as it was, and the policy in force.
    fn restore(&mut self) -> Result<()> {
        self.mesh.replace(&self.base)?;
        self.is_in_force()
    }

    /// What the policy says, over both protocols.
    fn is_in_force(&self) -> Result<()> {
        for (url, expected) in [
            (format!("http://{ALLOWED}/"), 200),
            (format!("https://{ALLOWED}/"), 200),
            (format!("http://{REFUSED}/"), 403),
            (format!("https://{REFUSED}/"), 0),
        ] {
            gets(&self.mesh, WHO, &url, expected)?;
        }
        Ok(())
    }

    /// What nobody gets.
    fn nothing_passes(&self) -> Result<()> {
        for host in [ALLOWED, REFUSED] {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{host}/");
                // A sidecar whose gateway is not there answers 503, and curl may end in other ways.
                let got = egress_mesh_tests::status(&self.mesh, WHO, &url).unwrap_or(0);
                ensure!(got != 200, "{url} passes");
            }
        }
        Ok(())
    }

    /// The plugins, both changed.
    fn plugins(&self, change: impl Fn(&mut Value) -> Result<()>) -> Result<Vec<Value>> {
        let mut plugins = of_kind(&self.base, "WasmPlugin");
        ensure!(plugins.len() == 2, "{} plugins", plugins.len());
        plugins.iter_mut().try_for_each(change)?;
        Ok(plugins)
    }

    /// Somebody who keeps asking for what is refused, from a state in which the policy holds.
    fn prober(&mut self) -> Result<Prober> {
        self.restore()?;
        Prober::start(&self.mesh, WHO, REFUSED)
    }
}

/// For whoever reads the test's output: what the prober got meanwhile.
fn tell(what: &str, tally: &Tally) {
    eprintln!("{what}: {tally:?}");
}
