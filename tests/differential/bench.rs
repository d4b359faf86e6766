//! One real Envoy with our filter and the native one side by side, and the same questions to both.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::sync::{Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use egress_lab::certs::{Identity, Principal};
use egress_lab::client::Tls;
use egress_lab::envoy::{Envoy, Options};
use egress_lab::filter::{Filter, Wasm};
use egress_lab::gateway::Update;
use egress_lab::mesh::Mesh;
use egress_lab::paths::filter_wasm;
use egress_lab::provision::EnvoyBinary;
use egress_lab::shape::{ConnectMode, Kind, Listener, Shape};
use egress_lab::token::Issuer;
use serde_json::{Value, json};

use crate::istio;
use crate::model::{Action, PORTS, PolicySet, Protocol, Request};
use crate::wire::{Wire, Written};

pub(crate) const ISSUER: &str = "https://issuer.example";

/// Whose filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    Ours,
    Native,
}

/// What one filter did with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    /// Why, in the filter's words; empty where it was not asked for.
    pub(crate) reason: String,
    /// What a dry run's second verdict is; the first where nobody asked.
    pub(crate) second: bool,
    /// What native shadow rules found, as they said it.
    pub(crate) shadow: Value,
}

/// Both filters' answers to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) ours: Answer,
    pub(crate) native: Answer,
}

/// From a policy set to the native filters; another one than istiod's shows that the test can fail.
pub(crate) type Translate = fn(&PolicySet, &BTreeMap<u16, u16>) -> Vec<Value>;

/// A running gateway for one protocol.
pub(crate) struct Bench {
    mesh: Mesh,
    protocol: Protocol,
    issuer: Issuer,
    tokens: HashMap<String, String>,
    identities: HashMap<String, Identity>,
    wires: HashMap<(String, String, std::net::Ipv4Addr, Option<String>), Wire>,
    log: File,
    next: u64,
    /// Whether the native side has ALLOW policies that are no dry run.
    enforces_allow: bool,
    /// The filters that the native side's second listener has yet to get.
    to_come: Option<Vec<Value>>,
    pub(crate) translate: Translate,
}

// === impl Side ===

impl Side {
    pub(crate) fn listener(self, port: u16) -> String {
        match self {
            Self::Ours => format!("ours-{port}"),
            Self::Native => format!("native-{port}"),
        }
    }
}

// === impl Answers ===

impl Answers {
    pub(crate) fn agree(&self) -> bool {
        self.ours.allowed == self.native.allowed && self.ours.second == self.native.second
    }
}

// === impl Bench ===

impl Bench {
    pub(crate) fn start(protocol: Protocol) -> Result<Self> {
        let issuer = Issuer::new(ISSUER)?;
        let kind = if protocol == Protocol::Http { Kind::Mtls80 } else { Kind::Mtls443 };
        let wasm = Wasm::new(filter_wasm()?, &json!({}));
        let mut listeners = Vec::new();
        for port in PORTS {
            for (side, filter) in [
                (Side::Ours, Filter::Wasm(wasm.clone())),
                (Side::Native, Filter::NativeRbac(vec![json!({}), json!({})])),
            ] {
                let mut listener = Listener::named(&side.listener(port), kind, filter);
                if protocol == Protocol::Http {
                    listener.tokens = Some(issuer.verifier());
                } else {
                    // The site answers only those who were let in, and speaks as soon as it is reached.
                    listener = listener.connecting(ConnectMode::OnDownstreamData);
                }
                listeners.push(listener);
            }
        }
        let mut shape = Shape::new(listeners);
        shape.default_tcp_cluster = Some("world-banner".to_owned());
        let mesh = Mesh::start(&shape, &[])?;
        let log = File::open(mesh.gateway().access_log().path())?;
        Ok(Self {
            mesh,
            protocol,
            issuer,
            tokens: HashMap::new(),
            identities: HashMap::new(),
            wires: HashMap::new(),
            log,
            next: 0,
            enforces_allow: false,
            to_come: None,
            translate: istio::filters,
        })
    }

    /// Whether this Envoy dials a site with the client's first bytes, without which connections are not compared (1.37).
    pub(crate) fn knows_connections() -> bool {
        EnvoyBinary::find().unwrap().has_connect_modes()
    }

