//! Plays scenarios on real gateways, one gateway per distinct shape, policies changed while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::check;
use super::report::Row;
use super::send::send;
use super::{GatewayShape, Gets, Over, Request, Scenario};
use crate::access_log::Entry;
use crate::certs::Principal;
use crate::envoy::Options;
use crate::filter::{FailurePolicy, Filter, Protocol, Wasm};
use crate::gateway::Update;
use crate::mesh::Mesh;
use crate::provision::EnvoyBinary;
use crate::shape::{ConnectMode, Kind, Listener, Shape};
use crate::sidecar::Workload;
use crate::token::Issuer;
use crate::upstream;

/// Plays scenarios.
pub struct Player {
    /// The Envoy for gateways and sidecars.
    pub binary: EnvoyBinary,
    /// The filter.
    pub wasm: PathBuf,
    /// Which of the two protocols' requests are played.
    pub protocols: Vec<Protocol>,
    /// What happens when the filter's VM fails.
    pub failure_policy: FailurePolicy,
    /// Whether to read the gateways' Prometheus pages in the end; the filter tells once a second, so that takes one more each.
    pub metrics: bool,
}

/// Where the scenarios of one shape are played.
struct Stage {
    mesh: Mesh,
    issuer: Option<Issuer>,
}

/// What the scenarios came to.
pub struct Outcome {
    /// One row per request, in the order of the scenarios.
    pub rows: Vec<Row>,
    /// Requests that this version of Envoy cannot play, and since which line they can be.
    pub impossible: Vec<String>,
    /// What the gateways' Prometheus pages said of the filter in the end, where that was asked for.
    pub metrics: BTreeSet<String>,
}

// === impl Outcome ===

impl Outcome {
    /// Whether every row is as expected, and there is at least one.
    #[must_use]
    pub fn ok(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.ok)
    }
}

// === impl Player ===

impl Player {
    /// A player for both protocols.
    #[must_use]
    pub fn new(binary: EnvoyBinary, wasm: PathBuf) -> Self {
        Self {
            binary,
            wasm,
            protocols: vec![Protocol::Http, Protocol::Network],
            failure_policy: FailurePolicy::default(),
            metrics: false,
        }
    }

    /// Plays the scenarios; each gateway lives only as long as its scenarios.
    ///
    /// # Errors
    /// When a mesh does not start or a policy is refused. A wrong answer is a row, not an error.
    pub fn play(&self, scenarios: &[Scenario]) -> Result<Outcome> {
        let mut by_shape: BTreeMap<&GatewayShape, Vec<(usize, &Scenario)>> = BTreeMap::new();
        for (index, scenario) in scenarios.iter().enumerate() {
            if scenario.requests().any(|request| self.plays(&scenario.gateway, request)) {
                by_shape.entry(&scenario.gateway).or_default().push((index, scenario));
            }
        }
        let mut rows = Vec::new();
        let mut metrics = BTreeSet::new();
        for (wish, group) in &by_shape {
            let names: Vec<&str> = group.iter().map(|(_, scenario)| scenario.name.as_str()).collect();
            let requests: Vec<&Request> = group
                .iter()
                .flat_map(|(_, scenario)| scenario.requests())
                .filter(|request| self.plays(wish, request))
                .collect();
            let mut stage =
                self.stage(wish, &requests).with_context(|| format!("the mesh of {}", names.join(", ")))?;
            for (index, scenario) in group {
                let played = self
                    .play_on(&mut stage, scenario)
                    .with_context(|| format!("scenario {}", scenario.name))?;
                rows.extend(played.into_iter().map(|row| (*index, row)));
            }
            if self.metrics {
                sleep(Duration::from_millis(1_200));
                let page = stage.mesh.gateway().envoy().prometheus()?;
                metrics.extend(
                    page.lines().filter(|line| line.starts_with("egress_authz_")).map(ToOwned::to_owned),
                );
            }
        }
        rows.sort_by_key(|(index, _)| *index);
        let impossible = scenarios
            .iter()
            .flat_map(|scenario| scenario.requests().map(move |request| (scenario, request)))
            .filter(|(_, request)| self.protocols.contains(&request.over.protocol()))
            .filter_map(|(scenario, request)| {
                let needs = self.needs(&scenario.gateway, request)?;
                Some(format!(
                    "{}: {} asks {} over {}: {needs}",
                    scenario.name, request.who, request.ask, request.over.name
                ))
            })
            .collect();
        Ok(Outcome { rows: rows.into_iter().map(|(_, row)| row).collect(), impossible, metrics })
    }

