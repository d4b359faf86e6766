//! Clients: HTTP through a sidecar, and direct connections that may send anything.

mod chopped;
mod held;
pub mod http;
mod stream;
mod tls;

pub use stream::{Closed, Stream};
pub use tls::Tls;
