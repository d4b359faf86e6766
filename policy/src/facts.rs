//! The facts of one request or connection: who asks for what, and every other attribute, read at most once.

use crate::attributes::{Attributes, Claim, Protocol, Read, Unreadable};
use crate::names::{Authority, Host, ServerName, parse_address};
use crate::path_readings::{PathReadings, Readings};
use crate::patterns::{ServerNamePattern, TrustDomains};
use crate::peer::Peer;
use crate::time::Timestamp;
use crate::truth::Truth;
use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

/// What a NETWORK connection began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// A whole ClientHello.
    Tls {
        /// The server name inside, as bytes.
        server_name: Option<Vec<u8>>,
        /// Whether an encrypted ClientHello is there (or GREASE, which looks the same).
        encrypted: bool,
    },
    /// Bytes that are not TLS, or the site's bytes before any of the client's.
    Plain,
    /// Bytes that begin as TLS and are not a whole ClientHello.
    Broken(BrokenHello),
}

/// How a ClientHello failed to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenHello {
    /// Not a ClientHello.
    Malformed,
    /// Longer than the limit.
    Oversized,
    /// Not whole within its time.
    Late,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host; the port is `None` on NETWORK, where it is unknown.
    Host(Host, Option<u16>),
    /// NETWORK without a name.
    Unknown,
    /// An authority, or a server name in its place, that names no host.
    Malformed,
    /// A ClientHello that is none.
    Broken(BrokenHello),
}

/// How far a lookup may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetch {
    /// Only what has been read already; the rest is unknown.
    CachedOnly,
    /// Whatever Envoy can tell: an attribute that has not been read yet is asked for.
    AskEnvoy,
}

/// Answers to questions of which there are many; a decision asks few of them.
type Cache<K, T> = RefCell<Vec<(Box<K>, Rc<Read<T>>)>>;

/// The facts of one request or connection.
pub struct Facts<'a> {
    attributes: &'a dyn Attributes,
    protocol: Protocol,
    peer: Result<Peer, Unreadable>,
    target: Result<Target, Unreadable>,
    opening: Option<Opening>,
    server_name: OnceCell<Read<Vec<u8>>>,
    folded_server_name: OnceCell<Vec<u8>>,
    source: OnceCell<Read<IpAddr>>,
    destination: OnceCell<Read<IpAddr>>,
    port: OnceCell<Read<u16>>,
    method: OnceCell<Read<Vec<u8>>>,
    path: OnceCell<Read<Vec<u8>>>,
    path_readings: PathReadings,
    readings: OnceCell<Readings>,
    cluster: OnceCell<Read<Vec<u8>>>,
    upstream: OnceCell<Read<IpAddr>>,
    now: OnceCell<Result<Timestamp, Unreadable>>,
    headers: Cache<str, Vec<u8>>,
    claims: Cache<[Box<str>], Claim>,
}

impl<'a> Facts<'a> {
    /// The facts of an HTTP request: reads identity and authority.
    #[must_use]
    pub fn http(attributes: &'a dyn Attributes, domains: &TrustDomains, path_readings: PathReadings) -> Self {
        let target = attributes.authority().map(|authority| {
            Authority::parse(&authority.unwrap_or_default()).map_or(Target::Malformed, |authority| {
                let (host, port) = authority.into_host_and_port();
                Target::Host(host, Some(port))
            })
        });
        Self { path_readings, ..Self::new(attributes, domains, Protocol::Http, target, None) }
    }

    /// The facts of a connection: reads identity and, where the opening names no host, the outer server name.
    #[must_use]
    pub fn network(attributes: &'a dyn Attributes, domains: &TrustDomains, opening: Opening) -> Self {
        let facts = Self::new(attributes, domains, Protocol::Network, Ok(Target::Unknown), None);
        let target = match &opening {
            Opening::Broken(how) => Ok(Target::Broken(*how)),
            Opening::Tls { server_name: Some(name), .. } => {
                Ok(Host::parse(name).map_or(Target::Malformed, |host| Target::Host(host, None)))
            }
            Opening::Tls { server_name: None, .. } => Ok(Target::Unknown),
            Opening::Plain => {
                facts.server_name(Fetch::AskEnvoy).map(|name| match name.map(ServerName::parse) {
                    Some(ServerName::Host(host @ Host::Name(_))) => Target::Host(host, None),
                    _ => Target::Unknown,
                })
            }
        };
        Self { target, opening: Some(opening), ..facts }
    }

