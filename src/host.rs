//! Every call out of the sandbox, in one place.
//!
//! The SDK's wrappers panic on a status that they do not know and on bytes that are not UTF-8; one hostile
//! header would kill the VM of a worker. Here every status is an answer, and bytes are bytes.

use egress_filter::{HostRefused, LocalResponse, MetricId, MetricKind};
use egress_policy::{Read, Timestamp, Unreadable};

/// Whose bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buffer {
    Downstream = 2,
    Upstream = 3,
    Configuration = 7,
}

/// Severities of a log line.
const TRACE: u32 = 0;
const DEBUG: u32 = 1;
const INFO: u32 = 2;
const WARN: u32 = 3;
const ERROR: u32 = 4;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const DOWNSTREAM: u32 = 2;
const REQUEST_HEADERS: u32 = 0;
const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
/// PERMISSION_DENIED, for gRPC clients only; Envoy would derive it from the HTTP status, which is the user's to choose.
const GRPC_PERMISSION_DENIED: i32 = 7;

/// Writes a line to the gateway's log. A host that does not take it cannot be told so.
pub(crate) fn log(level: log::Level, message: &str) {
    let level = match level {
        log::Level::Trace => TRACE,
        log::Level::Debug => DEBUG,
        log::Level::Info => INFO,
        log::Level::Warn => WARN,
        log::Level::Error => ERROR,
    };
    let _ = sys::log(level, message.as_bytes());
}

/// An attribute of the request or connection; the segments of the path are separated by NUL.
pub(crate) fn property(path: &[u8]) -> Read<Vec<u8>> {
    let (status, value) = sys::get_property(path);
    answer(status, value)
}

/// The first line of a request header; pseudo-headers have no more than one.
pub(crate) fn request_header(name: &str) -> Read<Vec<u8>> {
    let (status, value) = sys::get_header(REQUEST_HEADERS, name.as_bytes());
    answer(status, value)
}

/// Sets a string in the filter state of the request or connection.
pub(crate) fn set_property(path: &[u8], value: &[u8]) -> Result<(), HostRefused> {
    done(sys::set_property(path, value))
}

/// Part of a buffer; nothing where there is none.
pub(crate) fn buffer(buffer: Buffer, start: usize, size: usize) -> Read<Vec<u8>> {
    let (status, bytes) = sys::get_buffer(buffer as u32, start, size);
    answer(status, bytes)
}

/// Answers the request in the site's place.
pub(crate) fn send_local_response(response: &LocalResponse<'_>) -> Result<(), HostRefused> {
    let headers = serialize_map(response.headers);
    done(sys::send_local_response(
        u32::from(response.status),
        response.details.as_bytes(),
        response.body.as_bytes(),
        &headers,
        GRPC_PERMISSION_DENIED,
    ))
}

/// Closes the client's side of the connection.
pub(crate) fn close_downstream() -> Result<(), HostRefused> {
    done(sys::close_stream(DOWNSTREAM))
}

/// Lets the client's bytes that wait go on.
pub(crate) fn resume_downstream() -> Result<(), HostRefused> {
    done(sys::continue_stream(DOWNSTREAM))
}

/// Makes the calls that follow speak of another context, from within a tick.
pub(crate) fn set_effective_context(context: u32) -> Result<(), HostRefused> {
    done(sys::set_effective_context(context))
}

/// Asks for a tick every so many milliseconds.
pub(crate) fn set_tick(milliseconds: u32) -> Result<(), HostRefused> {
    done(sys::set_tick(milliseconds))
}

/// The host's clock.
pub(crate) fn now() -> Result<Timestamp, Unreadable> {
    let (status, nanos) = sys::now();
    if status != OK {
        return Err(Unreadable);
    }
    let seconds = i64::try_from(nanos / 1_000_000_000).map_err(|_| Unreadable)?;
    let rest = u32::try_from(nanos % 1_000_000_000).map_err(|_| Unreadable)?;
    Ok(Timestamp::from_unix(seconds, rest))
}

/// Names a metric; the same name is the same metric.
pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<MetricId, HostRefused> {
    let kind = match kind {
        MetricKind::Counter => COUNTER,
        MetricKind::Gauge => GAUGE,
    };
    let (status, id) = sys::define_metric(kind, name.as_bytes());
    done(status).map(|()| MetricId(id))
}

