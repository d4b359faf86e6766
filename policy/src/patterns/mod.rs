//! Patterns as policies write them, parsed once when a configuration is loaded.
//!
//! Every type here has `parse`, which answers with a [`Fault`](crate::Fault) and its repair, and a match
//! that cannot fail.

mod account;
mod cidr;
mod glob;
mod host;
mod method;
mod path;
mod principal;
mod request_principal;
mod text;
mod trust_domain;

pub use account::AccountPattern;
pub use cidr::CidrPattern;
pub use glob::NamespacePattern;
pub use host::{HostPattern, HostShape, PortPattern};
pub(crate) use method::is_token_byte;
pub use method::parse_method;
pub use path::PathPattern;
pub use principal::{PrincipalPattern, TrustDomains};
pub use request_principal::RequestPrincipalPattern;
pub use text::{ServerNamePattern, TextPattern};
pub use trust_domain::TrustDomainPattern;
