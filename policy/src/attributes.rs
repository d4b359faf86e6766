//! What a decision may ask about a request or a connection.

use crate::time::Timestamp;

/// The protocol that a decision is about; the type of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// A request inside an HTTP connection manager.
    #[default]
    Http,
    /// A TCP connection, with TLS inside or not.
    Network,
}

/// An attribute: there, not there, or not to be read.
pub type Read<T> = Result<Option<T>, Unreadable>;

/// Envoy has no answer for an attribute that this protocol has. What is absent is not unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// A claim of a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A string.
    Text(Vec<u8>),
    /// A list, of which the strings count.
    List(Vec<Vec<u8>>),
    /// A number, a boolean or an object: no value that a rule could name.
    Other,
}

/// The carrier's side of a decision: raw bytes, as they came from the wire; behind each the name of Envoy's attribute.
///
/// `Ok(None)` says that the request or connection has none, `Err(`[`Unreadable`]`)` that Envoy has no answer; a verdict that
/// needs what is unreadable is a refusal. Each answer may cost a call out of the sandbox: [`Facts`](crate::Facts) asks each
/// question at most once, and only where a rule that can still match needs it. Those marked HTTP are not asked of a connection.
pub trait Attributes {
    /// The first URI SAN of the certificate that the peer presented, `spiffe://` included
    /// (`connection.uri_san_peer_certificate`). Empty is as none.
    ///
    /// # Errors
    /// [`Unreadable`], as for every attribute here.
    fn peer_certificate(&self) -> Read<Vec<u8>>;
    /// Whether the peer presented a certificate at all (`connection.mtls`); asked only where it has no URI SAN.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn presents_certificate(&self) -> Result<bool, Unreadable>;
    /// The peer that an ambient waypoint carries in the filter state `io.istio.peer_principal`, `spiffe://` included; asked only
    /// where there is no certificate.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn peer_filter_state(&self) -> Read<Vec<u8>>;
    /// The server name of the connection's own TLS, the outer one (`connection.requested_server_name`). Empty is as none.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn server_name(&self) -> Read<Vec<u8>>;
    /// The client's address, `10.0.0.1:4711` or `[::1]:4711` (`source.address`); where the gateway trusts proxies, the one that
    /// they name.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn source_address(&self) -> Read<Vec<u8>>;
    /// The gateway's address, `10.0.0.1:443` or `[::1]:443` (`destination.address`).
    ///
    /// # Errors
    /// [`Unreadable`].
    fn destination_address(&self) -> Read<Vec<u8>>;
    /// The gateway's listener port (`destination.port`).
    ///
    /// # Errors
    /// [`Unreadable`].
    fn destination_port(&self) -> Read<u16>;
    /// The cluster that the gateway chose (`xds.cluster_name`); none before it has chosen.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn cluster_name(&self) -> Read<Vec<u8>>;
    /// The site's address as the gateway resolved it, with its port (`upstream.address`); none before it dials. Empty is as none.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn upstream_address(&self) -> Read<Vec<u8>>;
    /// HTTP: `:authority`, with the port where one is written.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn authority(&self) -> Read<Vec<u8>>;
    /// HTTP: `:method`.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn method(&self) -> Read<Vec<u8>>;
    /// HTTP: `:path`, with query.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn path(&self) -> Read<Vec<u8>>;
    /// HTTP: a header by its lower-case name, several lines joined by `,` (`request.headers`).
    ///
    /// # Errors
    /// [`Unreadable`].
    fn header(&self, name: &str) -> Read<Vec<u8>>;
    /// HTTP: a claim of the token that the gateway verified, by its path, outermost name first (dynamic metadata
    /// `envoy.filters.http.jwt_authn`, `payload`); none where no token was verified.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn claim(&self, path: &[Box<str>]) -> Read<Claim>;
    /// The wall clock; asked only where a policy that applies expires.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn now(&self) -> Result<Timestamp, Unreadable>;
}