/// Adds to a counter.
pub(crate) fn increment(metric: MetricId, by: u64) -> Result<(), HostRefused> {
    // Envoy reads the offset as signed and takes only positive ones for a counter.
    let by = i64::try_from(by).map_err(|_| HostRefused)?;
    done(sys::increment_metric(metric.0, by))
}

/// Sets a gauge.
pub(crate) fn record(metric: MetricId, value: u64) -> Result<(), HostRefused> {
    done(sys::record_metric(metric.0, value))
}

/// Bytes that the VMs of all workers share, with their version.
pub(crate) fn shared(key: &str) -> Read<(Vec<u8>, u32)> {
    let (status, value, generation) = sys::get_shared_data(key.as_bytes());
    answer(status, value).map(|value| value.map(|value| (value, generation)))
}

/// Writes shared bytes if their version is still this one; 0 where there are none yet.
pub(crate) fn share(key: &str, value: &[u8], generation: u32) -> Result<(), HostRefused> {
    done(sys::set_shared_data(key.as_bytes(), value, generation))
}

fn answer(status: u32, value: Vec<u8>) -> Read<Vec<u8>> {
    match status {
        OK => Ok(Some(value)),
        NOT_FOUND => Ok(None),
        _ => Err(Unreadable),
    }
}

fn done(status: u32) -> Result<(), HostRefused> {
    if status == OK { Ok(()) } else { Err(HostRefused) }
}