    /// A bench that tests at the same time take turns at; it ends with the last of them.
    pub(crate) fn shared(protocol: Protocol) -> Arc<Mutex<Self>> {
        static HTTP: Mutex<Weak<Mutex<Bench>>> = Mutex::new(Weak::new());
        static TCP: Mutex<Weak<Mutex<Bench>>> = Mutex::new(Weak::new());
        let shelf = if protocol == Protocol::Http { &HTTP } else { &TCP };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.upgrade().unwrap_or_else(|| {
            let bench = Arc::new(Mutex::new(Self::start(protocol).unwrap()));
            *shelf = Arc::downgrade(&bench);
            bench
        })
    }

    /// One's turn; a test that failed has left nothing behind that the next does not replace.
    pub(crate) fn turn(bench: &Mutex<Self>) -> MutexGuard<'_, Self> {
        bench.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A second gateway that trusts so many proxies before it, on this one's files; it ends with what is given back.
    pub(crate) fn behind_proxies(&self, hops: u32) -> Result<(Envoy, BTreeMap<String, SocketAddr>)> {
        let config = std::fs::read_to_string(self.mesh.gateway().envoy().dir().join("gateway.yaml"))?;
        let trusting = format!("use_remote_address: true\n          xff_num_trusted_hops: {hops}");
        let config = config.replace("use_remote_address: true", &trusting);
        let dir = tempfile::tempdir()?;
        let mut envoy = Envoy::start(&EnvoyBinary::find()?, "proxied", dir, &config, &Options::default())?;
        let names = [Side::Ours, Side::Native].map(|side| side.listener(PORTS[0]));
        let addresses = envoy.await_listeners(&names)?;
        Ok((envoy, addresses))
    }

    /// Puts a policy set of the common part into force on both sides.
    pub(crate) fn load(&mut self, set: &PolicySet) -> Result<()> {
        let settings = neutral_settings(set);
        self.load_ours(settings, &set.to_json(&self.ports(Side::Ours)?))?;
        self.load_native(set)
    }

    /// Puts a document into force on our side.
    pub(crate) fn load_ours(&mut self, mut settings: Value, policies: &Value) -> Result<()> {
        settings["policies"] = policies.clone();
        match self.mesh.gateway_mut().set_policy(&settings)? {
            Update::Applied => Ok(()),
            Update::Rejected(log) => bail!("our filter refused {settings:#}\n{log}"),
        }
    }

    /// What our side says to a document that it must refuse.
    pub(crate) fn refused_by_ours(&mut self, document: &Value) -> Result<String> {
        match self.mesh.gateway_mut().set_policy(document)? {
            Update::Applied => bail!("our filter took {document:#}"),
            Update::Rejected(log) => {
                // The other listener refuses it too, a moment later; that is not to be taken for an answer to what comes next.
                sleep(Duration::from_millis(50));
                Ok(log)
            }
        }
    }

    /// Puts a policy set into force on the native side; on its second listener when something is asked there.
    pub(crate) fn load_native(&mut self, set: &PolicySet) -> Result<()> {
        let filters = (self.translate)(set, &self.ports(Side::Native)?);
        self.enforces_allow = set.policies.iter().any(|p| p.action == Action::Allow && !p.dry_run);
        self.push_native(PORTS[0], &filters)?;
        self.to_come = Some(filters);
        Ok(())
    }

    fn push_native(&mut self, port: u16, filters: &[Value]) -> Result<()> {
        let filter = Filter::NativeRbac(filters.to_vec());
        match self.mesh.gateway_mut().set_filter(&Side::Native.listener(port), filter)? {
            Update::Applied => Ok(()),
            Update::Rejected(log) => bail!("native RBAC refused {filters:#?}\n{log}"),
        }
    }

    /// The numbers that the listeners of a side really have.
    pub(crate) fn ports(&self, side: Side) -> Result<BTreeMap<u16, u16>> {
        PORTS
            .iter()
            .map(|port| Ok((*port, self.mesh.gateway().address(&side.listener(*port))?.port())))
            .collect()
    }

