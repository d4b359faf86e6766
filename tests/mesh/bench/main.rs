//! What a change of policy costs in a real mesh, with Istio's own policies and with this filter: `make bench-mesh`.

mod client;
mod connections;
mod cost;
mod plot;
mod policies;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use egress_lab::certs::Authority;
use egress_lab::paths::repo_dir;
use egress_mesh::mesh::{Mesh, Options};
use egress_mesh_tests::{authority, rendered};
use serde_json::{Value, json};

use cost::Cost;
use policies::Engine;

/// Who asks.
pub(crate) const WHO: &str = "a/x";
/// What nobody's policy is about.
pub(crate) const STEADY: &str = "www.example.com";
/// What a change refuses, and the next one allows again.
pub(crate) const FLIPPED: &str = "flip.example.com";

/// Changes measured at each size.
const CHANGES: usize = 5;

/// How many policies there are, by engine; beyond 12,000 an object of Kubernetes holds ours as a bundle only, and istiod was not
/// asked for more of its own.
const NATIVE: [usize; 3] = [1, 1_000, 10_000];
const OURS: [usize; 5] = [1, 1_000, 10_000, 50_000, 100_000];

fn main() -> Result<()> {
    let path = repo_dir()?.join("target/benchmarks/mesh.json");
    if std::env::args().any(|argument| argument == "--table") {
        // Of what was measured before.
        return keep(&path, &serde_json::from_str(&fs::read_to_string(&path)?)?);
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let sizes = |all: &'static [usize]| all.get(..if quick { 2 } else { all.len() }).unwrap_or(all);
    let mut bench = Bench::start()?;
    let mut results =
        json!({"envoy": bench.envoy_version()?, "cores": std::thread::available_parallelism()?.get()});
    let mut costs: Vec<Cost> = Vec::new();
    for (engine, sizes) in [(Engine::Ours, sizes(&OURS)), (Engine::Native, sizes(&NATIVE))] {
        bench.begin(engine)?;
        let cut = connections::cut_by_changes(&mut bench, engine)?;
        eprintln!("{engine:?}: {cut:?}");
        for &policies in sizes {
            let cost = cost::measure(&mut bench, engine, policies, CHANGES)
                .with_context(|| format!("{engine:?}, {policies} policies"))?;
            eprintln!("{cost:?}");
            costs.push(cost);
        }
        table::keep(&mut results, engine, &cut, &costs);
    }
    if quick {
        println!("{}\n(a look; {} is left as it is)", table::text(&results), path.display());
        return Ok(());
    }
    keep(&path, &results)
}

/// Prints the table, and keeps the results, and table and plot in `docs/`.
fn keep(path: &Path, results: &Value) -> Result<()> {
    let text = table::text(results);
    println!("{text}");
    fs::create_dir_all(path.parent().context("no folder")?)?;
    fs::write(path, format!("{results:#}\n"))?;
    let page = repo_dir()?.join("docs/benchmarks/mesh.md");
    plot::draw(results, &page.with_extension("svg"))?;
    Ok(fs::write(page, format!("```text\n{text}\n```\n"))?)
}

/// The mesh, with the sites and without policies.
pub(crate) struct Bench {
    pub(crate) mesh: Mesh,
    pub(crate) authority: Authority,
    /// Everything but the plugins.
    routes: Vec<Value>,
    /// The plugins of an empty policy.
    pub(crate) plugins: Vec<Value>,
    engine: Engine,
}

// === impl Bench ===

impl Bench {
    fn start() -> Result<Self> {
        let mesh = Mesh::start(&Options::with_workloads(&[WHO])?)?;
        let authority = authority::of_mesh(&mesh)?;
        authority::past_the_sidecar(mesh.pod(WHO)?, mesh.gateway()?.address())?;
        let hosts = [STEADY, FLIPPED];
        let short = json!({
            "sites": [{"hosts": hosts, "over": "HTTP"}, {"hosts": hosts, "over": "TLS"}],
            "config": {"defaultAction": "ALLOW"},
        });
        let (plugins, routes) = rendered(&mesh, &short)?
            .into_iter()
            .partition(|document| document.get("kind") == Some(&json!("WasmPlugin")));
        Ok(Self { mesh, authority, routes, plugins, engine: Engine::Ours })
    }

    /// One engine's mesh, without the other's policies.
    fn begin(&mut self, engine: Engine) -> Result<()> {
        self.engine = engine;
        let mut documents = self.routes.clone();
        if engine == Engine::Ours {
            documents.extend(self.plugins.clone());
        }
        self.mesh.replace(&documents)?;
        // Memory and descriptors of what was before are gone.
        self.mesh.gateway_mut()?.restart()?;
        self.mesh.gateway_mut()?.ready()
    }

    fn envoy_version(&self) -> Result<Value> {
        let info: Value = serde_json::from_str(&self.mesh.gateway()?.admin("/server_info")?)?;
        let version = info.get("version").and_then(Value::as_str).unwrap_or_default();
        Ok(json!(version.split('/').nth(1).unwrap_or_default()))
    }
}