    fn new(
        attributes: &'a dyn Attributes,
        domains: &TrustDomains,
        protocol: Protocol,
        target: Result<Target, Unreadable>,
        opening: Option<Opening>,
    ) -> Self {
        Self {
            peer: Peer::read(attributes, domains),
            attributes,
            protocol,
            target,
            opening,
            server_name: OnceCell::new(),
            folded_server_name: OnceCell::new(),
            source: OnceCell::new(),
            destination: OnceCell::new(),
            port: OnceCell::new(),
            method: OnceCell::new(),
            path: OnceCell::new(),
            path_readings: PathReadings::default(),
            readings: OnceCell::new(),
            cluster: OnceCell::new(),
            upstream: OnceCell::new(),
            now: OnceCell::new(),
            headers: RefCell::default(),
            claims: RefCell::default(),
        }
    }

    /// The protocol that these facts are of.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The peer, read when these facts were made.
    ///
    /// # Errors
    /// [`Unreadable`] where Envoy had no answer.
    pub fn peer(&self) -> Result<&Peer, Unreadable> {
        self.peer.as_ref().map_err(|unreadable| *unreadable)
    }

    /// What is asked for, read when these facts were made.
    ///
    /// # Errors
    /// [`Unreadable`] where Envoy had no answer.
    pub fn target(&self) -> Result<&Target, Unreadable> {
        self.target.as_ref().map_err(|unreadable| *unreadable)
    }

    /// The host, where one is known.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        match self.target.as_ref().ok()? {
            Target::Host(host, _) => Some(host),
            Target::Unknown | Target::Malformed | Target::Broken(_) => None,
        }
    }

    /// What a NETWORK connection began with.
    #[must_use]
    pub fn opening(&self) -> Option<&Opening> {
        self.opening.as_ref()
    }

    /// The outer server name if it has been read; never asks Envoy.
    #[must_use]
    pub fn known_server_name(&self) -> Option<&[u8]> {
        self.server_name(Fetch::CachedOnly).ok().flatten()
    }

    /// The method if it has been read; never asks Envoy.
    #[must_use]
    pub fn known_method(&self) -> Option<&[u8]> {
        self.method(Fetch::CachedOnly).ok().flatten()
    }

    pub(crate) fn server_name(&self, fetch: Fetch) -> Result<Option<&[u8]>, Unreadable> {
        let name = look(&self.server_name, fetch, || {
            self.attributes.server_name().map(|name| name.filter(|name| !name.is_empty()))
        })?;
        Ok(name.map(Vec::as_slice))
    }

    /// The server name in the spelling that [`ServerNamePattern::matches`] compares.
    pub(crate) fn folded_server_name(&self, fetch: Fetch) -> Result<Option<&[u8]>, Unreadable> {
        let Some(name) = self.server_name(fetch)? else {
            return Ok(None);
        };
        let folded = self.folded_server_name.get_or_init(|| ServerNamePattern::fold(name));
        Ok(Some(folded))
    }

    /// The client's address; a source that is not an IP cannot be compared.
    pub(crate) fn source(&self, fetch: Fetch) -> Result<IpAddr, Unreadable> {
        look(&self.source, fetch, || ip(self.attributes.source_address()))?.copied().ok_or(Unreadable)
    }

    pub(crate) fn destination(&self, fetch: Fetch) -> Result<IpAddr, Unreadable> {
        look(&self.destination, fetch, || ip(self.attributes.destination_address()))?
            .copied()
            .ok_or(Unreadable)
    }

    pub(crate) fn port(&self, fetch: Fetch) -> Result<u16, Unreadable> {
        look(&self.port, fetch, || self.attributes.destination_port())?.copied().ok_or(Unreadable)
    }

    pub(crate) fn method(&self, fetch: Fetch) -> Result<Option<&[u8]>, Unreadable> {
        self.http_only()?;
        let method = look(&self.method, fetch, || self.attributes.method())?;
        Ok(method.map(Vec::as_slice))
    }

    /// The path with its query. A CONNECT has none, whatever a proxy may have put there.
    pub(crate) fn path(&self, fetch: Fetch) -> Result<&[u8], Unreadable> {
        if self.method(fetch)? == Some(b"CONNECT") {
            return Err(Unreadable);
        }
        look(&self.path, fetch, || self.attributes.path())?.map(Vec::as_slice).ok_or(Unreadable)
    }

    /// What holds in every reading of the path (without query and fragment); unknown where they disagree. The first
    /// function judges the path as it is written, the second any other reading.
    pub(crate) fn path_truth(
        &self,
        fetch: Fetch,
        as_written: impl Fn(&[u8]) -> Truth,
        otherwise: impl Fn(&[u8]) -> Truth,
    ) -> Truth {
        let Ok(target) = self.path(fetch) else {
            return Truth::Unknown;
        };
        let path = without_query(target);
        let readings = self.readings.get_or_init(|| Readings::of(path, self.path_readings));
        readings.truth(path, as_written, otherwise)
    }

    /// The path without query and fragment, and how else it may be read; `None` where there is none.
    #[must_use]
    pub fn path_and_readings(&self) -> Option<(&[u8], &Readings)> {
        let path = without_query(self.path(Fetch::AskEnvoy).ok()?);
        Some((path, self.readings.get_or_init(|| Readings::of(path, self.path_readings))))
    }

    pub(crate) fn cluster(&self) -> Result<Option<&[u8]>, Unreadable> {
        let cluster = look(&self.cluster, Fetch::AskEnvoy, || self.attributes.cluster_name())?;
        Ok(cluster.map(Vec::as_slice))
    }

    pub(crate) fn upstream_address(&self) -> Result<Option<IpAddr>, Unreadable> {
        let upstream = look(&self.upstream, Fetch::AskEnvoy, || {
            ip(self.attributes.upstream_address().map(|address| address.filter(|text| !text.is_empty())))
        })?;
        Ok(upstream.copied())
    }

    pub(crate) fn header(&self, name: &str, fetch: Fetch) -> Rc<Read<Vec<u8>>> {
        if self.http_only().is_err() {
            return Rc::new(Err(Unreadable));
        }
        look_up(&self.headers, name, fetch, || self.attributes.header(name))
    }

    pub(crate) fn claim(&self, path: &[Box<str>], fetch: Fetch) -> Rc<Read<Claim>> {
        if self.http_only().is_err() {
            return Rc::new(Err(Unreadable));
        }
        look_up(&self.claims, path, fetch, || self.attributes.claim(path))
    }

    pub(crate) fn now(&self) -> Result<Timestamp, Unreadable> {
        *self.now.get_or_init(|| self.attributes.now())
    }

    fn http_only(&self) -> Result<(), Unreadable> {
        match self.protocol {
            Protocol::Http => Ok(()),
            Protocol::Network => Err(Unreadable),
        }
    }
}