    /// Asks both sides the same; `closely` also waits for what the gateway's log says of each request.
    pub(crate) fn ask(&mut self, requests: &[Request], closely: bool) -> Result<Vec<Answers>> {
        if requests.iter().any(|request| request.port == PORTS[1])
            && let Some(filters) = self.to_come.take()
        {
            self.push_native(PORTS[1], &filters)?;
        }
        let ours = self.ask_side(Side::Ours, requests, closely)?;
        let native = self.ask_side(Side::Native, requests, closely)?;
        Ok(ours.into_iter().zip(native).map(|(ours, native)| Answers { ours, native }).collect())
    }

    fn ask_side(&mut self, side: Side, requests: &[Request], closely: bool) -> Result<Vec<Answer>> {
        self.log.seek(SeekFrom::End(0))?;
        let (allowed, marks) = match self.protocol {
            Protocol::Http => self.ask_http(side, requests)?,
            Protocol::Tcp => self.knock(side, requests)?,
        };
        if !closely {
            let answer =
                |allowed| Answer { allowed, reason: String::new(), second: allowed, shadow: Value::Null };
            return Ok(allowed.into_iter().map(answer).collect());
        }
        let entries = self.entries(&marks)?;
        let enforces_allow = self.enforces_allow;
        let answer = |(allowed, mark)| read_answer(side, allowed, &entries[mark], enforces_allow);
        Ok(allowed.into_iter().zip(&marks).map(answer).collect())
    }

    /// Sends requests over kept connections; gives the verdicts and the marks by which the log knows them.
    fn ask_http(&mut self, side: Side, requests: &[Request]) -> Result<(Vec<bool>, Vec<String>)> {
        let (mut allowed, mut marks) = (Vec::new(), Vec::new());
        for request in requests {
            self.next += 1;
            let mark = format!("n={}.", self.next);
            let token = request.claims.as_ref().map(|claims| self.token(claims)).transpose()?;
            let written = write(request, &mark, token.as_deref());
            let listener = side.listener(request.port);
            let key = (listener, request.peer.clone(), request.source, request.sni.clone());
            let mut wire = match self.wires.remove(&key) {
                Some(wire) => wire,
                None => self.connect(request, &key.0)?,
            };
            let status = wire.ask(&written).with_context(|| format!("{side:?} was asked {request:#?}"))?;
            if request.method != "CONNECT" {
                // Behind a CONNECT there is a tunnel.
                self.wires.insert(key, wire);
            }
            allowed.push(match status {
                200 => true,
                403 => false,
                other => bail!("{side:?} answered {other} to {request:#?}"),
            });
            marks.push(mark);
        }
        Ok((allowed, marks))
    }

    /// Opens one connection for each and sends a few bytes that are not TLS.
    fn knock(&mut self, side: Side, requests: &[Request]) -> Result<(Vec<bool>, Vec<String>)> {
        let mut allowed = Vec::new();
        let mut marks = Vec::new();
        for request in requests {
            // Connections from different addresses may have the same port, by which the log knows them.
            let (wire, mark) = loop {
                let wire = self.connect(request, &side.listener(request.port))?;
                let mark = wire.local_port()?.to_string();
                if !marks.contains(&mark) {
                    break (wire, mark);
                }
            };
            marks.push(mark);
            allowed.push(wire.knock(b"ping\n")?);
        }
        Ok((allowed, marks))
    }

    pub(crate) fn connect(&mut self, request: &Request, listener: &str) -> Result<Wire> {
        let to = self.mesh.gateway().address(listener)?;
        self.connect_to(request, to)
    }

    fn connect_to(&mut self, request: &Request, to: SocketAddr) -> Result<Wire> {
        let authority = self.mesh.authority().clone();
        let identity = match self.identities.get(&request.peer) {
            Some(identity) => identity.clone(),
            None => {
                let principal = match &*request.peer {
                    "" => Principal::Nobody,
                    uri => Principal::Uri(uri.to_owned()),
                };
                let identity = authority.workload(&principal)?;
                self.identities.insert(request.peer.clone(), identity.clone());
                identity
            }
        };
        let mut tls = Tls::mesh(&authority, Some(identity), request.sni.as_deref())?;
        if self.protocol == Protocol::Http {
            tls = tls.with_alpn(&["http/1.1"]);
        }
        Wire::connect(request.source, to, &tls)
    }

    /// The status of one request to any listener of this mesh.
    pub(crate) fn status(&mut self, request: &Request, to: SocketAddr) -> Result<u16> {
        self.connect_to(request, to)?.ask(&write(request, "n=0.", None))
    }