/// The ABI's form of a map: a count, the sizes, then keys and values, each ended by NUL.
fn serialize_map(pairs: &[(&str, String)]) -> Vec<u8> {
    let size = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = u32::try_from(pairs.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for (name, value) in pairs {
        bytes.extend(size(name));
        bytes.extend(size(value));
    }
    for (name, value) in pairs {
        bytes.extend(name.as_bytes());
        bytes.push(0);
        bytes.extend(value.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// Reads a map in the ABI's form; `None` where the bytes are not exactly one.
pub(crate) fn parse_map(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rest = bytes;
    let count = take_u32(&mut rest)?;
    // Each pair takes eight bytes of sizes and two NULs at least; a count beyond that is not a map's.
    if count.checked_mul(10)? > rest.len() {
        return None;
    }
    let mut sizes = Vec::with_capacity(count);
    for _ in 0..count {
        sizes.push((take_u32(&mut rest)?, take_u32(&mut rest)?));
    }
    let mut pairs = Vec::with_capacity(count);
    for (key, value) in sizes {
        pairs.push((take_text(&mut rest, key)?, take_text(&mut rest, value)?));
    }
    rest.is_empty().then_some(pairs)
}

fn take_u32(rest: &mut &[u8]) -> Option<usize> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    usize::try_from(u32::from_le_bytes(*head)).ok()
}

fn take_text(rest: &mut &[u8], size: usize) -> Option<Vec<u8>> {
    let (text, tail) = rest.split_at_checked(size)?;
    *rest = tail.strip_prefix(b"\0")?;
    Some(text.to_vec())
}

/// The ABI, proxy-wasm 0.2.1.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "calls of the host's ABI; no other module makes any")]
mod sys {
    use std::ptr::null_mut;

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
        fn proxy_get_property(
            path: *const u8,
            size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        fn proxy_set_property(path: *const u8, size: usize, value: *const u8, value_size: usize) -> u32;
        fn proxy_get_header_map_value(
            map: u32,
            key: *const u8,
            size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max: usize,
            bytes: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
        fn proxy_continue_stream(stream: u32) -> u32;
        fn proxy_close_stream(stream: u32) -> u32;
        fn proxy_set_effective_context(context: u32) -> u32;
        fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        fn proxy_get_shared_data(
            key: *const u8,
            size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
            generation: *mut u32,
        ) -> u32;
        fn proxy_set_shared_data(
            key: *const u8,
            size: usize,
            value: *const u8,
            value_size: usize,
            generation: u32,
        ) -> u32;
        fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
        fn proxy_increment_metric(id: u32, offset: i64) -> u32;
        fn proxy_record_metric(id: u32, value: u64) -> u32;
    }

    /// Takes over bytes that the host has put into this module's memory.
    fn take(data: *mut u8, size: usize) -> Vec<u8> {
        if data.is_null() || size == 0 {
            return Vec::new();
        }
        // SAFETY: the host obtained `data` from `proxy_on_memory_allocate(size)` (`abi.rs`), which
        // leaks a boxed slice of exactly `size` bytes, and hands it over for good.
        unsafe { Vec::from_raw_parts(data, size, size) }
    }

    pub(super) fn log(level: u32, message: &[u8]) -> u32 {
        // SAFETY: the pointer and size are those of a live slice.
        unsafe { proxy_log(level, message.as_ptr(), message.len()) }
    }

    pub(super) fn get_property(path: &[u8]) -> (u32, Vec<u8>) {
        let (mut data, mut size) = (null_mut(), 0);
        // SAFETY: as above, and the out-pointers are those of live variables.
        let status = unsafe { proxy_get_property(path.as_ptr(), path.len(), &raw mut data, &raw mut size) };
        (status, take(data, size))
    }

    pub(super) fn set_property(path: &[u8], value: &[u8]) -> u32 {
        // SAFETY: the pointers and sizes are those of live slices.
        unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) }
    }

    pub(super) fn get_header(map: u32, name: &[u8]) -> (u32, Vec<u8>) {
        let (mut data, mut size) = (null_mut(), 0);
        // SAFETY: as for `get_property`.
        let status = unsafe {
            proxy_get_header_map_value(map, name.as_ptr(), name.len(), &raw mut data, &raw mut size)
        };
        (status, take(data, size))
    }

    pub(super) fn get_buffer(buffer: u32, start: usize, max: usize) -> (u32, Vec<u8>) {
        let (mut data, mut size) = (null_mut(), 0);
        // SAFETY: as for `get_property`.
        let status = unsafe { proxy_get_buffer_bytes(buffer, start, max, &raw mut data, &raw mut size) };
        (status, take(data, size))
    }

    pub(super) fn send_local_response(
        status: u32,
        details: &[u8],
        body: &[u8],
        headers: &[u8],
        grpc_status: i32,
    ) -> u32 {
        // SAFETY: the pointers and sizes are those of live slices.
        unsafe {
            proxy_send_local_response(
                status,
                details.as_ptr(),
                details.len(),
                body.as_ptr(),
                body.len(),
                headers.as_ptr(),
                headers.len(),
                grpc_status,
            )
        }
    }

    pub(super) fn continue_stream(stream: u32) -> u32 {
        // SAFETY: no pointers.
        unsafe { proxy_continue_stream(stream) }
    }

    pub(super) fn close_stream(stream: u32) -> u32 {
        // SAFETY: no pointers.
        unsafe { proxy_close_stream(stream) }
    }

    pub(super) fn set_effective_context(context: u32) -> u32 {
        // SAFETY: no pointers.
        unsafe { proxy_set_effective_context(context) }
    }

    pub(super) fn set_tick(milliseconds: u32) -> u32 {
        // SAFETY: no pointers.
        unsafe { proxy_set_tick_period_milliseconds(milliseconds) }
    }

    pub(super) fn now() -> (u32, u64) {
        let mut time = 0;
        // SAFETY: the out-pointer is that of a live variable.
        let status = unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
        (status, time)
    }

    pub(super) fn get_shared_data(key: &[u8]) -> (u32, Vec<u8>, u32) {
        let (mut data, mut size, mut generation) = (null_mut(), 0, 0);
        // SAFETY: as for `get_property`.
        let status = unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), &raw mut data, &raw mut size, &raw mut generation)
        };
        (status, take(data, size), generation)
    }

    pub(super) fn set_shared_data(key: &[u8], value: &[u8], generation: u32) -> u32 {
        // SAFETY: the pointers and sizes are those of live slices.
        unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), generation) }
    }

    pub(super) fn define_metric(kind: u32, name: &[u8]) -> (u32, u32) {
        let mut id = 0;
        // SAFETY: the slice and the out-pointer are live.
        let status = unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
        (status, id)
    }

    pub(super) fn increment_metric(id: u32, by: i64) -> u32 {
        // SAFETY: no pointers.
        unsafe { proxy_increment_metric(id, by) }
    }

    pub(super) fn record_metric(id: u32, value: u64) -> u32 {
        // SAFETY: no pointers.
        unsafe { proxy_record_metric(id, value) }
    }
}

