//! What the host calls: the exports of proxy-wasm ABI 0.2.1, and the contexts that they speak of.
//!
//! This takes the place of the SDK's dispatcher, for three reasons. That one panics where a callback does not
//! fit the context it made (a filter loaded for the wrong type) or a context is unknown; here such traffic is
//! refused, with its reason. It exports every callback, so that the host enters the VM for each response and
//! log entry, too; here only what decides is exported. And it is a fifth of the filter's bytes.

use crate::envoy::{EnvoyHost, EnvoyStream, install_logger};
use crate::host::{self, Buffer};
use egress_filter::{Action, Connection, PluginInstance, Request, Worker};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// What the host is to do with the bytes at hand.
const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

/// A context of the host's. Of which type one is, only its first callback tells.
#[derive(Clone)]
enum Context {
    Root(Rc<PluginInstance>),
    New(Rc<PluginInstance>),
    Request(Rc<Request>),
    Connection(Rc<Connection>),
}

/// Context ids are small numbers given out by the host: they need no hashing.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // The table takes its buckets from the low bits and its tags from the high ones.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = u64::from(id);
    }
}

type Contexts = HashMap<u32, Context, BuildHasherDefault<IdHasher>>;

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
    /// A VM serves one worker, or the main thread.
    static WORKER: Rc<Worker> = Worker::new(Box::new(EnvoyHost));
}

/// No borrow outlives this: the host may call back while a callback runs.
fn find(id: u32) -> Option<Context> {
    CONTEXTS.with_borrow(|contexts| contexts.get(&id).cloned())
}

fn store(id: u32, context: Context) {
    let _ = CONTEXTS.with_borrow_mut(|contexts| contexts.insert(id, context));
}

/// A context is made: a root where there is no parent, otherwise a request or a connection.
fn create(id: u32, parent: u32) {
    let context = match find(parent) {
        _ if parent == 0 => Context::Root(WORKER.with(PluginInstance::new)),
        Some(Context::Root(root)) => Context::New(root),
        // A parent that is no root: whatever comes of it is unknown here, and refused.
        _ => return,
    };
    store(id, context);
}

fn root(id: u32) -> Option<Rc<PluginInstance>> {
    match find(id) {
        Some(Context::Root(root)) => Some(root),
        _ => None,
    }
}

/// The request behind a context; its first callback makes it one.
fn request(id: u32) -> Option<Rc<Request>> {
    match find(id)? {
        Context::Request(request) => Some(request),
        Context::New(instance) => {
            let request = Rc::new(Request::new(instance));
            store(id, Context::Request(Rc::clone(&request)));
            Some(request)
        }
        Context::Root(_) | Context::Connection(_) => None,
    }
}

/// The connection behind a context; its first callback makes it one.
fn connection(id: u32) -> Option<Rc<Connection>> {
    match find(id)? {
        Context::Connection(connection) => Some(connection),
        Context::New(instance) => {
            let connection = Rc::new(Connection::new(instance, Box::new(EnvoyStream(id))));
            store(id, Context::Connection(Rc::clone(&connection)));
            Some(connection)
        }
        Context::Root(_) | Context::Request(_) => None,
    }
}

/// A root context starts: says once what the VM runs.
fn start() {
    install_logger();
    let (version, revision) = (env!("CARGO_PKG_VERSION"), env!("EGRESS_AUTHZ_REVISION"));
    log::info!("egress-authz {version} ({revision}) started");
    WORKER.with(|worker| worker.on_start());
}

/// A configuration of so many bytes arrives.
fn configure(instance: &PluginInstance, size: usize) -> bool {
    let bytes = match host::buffer(Buffer::Configuration, 0, size) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(_) if size == 0 => Vec::new(),
        Err(_) => {
            log::error!("egress-authz: Envoy does not hand over pluginConfig");
            return false;
        }
    };
    let name = host::property(b"plugin_name").ok().flatten().unwrap_or_default();
    if !instance.configure(&name, &bytes) {
        return false;
    }
    if host::set_tick(instance.tick_milliseconds()).is_err() {
        log::error!("egress-authz: Envoy grants no tick; counters and time limits would not work");
        return false;
    }
    true
}

/// What is asked about a context that is not there is refused.
fn or_hold(action: Option<Action>) -> u32 {
    match action {
        Some(Action::Continue) => CONTINUE,
        Some(Action::Pause) | None => PAUSE,
    }
}