    fn token(&mut self, claims: &Value) -> Result<String> {
        let key = claims.to_string();
        if let Some(token) = self.tokens.get(&key) {
            return Ok(token.clone());
        }
        let token = self.issuer.mint(claims)?;
        self.tokens.insert(key, token.clone());
        Ok(token)
    }

    /// The log's lines of these requests, which come a little later than the answers.
    fn entries(&mut self, marks: &[String]) -> Result<HashMap<String, Value>> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut text = String::new();
        let mut found = HashMap::new();
        loop {
            self.log.read_to_string(&mut text)?;
            let whole = text.rfind('\n').map_or(0, |at| at + 1);
            for line in text.drain(..whole).collect::<String>().lines() {
                let entry: Value = serde_json::from_str(line).context("reading the access log")?;
                if let Some(mark) = self.mark_of(&entry) {
                    found.insert(mark, entry);
                }
            }
            if marks.iter().all(|mark| found.contains_key(mark)) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!("the access log has {} lines of {}", found.len(), marks.len());
            }
            sleep(Duration::from_millis(2));
        }
    }

    fn mark_of(&self, entry: &Value) -> Option<String> {
        if self.protocol == Protocol::Tcp {
            return Some(entry["downstream_remote_port"].to_string().trim_matches('"').to_owned());
        }
        let path = entry["path"].as_str()?;
        let at = path.rfind("n=")?;
        Some(path[at..].to_owned())
    }
}

/// Settings under which what is left is the common part.
pub(crate) fn neutral_settings(set: &PolicySet) -> Value {
    json!({
        "defaultAction": "ALLOW",
        "unauthenticated": "EVALUATE",
        "sniMismatch": "ALLOW",
        "privateAddresses": "ALLOW",
        "pathReadings": "LITERAL",
        "trustDomains": set.trust_domains,
        "reportAllowed": set.has_dry_run(),
    })
}

fn write(request: &Request, mark: &str, token: Option<&str>) -> Written {
    let separator = if request.path.contains('?') { '&' } else { '?' };
    let (method, path, host) = (&request.method, &request.path, &request.host);
    let target = if method == "CONNECT" { host.clone() } else { format!("{path}{separator}{mark}") };
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in &request.headers {
        text += &format!("{name}: {value}\r\n");
    }
    if let Some(token) = token {
        text += &format!("authorization: Bearer {token}\r\n");
    }
    if matches!(&**method, "POST" | "PUT" | "PATCH") {
        text += "content-length: 0\r\n";
    }
    text += "\r\n";
    Written { bytes: text.into_bytes(), bodiless: matches!(&**method, "HEAD" | "CONNECT") }
}

/// What a line of the log says beyond the verdict.
fn read_answer(side: Side, allowed: bool, entry: &Value, enforces_allow: bool) -> Answer {
    match side {
        Side::Ours => {
            let said = entry["egress_authz"].as_str().unwrap_or_default().to_owned();
            let second = match (said.contains("would_allow["), said.contains("would_deny[")) {
                (true, _) => true,
                (_, true) => false,
                _ => allowed,
            };
            Answer { allowed, reason: said, second, shadow: Value::Null }
        }
        Side::Native => {
            let details = ["response_code_details", "connection_termination_details"]
                .iter()
                .find_map(|field| entry[*field].as_str().filter(|text| text.contains("rbac")));
            let reason = details.unwrap_or_default().to_owned();
            let shadow = entry["native_rbac"].clone();
            let second = native_second(allowed, &reason, &shadow, enforces_allow);
            Answer { allowed, reason, second, shadow }
        }
    }
}

/// Native shadow rules see dry-run policies only, and those of each action by themselves. Together with what the
/// enforced rules said, that makes the verdict that all policies would give.
fn native_second(allowed: bool, details: &str, metadata: &Value, enforces_allow: bool) -> bool {
    let shadow = |action: &str| {
        metadata[format!("istio_dry_run_{action}_shadow_engine_result")]
            .as_str()
            .map(|said| said == "allowed")
    };
    let denied_by_rule = !allowed && !details.contains("[none]");
    if denied_by_rule || shadow("deny") == Some(false) {
        return false;
    }
    match shadow("allow") {
        None => allowed,
        Some(admitted) if enforces_allow => allowed || admitted,
        Some(admitted) => admitted,
    }
}
