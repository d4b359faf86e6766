//! A request or connection of plain fields, and the crate's view of it, which counts what it is asked.

use egress_policy::{
    Attributes, BrokenHello, Claim, Config, Decision, Engine, Facts, Opening, Protocol, Read, Timestamp,
    Unreadable,
};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What the host answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer<T> {
    There(T),
    #[default]
    Absent,
    Unreadable,
}

/// What a connection begins with; `Http` for a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Begin {
    #[default]
    Http,
    Tls {
        inner: Option<Vec<u8>>,
        encrypted: bool,
    },
    Plain,
    Malformed,
    Oversized,
    Late,
}

/// Everything that could be asked about a request or connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    pub begin: Begin,
    pub certificate: Answer<Vec<u8>>,
    /// Whether there is a certificate without a URI SAN; `Absent` is no.
    pub nameless_certificate: Answer<()>,
    pub filter_state: Answer<Vec<u8>>,
    pub sni: Answer<Vec<u8>>,
    pub source: Answer<Vec<u8>>,
    pub destination: Answer<Vec<u8>>,
    pub port: Answer<u16>,
    pub cluster: Answer<Vec<u8>>,
    pub upstream: Answer<Vec<u8>>,
    pub authority: Answer<Vec<u8>>,
    pub method: Answer<Vec<u8>>,
    pub path: Answer<Vec<u8>>,
    pub headers: BTreeMap<String, Answer<Vec<u8>>>,
    /// The payload of the verified token.
    pub token: Answer<Value>,
    /// Seconds since 1970; absent is a clock that stands at zero.
    pub now: Answer<i64>,
}

/// `spiffe://cluster.local/ns/<namespace>/sa/<account>` from `<namespace>/<account>`.
fn spiffe(workload: &str) -> Vec<u8> {
    let (namespace, account) = workload.split_once('/').unwrap();
    format!("spiffe://cluster.local/ns/{namespace}/sa/{account}").into_bytes()
}

pub fn there(text: &str) -> Answer<Vec<u8>> {
    Answer::There(text.as_bytes().to_vec())
}

/// `GET http://<host>/` by a workload (`namespace/account`), over mTLS from 10.1.0.7 to the gateway's port 80.
pub fn http(workload: &str, host: &str) -> Request {
    Request {
        certificate: Answer::There(spiffe(workload)),
        source: there("10.1.0.7:41234"),
        destination: there("10.2.0.1:80"),
        port: Answer::There(80),
        authority: there(host),
        method: there("GET"),
        path: there("/"),
        ..Request::default()
    }
}

/// A connection by a workload to the gateway's port 443 whose first bytes are a hello for `inner`.
pub fn tls(workload: &str, inner: &str) -> Request {
    Request {
        begin: Begin::Tls { inner: Some(inner.as_bytes().to_vec()), encrypted: false },
        certificate: Answer::There(spiffe(workload)),
        source: there("10.1.0.7:41234"),
        destination: there("10.2.0.1:443"),
        port: Answer::There(443),
        ..Request::default()
    }
}

/// A connection by a workload to the gateway's port 443 whose first bytes are not TLS.
pub fn plain(workload: &str) -> Request {
    Request { begin: Begin::Plain, ..tls(workload, "") }
}

impl Request {
    /// The same with something else about it.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn method(self, method: &str) -> Self {
        self.with(|r| r.method = there(method))
    }

    pub fn path(self, path: &str) -> Self {
        self.with(|r| r.path = there(path))
    }

    pub fn sni(self, sni: &str) -> Self {
        self.with(|r| r.sni = there(sni))
    }

    pub fn source(self, address: &str) -> Self {
        self.with(|r| r.source = there(address))
    }

    pub fn cluster(self, cluster: &str) -> Self {
        self.with(|r| r.cluster = there(cluster))
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|r| {
            r.headers.insert(name.to_owned(), there(value));
        })
    }

    pub fn token(self, payload: Value) -> Self {
        self.with(|r| r.token = Answer::There(payload))
    }

    pub fn at(self, seconds: i64) -> Self {
        self.with(|r| r.now = Answer::There(seconds))
    }

    /// No client certificate.
    pub fn anonymous(self) -> Self {
        self.with(|r| r.certificate = Answer::Absent)
    }

    /// With this URI SAN.
    pub fn named(self, san: &str) -> Self {
        self.with(|r| r.certificate = there(san))
    }
}

/// The host's side of a request: answers, and counts the questions.
pub struct Fake<'r> {
    request: &'r Request,
    asked: RefCell<BTreeMap<String, u32>>,
}

impl<'r> Fake<'r> {
    pub fn new(request: &'r Request) -> Self {
        Self { request, asked: RefCell::default() }
    }

    /// How often each attribute was asked for.
    pub fn asked(&self) -> BTreeMap<String, u32> {
        self.asked.borrow().clone()
    }

    fn answer<T: Clone>(&self, name: &str, answer: &Answer<T>) -> Read<T> {
        *self.asked.borrow_mut().entry(name.to_owned()).or_default() += 1;
        match answer {
            Answer::There(value) => Ok(Some(value.clone())),
            Answer::Absent => Ok(None),
            Answer::Unreadable => Err(Unreadable),
        }
    }

