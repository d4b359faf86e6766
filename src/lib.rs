//! The WebAssembly carrier: what Envoy calls, and what it is asked, by the proxy-wasm ABI.
//!
//! One wasm serves both types. `abi` is what Envoy calls; `egress-filter` does everything with it; `envoy` is its way back,
//! through `host`, the one file that calls out of the sandbox and assumes that no call succeeds. Nothing here decides.

mod abi;
mod claims;
mod envoy;
mod host;
#[cfg(feature = "trap-on-demand")]
mod trap;
