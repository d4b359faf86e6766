//! The same policies to our filter and to Envoy's native RBAC, in one Envoy: the same verdicts, wherever the
//! contract does not say otherwise.
//!
//! [`random`] plays random policies in the common part of both languages; [`differences`] shows, one test each, where
//! both answer differently on purpose. `docs/differences.md` lists those.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly, in its helpers too"
)]

mod bench;
mod claims;
mod compare;
mod differences;
mod generate;
mod istio;
mod judge;
mod model;
mod random;
mod shrink;
mod wire;
