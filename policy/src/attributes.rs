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

/// The host has no answer for an attribute that this protocol has. Absent is not unreadable.
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

/// The host's side of a decision: raw bytes, as they came from the wire.
///
/// Each answer may cost a call out of the sandbox; [`Facts`](crate::Facts) asks each question at most once,
/// and only where a rule that can still match needs it.
pub trait Attributes {
    /// The first URI SAN of the certificate that the peer presented.
    ///
    /// # Errors
    /// [`Unreadable`], as for every attribute here.
    fn peer_certificate(&self) -> Read<Vec<u8>>;
    /// Whether the peer presented a certificate at all; asked only where it has no URI SAN.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn presents_certificate(&self) -> Result<bool, Unreadable>;
    /// The peer that an ambient waypoint carries in the filter state `io.istio.peer_principal`.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn peer_filter_state(&self) -> Read<Vec<u8>>;
    /// The server name of the connection's own TLS, the outer one.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn server_name(&self) -> Read<Vec<u8>>;
    /// The client's address as Envoy writes it, with a port.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn source_address(&self) -> Read<Vec<u8>>;
    /// The gateway's address as Envoy writes it, with a port.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn destination_address(&self) -> Read<Vec<u8>>;
    /// The gateway's listener port.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn destination_port(&self) -> Read<u16>;
    /// The cluster that the gateway chose.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn cluster_name(&self) -> Read<Vec<u8>>;
    /// The site's address as the gateway resolved it.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn upstream_address(&self) -> Read<Vec<u8>>;
    /// HTTP: `:authority`.
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
    /// HTTP: a header by its lower-case name, several lines joined by `,`.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn header(&self, name: &str) -> Read<Vec<u8>>;
    /// HTTP: a claim of the token that the gateway verified, by its path.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn claim(&self, path: &[Box<str>]) -> Read<Claim>;
    /// The time; asked only where some policy expires.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn now(&self) -> Result<Timestamp, Unreadable>;
}
