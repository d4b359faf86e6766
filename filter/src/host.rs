//! What a carrier provides: the calls into Envoy, by one interface for WebAssembly and native code.
//!
//! No call is assumed to succeed. What Envoy does not answer is [`Unreadable`], and what it does not do is
//! [`HostRefused`]; whoever calls decides what that means, and it never means that traffic passes.

use egress_policy::{Attributes, Read, Timestamp, Unreadable};

/// Envoy did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRefused;

/// The number by which Envoy knows a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricId(pub u32);

/// How a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It is set.
    Gauge,
}

/// What an HTTP client gets in the site's place.
#[derive(Debug)]
pub struct LocalResponse<'r> {
    /// The HTTP status, 400 to 599. gRPC clients get HTTP 200 with `grpc-status: 7` instead.
    pub status: u16,
    /// `%RESPONSE_CODE_DETAILS%` of the access log.
    pub details: &'r str,
    /// The body.
    pub body: &'r str,
    /// Header names in lower case, and their values.
    pub headers: &'r [(&'r str, String)],
}

/// One worker of Envoy's: its clock, its metrics, and what all workers share.
pub trait Host {
    /// Envoy's wall clock.
    ///
    /// # Errors
    /// [`Unreadable`] where Envoy does not tell the time.
    fn now(&self) -> Result<Timestamp, Unreadable>;

    /// Defines a metric; the same name is the same metric.
    ///
    /// # Errors
    /// [`HostRefused`], as for every metric call.
    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostRefused>;

    /// Adds to a counter.
    ///
    /// # Errors
    /// [`HostRefused`].
    fn increment(&self, metric: MetricId, by: u64) -> Result<(), HostRefused>;

    /// Sets a gauge.
    ///
    /// # Errors
    /// [`HostRefused`].
    fn record(&self, metric: MetricId, value: u64) -> Result<(), HostRefused>;

    /// Bytes that all workers share under a key, with their version.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn shared(&self, key: &str) -> Read<(Vec<u8>, u32)>;

    /// Writes shared bytes if their version is still `version`; 0 where there are none yet.
    ///
    /// # Errors
    /// [`HostRefused`], also where another worker was faster.
    fn share(&self, key: &str, value: &[u8], version: u32) -> Result<(), HostRefused>;
}

/// One request or connection of Envoy's.
pub trait Stream: Attributes {
    /// HTTP: the request's id (`x-request-id`), for the audit line.
    ///
    /// # Errors
    /// [`Unreadable`], as for every attribute here.
    fn request_id(&self) -> Read<Vec<u8>>;

    /// NETWORK: Envoy's number of the connection, for the audit line.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn connection_id(&self) -> Read<u64>;

    /// Whether the client's side of the connection is TLS, its handshake finished or not.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn is_tls(&self) -> Result<bool, Unreadable>;

    /// Sets the filter state `wasm.egress_authz`, which the access log prints.
    ///
    /// # Errors
    /// [`HostRefused`].
    fn set_filter_state(&self, value: &str) -> Result<(), HostRefused>;

    /// HTTP: answers the request in the site's place.
    ///
    /// # Errors
    /// [`HostRefused`].
    fn answer(&self, response: &LocalResponse<'_>) -> Result<(), HostRefused>;

    /// NETWORK: `size` bytes of the client's that Envoy holds, from `start` on; inside of [`Connection::on_client_bytes`] only.
    ///
    /// [`Connection::on_client_bytes`]: crate::Connection::on_client_bytes
    ///
    /// # Errors
    /// [`Unreadable`].
    fn client_bytes(&self, start: usize, size: usize) -> Read<Vec<u8>>;

    /// NETWORK: the first `size` bytes of the site's that Envoy holds; inside of [`Connection::on_site_bytes`] only.
    ///
    /// [`Connection::on_site_bytes`]: crate::Connection::on_site_bytes
    ///
    /// # Errors
    /// [`Unreadable`].
    fn site_bytes(&self, size: usize) -> Read<Vec<u8>>;

    /// NETWORK: closes the client's side, and with it the connection.
    ///
    /// # Errors
    /// [`HostRefused`].
    fn close(&self) -> Result<(), HostRefused>;

    /// NETWORK: lets the client's bytes that are held go on, outside of the callback that brought them.
    ///
    /// # Errors
    /// [`HostRefused`].
    fn resume(&self) -> Result<(), HostRefused>;

    /// Makes this the stream that calls speak of, outside of its own callbacks.
    ///
    /// # Errors
    /// [`HostRefused`] where the stream is gone.
    fn enter(&self) -> Result<(), HostRefused>;
}