/// Outside a sandbox there is no host: every call is refused, so that what is built upon them can be tested
/// to fail closed.
#[cfg(not(target_arch = "wasm32"))]
mod sys {
    const UNIMPLEMENTED: u32 = 12;

    pub(super) fn log(_: u32, _: &[u8]) -> u32 {
        UNIMPLEMENTED
    }

    pub(super) fn get_property(_: &[u8]) -> (u32, Vec<u8>) {
        (UNIMPLEMENTED, Vec::new())
    }

    pub(super) fn set_property(_: &[u8], _: &[u8]) -> u32 {
        UNIMPLEMENTED
    }

    pub(super) fn get_header(_: u32, _: &[u8]) -> (u32, Vec<u8>) {
        (UNIMPLEMENTED, Vec::new())
    }

    pub(super) fn get_buffer(_: u32, _: usize, _: usize) -> (u32, Vec<u8>) {
        (UNIMPLEMENTED, Vec::new())
    }

    pub(super) fn send_local_response(_: u32, _: &[u8], _: &[u8], _: &[u8], _: i32) -> u32 {
        UNIMPLEMENTED
    }

    pub(super) fn continue_stream(_: u32) -> u32 {
        UNIMPLEMENTED
    }

    pub(super) fn close_stream(_: u32) -> u32 {
        UNIMPLEMENTED
    }

    pub(super) fn set_effective_context(_: u32) -> u32 {
        UNIMPLEMENTED
    }

    pub(super) fn set_tick(_: u32) -> u32 {
        UNIMPLEMENTED
    }

    pub(super) fn now() -> (u32, u64) {
        (UNIMPLEMENTED, 0)
    }

    pub(super) fn get_shared_data(_: &[u8]) -> (u32, Vec<u8>, u32) {
        (UNIMPLEMENTED, Vec::new(), 0)
    }

    pub(super) fn set_shared_data(_: &[u8], _: &[u8], _: u32) -> u32 {
        UNIMPLEMENTED
    }

    pub(super) fn define_metric(_: u32, _: &[u8]) -> (u32, u32) {
        (UNIMPLEMENTED, 0)
    }

    pub(super) fn increment_metric(_: u32, _: i64) -> u32 {
        UNIMPLEMENTED
    }

    pub(super) fn record_metric(_: u32, _: u64) -> u32 {
        UNIMPLEMENTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the ABI, as the SDK knows them: should they change there, this is where it is noticed.
    #[test]
    fn numbers_are_those_of_the_sdk() {
        use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType, Status, StreamType};
        assert_eq!((OK, NOT_FOUND), (Status::Ok as u32, Status::NotFound as u32));
        assert_eq!(DOWNSTREAM, StreamType::Downstream as u32);
        assert_eq!(REQUEST_HEADERS, MapType::HttpRequestHeaders as u32);
        assert_eq!((COUNTER, GAUGE), (MetricType::Counter as u32, MetricType::Gauge as u32));
        let buffers = [BufferType::DownstreamData, BufferType::UpstreamData, BufferType::PluginConfiguration];
        let ours = [Buffer::Downstream, Buffer::Upstream, Buffer::Configuration];
        assert_eq!(ours.map(|buffer| buffer as u32), buffers.map(|buffer| buffer as u32));
        let levels = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
        assert_eq!([TRACE, DEBUG, INFO, WARN, ERROR], levels.map(|level| level as u32));
    }

    #[test]
    fn maps_come_back_as_they_went() {
        for pairs in [vec![], vec![("a", "b")], vec![("x-policy", ""), ("", "v"), ("k", "a\0b")]] {
            let pairs: Vec<_> = pairs.into_iter().map(|(k, v)| (k, v.to_owned())).collect();
            let parsed = parse_map(&serialize_map(&pairs)).unwrap();
            let expected: Vec<_> =
                pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
            assert_eq!(parsed, expected);
        }
    }

    #[test]
    fn what_is_no_map_is_none() {
        let map = serialize_map(&[("key", "value".to_owned())]);
        for cut in 0..map.len() {
            assert_eq!(parse_map(&map[..cut]), None, "{cut}");
        }
        assert_eq!(parse_map(&[map.clone(), vec![0]].concat()), None);
        assert_eq!(parse_map(b"\xff\xff\xff\xff"), None);
        assert_eq!(parse_map(b"a string"), None);
    }
}
