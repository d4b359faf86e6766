//! Names as they arrive from the wire, parsed once at the border.
//!
//! Bytes from the wire are bytes: nothing here assumes UTF-8, and what does not parse is an outcome of
//! its own, never a guess.

mod address;
mod authority;
mod cluster;
mod host;
mod kubernetes;
mod server_name;
mod spiffe;

pub use address::{is_global, parse_address};
pub use authority::{Authority, MalformedAuthority};
pub use cluster::RoutedHost;
pub use host::{Host, HostName, MalformedHost};
pub use kubernetes::{is_dns_label, is_dns_subdomain};
pub use server_name::{ServerName, same_host};
pub use spiffe::{InvalidSpiffeId, SpiffeId, is_trust_domain};
