//! A VM that dies on demand, for the tests of what the gateway does then: only with the feature `trap-on-demand`, which no
//! release has.

use crate::host::{self, Buffer};

/// The header of a request that kills the VM.
const HEADER: &str = "x-lab-trap";
/// The first bytes of a connection that do.
const BYTES: &[u8] = b"TRAP";

/// Dies where the request says so.
pub(crate) fn on_request() {
    if host::request_header(HEADER).is_ok_and(|value| value.is_some()) {
        std::process::abort();
    }
}

/// Dies where the connection's first bytes say so.
pub(crate) fn on_client_bytes() {
    let first = host::buffer(Buffer::Downstream, 0, BYTES.len());
    if first.is_ok_and(|bytes| bytes.as_deref() == Some(BYTES)) {
        std::process::abort();
    }
}
