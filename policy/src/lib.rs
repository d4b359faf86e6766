//! The policy language of egress-authz, without Envoy: configuration in, verdict out.
//!
//! [`Config`] parses `pluginConfig` strictly, every error at once. [`Engine`] holds it compiled for one
//! protocol. [`Facts`] are one request or connection, read lazily through [`Attributes`], which is all that
//! a carrier has to provide. [`Engine::decide`] answers with a [`Decision`].
//!
//! The language is described in docs/language.md; nothing here calls out, logs, or knows Envoy.
//!
//! ```
//! use egress_policy::{Attributes, Claim, Config, Engine, Facts, Read, Timestamp, Unreadable};
//!
//! /// A request as its carrier sees it: raw bytes, `Ok(None)` for what is not there, `Err` for what cannot be read.
//! struct Request {
//!     peer: &'static str,
//!     authority: &'static str,
//! }
//!
//! impl Attributes for Request {
//!     fn peer_certificate(&self) -> Read<Vec<u8>> {
//!         Ok(Some(self.peer.into()))
//!     }
//!     fn authority(&self) -> Read<Vec<u8>> {
//!         Ok(Some(self.authority.into()))
//!     }
//!     fn server_name(&self) -> Read<Vec<u8>> {
//!         Ok(None)
//!     }
//!     // And so on: each answers by one call to the host.
//! #   fn presents_certificate(&self) -> Result<bool, Unreadable> { Err(Unreadable) }
//! #   fn peer_filter_state(&self) -> Read<Vec<u8>> { Err(Unreadable) }
//! #   fn source_address(&self) -> Read<Vec<u8>> { Err(Unreadable) }
//! #   fn destination_address(&self) -> Read<Vec<u8>> { Err(Unreadable) }
//! #   fn destination_port(&self) -> Read<u16> { Err(Unreadable) }
//! #   fn cluster_name(&self) -> Read<Vec<u8>> { Err(Unreadable) }
//! #   fn upstream_address(&self) -> Read<Vec<u8>> { Err(Unreadable) }
//! #   fn method(&self) -> Read<Vec<u8>> { Err(Unreadable) }
//! #   fn path(&self) -> Read<Vec<u8>> { Err(Unreadable) }
//! #   fn header(&self, _: &str) -> Read<Vec<u8>> { Err(Unreadable) }
//! #   fn claim(&self, _: &[Box<str>]) -> Read<Claim> { Err(Unreadable) }
//! #   fn now(&self) -> Result<Timestamp, Unreadable> { Err(Unreadable) }
//! }
//!
//! let config = Config::parse(br#"{"policies": [{"name": "search", "namespace": "shop", "rules": [
//!     {"to": [{"operation": {"hosts": ["*.example.com"]}}]}]}]}"#).unwrap();
//! let engine = Engine::new(config);
//! let settings = engine.settings();
//! let decide = |peer, authority| {
//!     let request = Request { peer, authority };
//!     let facts = Facts::http(&request, &settings.trust_domains, settings.path_readings);
//!     engine.decide(&facts).to_string()
//! };
//! let peer = "spiffe://cluster.local/ns/shop/sa/web";
//! assert_eq!(decide(peer, "www.example.com:443"), "allow[ns[shop]-policy[search]-rule[0]]");
//! assert_eq!(decide(peer, "example.org"), "deny[no_allow_matched]");
//! assert_eq!(decide("spiffe://elsewhere/ns/shop/sa/web", "www.example.com"), "deny[untrusted_domain]");
//!
//! // A configuration with any error is refused whole, and every error has its path and, where one is obvious, its repair.
//! let errors = Config::parse(br#"{"polices": []}"#).unwrap_err();
//! assert_eq!(errors[0].to_string(), "polices: unknown key; write `policies`");
//! ```

mod admission_cache;
mod attributes;
pub mod config;
mod facts;
mod fault;
mod hello;
pub mod names;
mod path_readings;
pub mod patterns;
mod peer;
pub mod rules;
mod time;
mod truth;
mod verdict;

pub use admission_cache::{AdmissionCache, AdmissionId, RecordingAttributes};
pub use attributes::{Attributes, Claim, Protocol, Read, Unreadable};
pub use config::{Config, ConfigError};
pub use facts::{BrokenHello, Facts, Opening, Target};
pub use fault::Fault;
pub use hello::{HandshakeWatch, HelloReader, MAX_HELLO, Progress, Watched};
pub use path_readings::{MAX_READ_TWICE, PathReadings, Readings};
pub use peer::Peer;
pub use time::Timestamp;
pub use truth::Truth;
pub use verdict::{Decision, Engine, Pending, Reason, RuleRef, Step, Trace, Verdict};