    fn plays(&self, wish: &GatewayShape, request: &Request) -> bool {
        self.protocols.contains(&request.over.protocol()) && self.can(wish, request)
    }

    fn can(&self, wish: &GatewayShape, request: &Request) -> bool {
        self.needs(wish, request).is_none()
    }

    /// What the request needs and this version of Envoy has not.
    fn needs(&self, wish: &GatewayShape, request: &Request) -> Option<&'static str> {
        let late = !matches!(request.over.connect, None | Some(ConnectMode::Immediate));
        let upstream = wish.refuse_private_upstreams && request.over.protocol() == Protocol::Http;
        if late && !self.binary.has_connect_modes() {
            return Some("late dialling (upstream_connect_mode) needs Envoy 1.37");
        }
        (upstream && !self.binary.has_upstream_rbac())
            .then_some("RBAC as an upstream HTTP filter needs Envoy 1.39")
    }

    fn stage(&self, wish: &GatewayShape, requests: &[&Request]) -> Result<Stage> {
        let issuer = wish.token_issuer.as_deref().map(Issuer::new).transpose()?;
        let overs: BTreeSet<&Over> = requests.iter().map(|request| &request.over).collect();
        let mut listeners = overs
            .iter()
            .map(|over| self.listener(wish, over, issuer.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        // The sidecars' HTTP has to end somewhere even where all scenarios are about TCP.
        if !listeners.iter().any(|listener| listener.kind == Kind::Mtls80) {
            listeners.push(Listener::new(Kind::Mtls80, Filter::None));
        }
        let mut shape = Shape {
            listeners,
            http_routes: wish.http_routes.clone(),
            tcp_routes: wish.tcp_routes.clone(),
            clusters: wish.clusters.clone(),
            default_tcp_cluster: wish.default_tcp_cluster.clone(),
            quiet: false,
        };
        for host in &wish.originate {
            shape.originate(host);
        }
        let names: BTreeSet<&str> = requests
            .iter()
            .filter(|request| request.through_sidecar())
            .map(|request| request.who.as_str())
            .collect();
        let workloads: Vec<Workload> = names.into_iter().map(Workload::new).collect();
        let mesh = Mesh::start_with(&self.binary, &shape, &workloads, &Options::default())?;
        Ok(Stage { mesh, issuer })
    }

    fn listener(&self, wish: &GatewayShape, over: &Over, issuer: Option<&Issuer>) -> Result<Listener> {
        let kind = over.kind.kind();
        let filter = if over.native {
            // Allows everybody nothing: what is asked is when it says so.
            Filter::NativeRbac(vec![json!({"rules": {"action": "ALLOW", "policies": {}}})])
        } else {
            // Refuses everything until the first step says otherwise.
            let mut wasm = Wasm::new(self.wasm.clone(), &json!({}));
            wasm.failure_policy = self.failure_policy;
            Filter::Wasm(wasm)
        };
        let mut listener = Listener::named(&over.name, kind, filter);
        if kind.protocol() == Protocol::Network && self.binary.has_connect_modes() {
            let usual = (kind == Kind::Mtls443).then_some(ConnectMode::OnDownstreamTlsHandshake);
            listener.connect_mode = over.connect.or(wish.connect).or(usual);
        }
        if let Some(who) = wish.ambient.as_ref().filter(|_| kind == Kind::Ambient443) {
            listener.principal = Some(Principal::new(who).to_string());
        }
        listener.tokens = issuer.map(Issuer::verifier);
        if wish.refuse_private_upstreams
            && self.binary.has_upstream_rbac()
            && kind.protocol() == Protocol::Http
        {
            listener.upstream_http_filters = upstream::refuse_private_addresses()?;
        }
        Ok(listener)
    }

    fn play_on(&self, stage: &mut Stage, scenario: &Scenario) -> Result<Vec<Row>> {
        let before = stage.mesh.world().seen();
        let mut rows = Vec::new();
        let mut allowed = 0;
        for step in &scenario.steps {
            let requests: Vec<&Request> =
                step.requests.iter().filter(|request| self.plays(&scenario.gateway, request)).collect();
            if let Some(policy) = step.policy.as_ref()
                && let Update::Rejected(log) = stage.mesh.gateway_mut().set_policy(policy)?
            {
                anyhow::bail!("the gateway refused the policy:\n{log}");
            }
            let title = if step.title.is_empty() { &scenario.title } else { &step.title };
            for request in requests {
                let row = play_one(stage, request, &scenario.name, title);
                allowed += u64::from(request.gets == Gets::Status(200));
                rows.push(row);
            }
        }
        // A request that slipped through behind its own denial would come late.
        sleep(Duration::from_millis(20));
        let reached = check::requests_since(&before, &stage.mesh.world().seen());
        if let Some(last) = rows.last_mut().filter(|row| row.ok && reached != allowed) {
            last.ok = false;
            last.problems.push(format!(
                "in the whole scenario {reached} requests reached a site, of {allowed} that were to be allowed"
            ));
        }
        Ok(rows)
    }
}

fn play_one(stage: &Stage, request: &Request, scenario: &str, title: &str) -> Row {
    let mesh = &stage.mesh;
    let log = mesh.gateway().access_log();
    let mark = log.mark();
    let envoy_log = mesh.gateway().envoy().log().len();
    let before = mesh.world().seen();
    let got = send(mesh, stage.issuer.as_ref(), request);
    let after = mesh.world().seen();
    let mut problems = Vec::new();
    let entry = match log.next_of(mark, &request.over.name) {
        Ok(entry) => Some(entry),
        Err(error) => {
            problems.push(format!("{error:#}"));
            None
        }
    };
    check::answer(request, &got.what, got.answer.as_ref(), &mut problems);
    check::site(request, &before, &after, &mut problems);
    if let Some(entry) = &entry {
        check::entry(request, entry, &mut problems);
    }
    check_logs(mesh, request, envoy_log, &mut problems);

    let reason = entry.as_ref().map(|entry| check::denial(request, entry)).unwrap_or_default();
    let what = match &got.what {
        Ok(gets) => gets.to_string(),
        Err(error) => error.clone(),
    };
    let state = entry.as_ref().filter(|_| request.state.is_some()).map(Entry::verdict).unwrap_or_default();
    let shown = |what: &str, reason: &str, state: &str| {
        [what, reason, state].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let wanted_reason = request.reason.as_deref().unwrap_or_default();
    let shown_reason = if request.reason.is_some() || !problems.is_empty() { reason.as_str() } else { "" };
    let mut asks = request.ask.clone();
    if let Some(sni) = &request.sni {
        asks.push_str(&format!(" (SNI {sni})"));
    }
    Row {
        scenario: scenario.to_owned(),
        title: title.to_owned(),
        who: request.who.clone(),
        over: request.over.name.clone(),
        asks,
        expected: shown(
            &request.gets.to_string(),
            wanted_reason,
            request.state.as_deref().unwrap_or_default(),
        ),
        seen: shown(&what, shown_reason, &state),
        ok: problems.is_empty(),
        problems,
        entry,
    }
}

fn check_logs(mesh: &Mesh, request: &Request, mark: usize, problems: &mut Vec<String>) {
    let envoy = mesh.gateway().envoy();
    if let Some(wanted) = &request.audit
        && !soon(|| envoy.log().get(mark..).is_some_and(|log| log.contains(wanted)))
    {
        problems.push(format!(
            "no line in Envoy's log holds {wanted:?}; it says:\n{}",
            envoy.log().get(mark..).unwrap_or_default()
        ));
    }
    if let Some(wanted) = &request.metric
        && !soon(|| envoy.prometheus().is_ok_and(|page| page.contains(wanted)))
    {
        let page = envoy.prometheus().unwrap_or_default();
        let ours: Vec<&str> = page.lines().filter(|line| line.contains("egress_authz")).collect();
        problems.push(format!("the metrics do not hold {wanted:?}; ours are:\n{}", ours.join("\n")));
    }
}

fn soon(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(5));
    }
}
