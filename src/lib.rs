//! The filter: what Envoy calls, and what it is told.
//!
//! One wasm serves both types. `abi` is what the host calls, `root` holds the configuration, `http` decides each request and
//! `network` each connection; both ask the core, `egress_policy`, through `attributes`. `host` is the one
//! file that calls out of the sandbox, and it assumes that no call succeeds.

mod abi;
mod attributes;
mod audit;
mod host;
mod http;
mod metrics;
mod network;
mod plugin;
mod reply;
mod root;
#[cfg(feature = "trap-on-demand")]
mod trap;