    /// The facts of the request, as the filter would make them.
    pub fn facts(&self, engine: &Engine) -> Facts<'_> {
        let settings = engine.settings();
        let domains = &settings.trust_domains;
        let opening = match &self.request.begin {
            Begin::Http => {
                assert_eq!(engine.settings().protocol, Protocol::Http, "a request needs an HTTP filter");
                return Facts::http(self, domains, settings.path_readings);
            }
            Begin::Tls { inner, encrypted } => {
                Opening::Tls { server_name: inner.clone(), encrypted: *encrypted }
            }
            Begin::Plain => Opening::Plain,
            Begin::Malformed => Opening::Broken(BrokenHello::Malformed),
            Begin::Oversized => Opening::Broken(BrokenHello::Oversized),
            Begin::Late => Opening::Broken(BrokenHello::Late),
        };
        assert_eq!(engine.settings().protocol, Protocol::Network, "a connection needs a NETWORK filter");
        Facts::network(self, domains, opening)
    }
}

impl Attributes for Fake<'_> {
    fn peer_certificate(&self) -> Read<Vec<u8>> {
        self.answer("certificate", &self.request.certificate)
    }

    fn presents_certificate(&self) -> Result<bool, Unreadable> {
        self.answer("nameless_certificate", &self.request.nameless_certificate).map(|answer| answer.is_some())
    }

    fn peer_filter_state(&self) -> Read<Vec<u8>> {
        self.answer("filter_state", &self.request.filter_state)
    }

    fn server_name(&self) -> Read<Vec<u8>> {
        self.answer("sni", &self.request.sni)
    }

    fn source_address(&self) -> Read<Vec<u8>> {
        self.answer("source", &self.request.source)
    }

    fn destination_address(&self) -> Read<Vec<u8>> {
        self.answer("destination", &self.request.destination)
    }

    fn destination_port(&self) -> Read<u16> {
        self.answer("port", &self.request.port)
    }

    fn cluster_name(&self) -> Read<Vec<u8>> {
        self.answer("cluster", &self.request.cluster)
    }

    fn upstream_address(&self) -> Read<Vec<u8>> {
        self.answer("upstream", &self.request.upstream)
    }

    fn authority(&self) -> Read<Vec<u8>> {
        self.answer("authority", &self.request.authority)
    }

    fn method(&self) -> Read<Vec<u8>> {
        self.answer("method", &self.request.method)
    }

    fn path(&self) -> Read<Vec<u8>> {
        self.answer("path", &self.request.path)
    }

    fn header(&self, name: &str) -> Read<Vec<u8>> {
        let answer = self.request.headers.get(name).unwrap_or(&Answer::Absent);
        self.answer(&format!("header {name}"), answer)
    }

    fn claim(&self, path: &[Box<str>]) -> Read<Claim> {
        let payload = self.answer(&format!("claim {}", path.join(".")), &self.request.token)?;
        let claim =
            payload.as_ref().and_then(|payload| path.iter().try_fold(payload, |at, key| at.get(&**key)));
        let bytes = |text: &str| text.as_bytes().to_vec();
        Ok(claim.map(|claim| match claim {
            Value::String(text) => Claim::Text(bytes(text)),
            Value::Array(items) => Claim::List(items.iter().filter_map(Value::as_str).map(bytes).collect()),
            _ => Claim::Other,
        }))
    }

    fn now(&self) -> Result<Timestamp, Unreadable> {
        let seconds = self.answer("now", &self.request.now)?;
        Ok(Timestamp::from_unix(seconds.unwrap_or_default(), 0))
    }
}

pub fn engine(config: &Value) -> Engine {
    match Config::parse(config.to_string().as_bytes()) {
        Ok(config) => Engine::new(config),
        Err(errors) => panic!("{config:#}\n{errors:#?}"),
    }
}

/// What a decision says: verdict and second verdict in the words of docs/language.md#reasons, and the AUDIT rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub verdict: String,
    pub audit: Vec<String>,
}

impl From<Decision<'_>> for Said {
    fn from(decision: Decision<'_>) -> Self {
        let verdict = decision.to_string();
        // What the filter acts on is what it says.
        match decision.refusal() {
            Some(reason) => assert!(verdict.starts_with(&format!("deny[{reason}]")), "{verdict}"),
            None => assert!(!verdict.starts_with("deny["), "{verdict}"),
        }
        let notable = verdict.starts_with("deny[") || verdict.contains("would_");
        assert_eq!(decision.is_notable(), notable, "{verdict}");
        Self { verdict, audit: decision.audit.iter().map(ToString::to_string).collect() }
    }
}

/// The decision, having checked that nothing was asked twice.
pub fn said_by(engine: &Engine, request: &Request) -> Said {
    let fake = Fake::new(request);
    let said = Said::from(engine.decide(&fake.facts(engine)));
    let twice: Vec<_> = fake.asked().into_iter().filter(|(_, times)| *times > 1).collect();
    assert_eq!(twice, [], "asked more than once for {request:#?}");
    said
}

/// What was asked, besides the identity and the authority, which every decision needs.
pub fn asked(config: &Value, request: &Request) -> Vec<String> {
    let engine = engine(config);
    let fake = Fake::new(request);
    let _ = engine.decide(&fake.facts(&engine));
    let identity = ["certificate", "nameless_certificate", "filter_state", "authority"];
    fake.asked().into_keys().filter(|name| !identity.contains(&&**name)).collect()
}
