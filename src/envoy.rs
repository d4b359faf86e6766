//! The carrier's side of `egress-filter`: Envoy by host calls.

use crate::claims;
use crate::host::{self, Buffer};
use egress_filter::{Host, HostRefused, LocalResponse, MetricId, MetricKind, Stream};
use egress_policy::{Attributes, Claim, Read, Timestamp, Unreadable};

/// The VM's worker.
pub(crate) struct EnvoyHost;

/// A request or connection, by the number of its context. Calls speak of the one whose callback is running, until
/// [`Stream::enter`].
pub(crate) struct EnvoyStream(pub(crate) u32);

/// Hands log lines to Envoy.
struct EnvoyLog;

/// Installs the logger; what Envoy's own level leaves out it drops itself.
pub(crate) fn install_logger() {
    // A second root context of the VM finds it installed.
    if log::set_logger(&EnvoyLog).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}

impl log::Log for EnvoyLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        match record.args().as_str() {
            Some(text) => host::log(record.level(), text),
            None => host::log(record.level(), &record.args().to_string()),
        }
    }

    fn flush(&self) {}
}

impl Host for EnvoyHost {
    fn now(&self) -> Result<Timestamp, Unreadable> {
        host::now()
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostRefused> {
        host::define_metric(kind, name)
    }

    fn increment(&self, metric: MetricId, by: u64) -> Result<(), HostRefused> {
        host::increment(metric, by)
    }

    fn record(&self, metric: MetricId, value: u64) -> Result<(), HostRefused> {
        host::record(metric, value)
    }

    fn shared(&self, key: &str) -> Read<(Vec<u8>, u32)> {
        host::shared(key)
    }

    fn share(&self, key: &str, value: &[u8], version: u32) -> Result<(), HostRefused> {
        host::share(key, value, version)
    }
}

impl Attributes for EnvoyStream {
    fn peer_certificate(&self) -> Read<Vec<u8>> {
        host::property(b"connection\0uri_san_peer_certificate")
    }

    fn presents_certificate(&self) -> Result<bool, Unreadable> {
        // A one-way handshake and one that is not yet done look alike.
        let value = host::property(b"connection\0mtls")?;
        Ok(value.is_some_and(|bytes| bytes.first().is_some_and(|&byte| byte != 0)))
    }

    fn peer_filter_state(&self) -> Read<Vec<u8>> {
        host::property(b"filter_state\0io.istio.peer_principal")
    }

    fn server_name(&self) -> Read<Vec<u8>> {
        host::property(b"connection\0requested_server_name")
    }

    fn source_address(&self) -> Read<Vec<u8>> {
        host::property(b"source\0address")
    }

    fn destination_address(&self) -> Read<Vec<u8>> {
        host::property(b"destination\0address")
    }

    fn destination_port(&self) -> Read<u16> {
        match host::property(b"destination\0port")? {
            None => Ok(None),
            Some(bytes) => {
                integer(&bytes).and_then(|port| u16::try_from(port).ok()).map(Some).ok_or(Unreadable)
            }
        }
    }

    fn cluster_name(&self) -> Read<Vec<u8>> {
        host::property(b"xds\0cluster_name")
    }

    fn upstream_address(&self) -> Read<Vec<u8>> {
        host::property(b"upstream\0address")
    }

    fn authority(&self) -> Read<Vec<u8>> {
        host::request_header(":authority")
    }

    fn method(&self) -> Read<Vec<u8>> {
        host::request_header(":method")
    }

    fn path(&self) -> Read<Vec<u8>> {
        host::request_header(":path")
    }

    fn header(&self, name: &str) -> Read<Vec<u8>> {
        // The header map's call gives the first line only; the attribute joins all of them.
        host::property(&[b"request\0headers\0", name.as_bytes()].concat())
    }

    fn claim(&self, path: &[Box<str>]) -> Read<Claim> {
        claims::read(path)
    }

    fn now(&self) -> Result<Timestamp, Unreadable> {
        host::now()
    }
}

impl Stream for EnvoyStream {
    fn request_id(&self) -> Read<Vec<u8>> {
        host::property(b"request\0id")
    }

    fn connection_id(&self) -> Read<u64> {
        Ok(host::property(b"connection\0id")?.and_then(|bytes| integer(&bytes)))
    }

    fn is_tls(&self) -> Result<bool, Unreadable> {
        Ok(host::property(b"connection\0tls_version")?.is_some_and(|version| !version.is_empty()))
    }

    fn set_filter_state(&self, value: &str) -> Result<(), HostRefused> {
        host::set_property(b"egress_authz", value.as_bytes())
    }

    fn answer(&self, response: &LocalResponse<'_>) -> Result<(), HostRefused> {
        host::send_local_response(response)
    }

    fn client_bytes(&self, start: usize, size: usize) -> Read<Vec<u8>> {
        host::buffer(Buffer::Downstream, start, size)
    }

    fn site_bytes(&self, size: usize) -> Read<Vec<u8>> {
        host::buffer(Buffer::Upstream, 0, size)
    }

    fn close(&self) -> Result<(), HostRefused> {
        host::close_downstream()
    }

    fn resume(&self) -> Result<(), HostRefused> {
        host::resume_downstream()
    }

    fn enter(&self) -> Result<(), HostRefused> {
        host::set_effective_context(self.0)
    }
}

/// A number as the ABI writes it: eight bytes, little endian.
fn integer(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_answers_leaves_nothing_but_refusals() {
        let stream = EnvoyStream(1);
        assert_eq!(stream.authority(), Err(Unreadable));
        assert_eq!(stream.peer_certificate(), Err(Unreadable));
        assert_eq!(stream.presents_certificate(), Err(Unreadable));
        assert_eq!(Attributes::now(&stream), Err(Unreadable));
        assert_eq!(stream.claim(&["iss".into()]), Err(Unreadable));
        assert_eq!(stream.close(), Err(HostRefused));
    }
}