/// The exports themselves. What is not exported is not called: a request enters the VM to be made, to be decided
/// and to be forgotten.
#[cfg_attr(
    test,
    expect(
        dead_code,
        reason = "in tests the SDK's crate, whose numbers are compared, exports the same names"
    )
)]
#[cfg_attr(
    not(test),
    expect(unsafe_code, reason = "exported by name, once each; the ABI fixes names and types")
)]
mod exports {
    use super::{CONTEXTS, EnvoyStream, configure, connection, create, or_hold, request, root, start};

    #[cfg(target_arch = "wasm32")]
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }

    #[cfg(target_arch = "wasm32")]
    #[unsafe(no_mangle)]
    extern "C" fn _initialize() {
        // SAFETY: the linker makes this function; the host calls us once, before anything else.
        unsafe { __wasm_call_ctors() }
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_abi_version_0_2_1() {}

    /// Memory for an answer of the host; `host` takes it over with the same size.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
        Box::into_raw(vec![0_u8; size].into_boxed_slice()).cast()
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
        create(id, parent);
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_vm_start(id: u32, _size: usize) -> u32 {
        start();
        u32::from(root(id).is_some())
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_configure(id: u32, size: usize) -> u32 {
        u32::from(root(id).is_some_and(|root| configure(&root, size)))
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_tick(id: u32) {
        if let Some(root) = root(id) {
            root.on_tick();
        }
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_request_headers(id: u32, _headers: usize, _end: u32) -> u32 {
        #[cfg(feature = "trap-on-demand")]
        crate::trap::on_request();
        or_hold(request(id).map(|request| request.on_headers(&EnvoyStream(id))))
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_request_body(id: u32, _size: usize, _end: u32) -> u32 {
        or_hold(request(id).map(|request| request.on_more()))
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_request_trailers(id: u32, _trailers: usize) -> u32 {
        or_hold(request(id).map(|request| request.on_more()))
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_new_connection(id: u32) -> u32 {
        or_hold(connection(id).map(|connection| connection.on_new()))
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_downstream_data(id: u32, size: usize, end: u32) -> u32 {
        #[cfg(feature = "trap-on-demand")]
        crate::trap::on_client_bytes();
        or_hold(connection(id).map(|connection| connection.on_client_bytes(size, end != 0)))
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_upstream_data(id: u32, size: usize, _end: u32) -> u32 {
        or_hold(connection(id).map(|connection| connection.on_site_bytes(size)))
    }

    #[cfg_attr(not(test), unsafe(no_mangle))]
    extern "C" fn proxy_on_delete(id: u32) {
        // Dropped after the borrow has ended.
        let context = CONTEXTS.with_borrow_mut(|contexts| contexts.remove(&id));
        match context {
            Some(super::Context::Connection(connection)) => connection.on_delete(),
            Some(super::Context::Root(root)) => root.on_delete(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: u32 = PAUSE;

    #[test]
    fn actions_are_those_of_the_sdk() {
        use proxy_wasm::types::Action as Sdk;
        assert_eq!((CONTINUE, PAUSE), (Sdk::Continue as u32, Sdk::Pause as u32));
    }

    #[test]
    fn what_is_unknown_or_of_another_kind_is_held() {
        create(1, 0);
        create(2, 1);
        create(3, 1);
        create(4, 99);
        assert!(root(1).is_some() && root(2).is_none() && root(9).is_none());
        assert!(request(2).is_some() && connection(2).is_none());
        assert!(connection(3).is_some() && request(3).is_none());
        assert!(request(1).is_none() && connection(1).is_none());
        assert_eq!(or_hold(request(4).map(|request| request.on_headers(&EnvoyStream(4)))), HOLD);
        assert_eq!(or_hold(connection(9).map(|connection| connection.on_client_bytes(1, false))), HOLD);
    }

    #[test]
    fn without_a_configuration_nothing_passes() {
        create(11, 0);
        create(12, 11);
        create(13, 11);
        assert_eq!(or_hold(request(12).map(|request| request.on_headers(&EnvoyStream(12)))), HOLD);
        assert_eq!(or_hold(request(12).map(|request| request.on_more())), HOLD);
        assert_eq!(or_hold(connection(13).map(|connection| connection.on_client_bytes(9, false))), HOLD);
        assert_eq!(or_hold(connection(13).map(|connection| connection.on_site_bytes(9))), HOLD);
    }
}