fn without_query(target: &[u8]) -> &[u8] {
    target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

/// What the cell holds, or what Envoy answers where `fetch` goes that far.
fn look<T>(
    cell: &OnceCell<Read<T>>,
    fetch: Fetch,
    ask: impl FnOnce() -> Read<T>,
) -> Result<Option<&T>, Unreadable> {
    let answer = match fetch {
        Fetch::CachedOnly => cell.get().ok_or(Unreadable)?,
        Fetch::AskEnvoy => cell.get_or_init(ask),
    };
    answer.as_ref().map(Option::as_ref).map_err(|unreadable| *unreadable)
}

/// As [`look`], for attributes of which there are many.
fn look_up<K, T>(cells: &Cache<K, T>, key: &K, fetch: Fetch, ask: impl FnOnce() -> Read<T>) -> Rc<Read<T>>
where
    K: PartialEq + ?Sized,
    Box<K>: for<'k> From<&'k K>,
{
    let known =
        cells.borrow().iter().find(|(target, _)| **target == *key).map(|(_, answer)| Rc::clone(answer));
    match (known, fetch) {
        (Some(answer), _) => answer,
        (None, Fetch::CachedOnly) => Rc::new(Err(Unreadable)),
        (None, Fetch::AskEnvoy) => {
            let answer = Rc::new(ask());
            cells.borrow_mut().push((Box::from(key), Rc::clone(&answer)));
            answer
        }
    }
}

/// An address that is there and is no IP address cannot be compared with one.
fn ip(address: Read<Vec<u8>>) -> Read<IpAddr> {
    match address? {
        Some(bytes) => parse_address(&bytes).map(Some).ok_or(Unreadable),
        None => Ok(None),
    }
}
