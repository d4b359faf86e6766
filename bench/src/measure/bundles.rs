//! How many policies does one Kubernetes object carry as a bundle?

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use egress_lab::shape::Kind;
use egress_policy::Config;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Rig, as_f64};
use crate::core::{self, Asker};
use crate::gateway::{Field, Lane, What};
use crate::shapes::{Probe, Shape};
use crate::vocabulary::varied;

/// What a manifest may be: Kubernetes takes 1.5 MiB, and something is needed around it.
pub const LIMIT: usize = (14 << 20) / 10;

/// One packed configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Bundle {
    /// Its kind: varied or regular names.
    pub name: String,
    /// Policies in it.
    pub policies: usize,
    /// Bytes of the configuration.
    pub unpacked: usize,
    /// Bytes of the manifest with the bundle.
    pub manifest: usize,
    /// Policies of this kind that the limit would take.
    pub fit: usize,
}

/// Packs with `egressctl`, loads in Envoy, asks.
///
/// # Errors
/// When a bundle does not load, or anything is decided in another way than unpacked.
pub fn measure(rig: &Rig) -> Result<Vec<Bundle>> {
    let (few, many) = if rig.effort.quick { (5_000, 10_000) } else { (50_000, 100_000) };
    let varied = varied(few);
    let probe = varied_probe(&varied, few - 1)?;
    let regular = Shape::Namespaces.config(many);
    Ok(vec![
        one(rig, "varied", &varied, few, &probe)?,
        one(rig, "regular", &regular, many, &Shape::Namespaces.probe(many))?,
    ])
}

/// A request that the policy at a position of [`varied`] allows.
fn varied_probe(config: &Value, at: usize) -> Result<Probe> {
    let policy = config.pointer(&format!("/policies/{at}")).context("no such policy")?;
    let text = |path: &str| policy.pointer(path).and_then(Value::as_str).map(ToOwned::to_owned);
    let host = text("/rules/0/to/0/operation/hosts/0").context("no host")?;
    let workload = format!("{}/app", text("/namespace").context("no namespace")?);
    Ok(Probe { workload, host, path: "/".to_owned() })
}

fn one(rig: &Rig, name: &'static str, config: &Value, policies: usize, probe: &Probe) -> Result<Bundle> {
    let packed = pack(config)?;
    let manifest = json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "egress-authz", "namespace": "istio-system"},
        "spec": {
            "url": "oci://registry.example/egress-authz:0.1.0",
            "selector": {"matchLabels": {"istio": "egressgateway"}},
            "phase": "AUTHZ",
            "failStrategy": "FAIL_CLOSE",
            "pluginConfig": packed,
        },
    });
    let size = manifest.to_string().len();
    // The same engine from either form, so the same decisions.
    let (plain, text) = (config.to_string(), packed.to_string());
    ensure!(
        Config::parse(plain.as_bytes()) == Config::parse(text.as_bytes()),
        "{name}: the bundle reads differently"
    );
    ensure!(Asker::new(probe).is_admitted(&core::engine_of(text.as_bytes())?), "{name}: not admitted");
    let lane = Lane::new(name, What::Ours(packed), probe.clone());
    let field = Field::start(Kind::Mtls80, vec![lane], rig.http_site, &rig.options())?;
    for client in &rig.block_on(field.clients())? {
        rig.block_on(client.burst(10, 1))?;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred thousand")]
    let fit = (as_f64(LIMIT) / (as_f64(size) / as_f64(policies))) as usize;
    Ok(Bundle { name: name.to_owned(), policies, unpacked: plain.len(), manifest: size, fit })
}

/// What `egressctl pack` makes of a configuration.
fn pack(config: &Value) -> Result<Value> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("config.json");
    std::fs::write(&file, config.to_string())?;
    let egressctl = egressctl()?;
    let output = Command::new(&egressctl)
        .args(["--format", "json", "pack"])
        .arg(&file)
        .output()
        .with_context(|| format!("running {}", egressctl.display()))?;
    if !output.status.success() {
        bail!("egressctl pack: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("what egressctl pack writes")
}

/// Beside this program, or what `EGRESSCTL` names.
fn egressctl() -> Result<PathBuf> {
    let path = match env::var_os("EGRESSCTL") {
        Some(path) => PathBuf::from(path),
        None => env::current_exe()?.with_file_name("egressctl"),
    };
    path.is_file()
        .then_some(())
        .with_context(|| format!("{} is not there: run `make build`", path.display()))?;
    Ok(path)
}
