//! A real Envoy with one worker, and several filters in it side by side, each behind a listener of its own.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use egress_lab::envoy::Options;
use egress_lab::filter::{Filter, Wasm};
use egress_lab::mesh::Mesh;
use egress_lab::paths::filter_wasm;
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{Cluster, HttpRoute, Kind, Listener, Shape as Layout, Site};
use serde_json::{Value, json};

use crate::client::{Client, Dialler};
use crate::native::{self, Place};
use crate::shapes::{Probe, Shape};

/// What stands where the filter stands.
#[derive(Debug, Clone)]
pub enum What {
    /// Nothing.
    Nothing,
    /// The SDK's wasm, making so many host calls (0 or 3).
    Baseline(u8),
    /// Our filter.
    Ours(Value),
    /// Another build of it.
    Build(PathBuf, Value),
    /// Envoy's native RBAC with the same policies.
    Native(Value),
}

/// One of the filters side by side.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Its name in tables.
    pub name: String,
    /// What it is.
    pub what: What,
    /// What is asked through it.
    pub probe: Probe,
    /// Whether each request is spelled otherwise, so that it is decided anew.
    pub unlike: bool,
}

/// The gateway, and what sends to it.
pub struct Field {
    mesh: Mesh,
    lanes: Vec<Lane>,
}

impl Lane {
    /// A lane.
    #[must_use]
    pub fn new(name: impl Into<String>, what: What, probe: Probe) -> Self {
        Self { name: name.into(), what, probe, unlike: false }
    }

    /// The same, with requests of which hardly two are alike.
    #[must_use]
    pub fn unlike(self) -> Self {
        Self { unlike: true, ..self }
    }

    /// Our filter with so many policies of a shape.
    #[must_use]
    pub fn ours(shape: Shape, policies: usize) -> Self {
        let config = shape.config(policies);
        Self::new(format!("ours, {policies}"), What::Ours(config), shape.probe(policies))
    }

    fn filter(&self, place: Place) -> Result<Filter> {
        Ok(match &self.what {
            What::Nothing => Filter::None,
            What::Baseline(calls) => Filter::Wasm(Wasm::new(baseline_wasm()?, &json!({"calls": calls}))),
            What::Ours(config) => Filter::Wasm(Wasm::new(filter_wasm()?, config)),
            What::Build(path, config) => Filter::Wasm(Wasm::new(path.clone(), config)),
            What::Native(config) => Filter::NativeRbac(native::filters(config, place)?),
        })
    }
}

impl Field {
    /// Starts a gateway with these lanes; the sites behind it are those of [`crate::site`].
    ///
    /// # Errors
    /// When Envoy does not start.
    pub fn start(kind: Kind, lanes: Vec<Lane>, site: u16, options: &Options) -> Result<Self> {
        let place = if kind == Kind::Mtls80 { Place::Http } else { Place::Network };
        let mut listeners = Vec::new();
        for (at, lane) in lanes.iter().enumerate() {
            listeners.push(Listener::named(&format!("lane{at}"), kind, lane.filter(place)?));
        }
        let mut hosts: Vec<String> = lanes.iter().map(|lane| lane.probe.host.clone()).collect();
        hosts.sort();
        hosts.dedup();
        let cluster = Cluster { name: "site".to_owned(), to: Site::Port(site), sni: None, address: None };
        let layout = Layout {
            listeners,
            http_routes: vec![HttpRoute { hosts, cluster: "site".to_owned(), rewrite: None }],
            clusters: vec![cluster],
            default_tcp_cluster: Some("site".to_owned()),
            quiet: true,
            ..Layout::default()
        };
        let mesh = Mesh::start_with(&EnvoyBinary::find()?, &layout, &[], options)?;
        Ok(Self { mesh, lanes })
    }

    /// The lanes.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The mesh, to change a lane's filter.
    pub fn mesh_mut(&mut self) -> &mut Mesh {
        &mut self.mesh
    }

    /// The gateway's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.mesh.gateway().envoy().pid()
    }

    /// The gateway's memory, in bytes.
    ///
    /// # Errors
    /// Where there is no `/proc`.
    pub fn memory(&self) -> Result<u64> {
        self.mesh.gateway().envoy().memory()
    }

    /// A connection through each lane.
    ///
    /// # Errors
    /// When one fails.
    pub async fn clients(&self) -> Result<Vec<Client>> {
        let mut clients = Vec::new();
        for (at, lane) in self.lanes.iter().enumerate() {
            let address = self.mesh.gateway().address(&format!("lane{at}"))?;
            let identity = self.mesh.identity(&lane.probe.workload)?;
            let client = Client::connect(address, self.mesh.authority(), identity, &lane.probe).await?;
            clients.push(if lane.unlike { client.unlike() } else { client });
        }
        Ok(clients)
    }

    /// A dialler for each lane.
    ///
    /// # Errors
    /// When a certificate is refused.
    pub fn diallers(&self) -> Result<Vec<Dialler>> {
        let lanes = self.lanes.iter().enumerate();
        lanes
            .map(|(at, lane)| {
                let address = self.mesh.gateway().address(&format!("lane{at}"))?;
                let identity = self.mesh.identity(&lane.probe.workload)?;
                Dialler::new(address, self.mesh.authority(), identity, &lane.probe)
            })
            .collect()
    }
}

/// The baseline filter: beside ours, as `make bench` builds both.
fn baseline_wasm() -> Result<PathBuf> {
    let path = filter_wasm()?.with_file_name("egress_bench_baseline.wasm");
    path.is_file()
        .then_some(())
        .with_context(|| format!("{} is not there: run `make bench`", path.display()))?;
    Ok(path)
}
