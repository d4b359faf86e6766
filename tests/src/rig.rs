//! One gateway whose policy the tests change, and requests with all that is known of them afterwards.

use anyhow::{Result, bail};
use egress_lab::access_log::Entry;
use egress_lab::client::Stream;
use egress_lab::client::http::{Answer, Ask};
use egress_lab::envoy::{Envoy, Options};
use egress_lab::filter::{Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::mesh::Mesh;
use egress_lab::paths;
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{Kind, Listener, Shape};
use egress_lab::sidecar::Workload;
use serde_json::{Value, json};

use crate::raw::{self, RawAnswer};

/// The listener that requests go to unless they say otherwise.
pub const HTTP: &str = "mtls80";

/// What a dead VM or a trapped callback leaves in Envoy's log.
const TRAPS: [&str; 5] = ["Wasm VM failed", "Function: proxy_", "panicked", "RuntimeError", "unreachable"];

/// A mesh whose gateway's policy is changed while it runs.
pub struct Rig {
    mesh: Mesh,
    policy: Value,
}

/// What came of a request.
#[derive(Debug, Clone)]
pub struct Told<A = Answer> {
    /// The answer.
    pub answer: A,
    /// The gateway's access log line.
    pub entry: Entry,
    /// By how much the external world's counters grew.
    pub reached: u64,
}

// === impl Rig ===

impl Rig {
    /// A gateway with the real filter on mTLS 80, which refuses everything until a test says otherwise.
    ///
    /// # Errors
    /// When the mesh does not start.
    pub fn start(workloads: &[&str]) -> Result<Self> {
        Self::of(Shape::new(vec![Listener::new(Kind::Mtls80, filter()?)]), workloads, &Options::default())
    }

    /// A gateway of any shape.
    ///
    /// # Errors
    /// When the mesh does not start.
    pub fn of(shape: Shape, workloads: &[&str], options: &Options) -> Result<Self> {
        let workloads: Vec<Workload> = workloads.iter().map(|name| Workload::new(name)).collect();
        let mesh = Mesh::start_with(&EnvoyBinary::find()?, &shape, &workloads, options)?;
        Ok(Self { mesh, policy: json!({}) })
    }

    /// The mesh.
    #[must_use]
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// The mesh, to change it.
    pub fn mesh_mut(&mut self) -> &mut Mesh {
        &mut self.mesh
    }

    /// The gateway's process.
    #[must_use]
    pub fn envoy(&self) -> &Envoy {
        self.mesh.gateway().envoy()
    }

    /// Puts a policy in force, as a live update.
    ///
    /// # Errors
    /// When the filter refuses it.
    pub fn policy(&mut self, policy: Value) -> Result<()> {
        if policy == self.policy {
            return Ok(());
        }
        match self.mesh.gateway_mut().set_policy(&policy)? {
            Update::Applied => self.policy = policy,
            Update::Rejected(log) => bail!("the gateway refused {policy}:\n{log}"),
        }
        Ok(())
    }

    /// What a workload gets through its sidecar.
    ///
    /// # Errors
    /// When there is no answer or no access log line.
    pub fn ask(&self, who: &str, ask: &Ask) -> Result<Told> {
        let path = ask.path.clone();
        self.told(
            || self.mesh.http(who, ask),
            move |entry| entry.listener() == HTTP && entry.text("path") == path,
        )
    }

    /// The status that a workload gets for a GET through its sidecar.
    ///
    /// # Errors
    /// As [`Rig::ask`].
    pub fn status(&self, who: &str, url: &str) -> Result<u16> {
        Ok(self.ask(who, &Ask::parse(&format!("GET {url}"))?)?.answer.status)
    }

    /// A connection of a workload's own to the gateway, which offers one protocol and no server name.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn connect(&self, who: &str, alpn: &str) -> Result<Stream> {
        self.mesh.direct(HTTP, Some(self.mesh.identity(who)?), None, &[alpn])
    }

    /// What comes of a request over a connection that the test made.
    ///
    /// # Errors
    /// When there is no answer or no access log line.
    pub fn over<A>(&self, stream: Stream, exchange: impl FnOnce(Stream) -> Result<A>) -> Result<Told<A>> {
        let port = stream.local_addr().port().to_string();
        self.told(|| exchange(stream), move |entry| entry.text("downstream_remote_port") == port)
    }

    /// What comes of bytes that a workload sends as they are, in HTTP/1.
    ///
    /// # Errors
    /// As [`Rig::over`].
    pub fn raw(&self, who: &str, request: &[u8]) -> Result<Told<RawAnswer>> {
        self.over(self.connect(who, "http/1.1")?, |stream| raw::exchange(stream, request))
    }

    fn told<A>(
        &self,
        exchange: impl FnOnce() -> Result<A>,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Told<A>> {
        let log = self.mesh.gateway().access_log();
        let (mark, before) = (log.mark(), self.mesh.world().seen().reached());
        let answer = exchange()?;
        let entry = log.wait(mark, wanted)?;
        Ok(Told { answer, entry, reached: self.mesh.world().seen().reached() - before })
    }

    /// The lines of Envoy's log that tell of a VM that failed.
    #[must_use]
    pub fn traps(&self) -> Vec<String> {
        let log = self.envoy().log();
        log.lines()
            .filter(|line| TRAPS.iter().any(|trap| line.contains(trap)))
            .map(ToOwned::to_owned)
            .collect()
    }
}

// === impl Told ===

impl<A> Told<A> {
    /// The reason of the filter's refusal; empty where it did not refuse.
    #[must_use]
    pub fn reason(&self) -> String {
        let details = self.entry.details();
        let inside = details.strip_prefix("egress_authz_denied[").and_then(|rest| rest.strip_suffix(']'));
        inside.unwrap_or_default().to_owned()
    }
}

/// The filter that `make build` leaves.
///
/// # Errors
/// When it is not there.
pub fn filter() -> Result<Filter> {
    Ok(Filter::Wasm(Wasm::new(paths::filter_wasm()?, &json!({}))))
}

/// A policy that admits everybody everywhere, guards and all.
#[must_use]
pub fn allow_all() -> Value {
    json!({"policies": [{"name": "all", "rules": [{}]}]})
}
