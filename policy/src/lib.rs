//! The policy language of egress-authz, without any host: configuration in, verdict out.
//!
//! [`Config`] parses `pluginConfig` strictly, every error at once. [`Engine`] holds it compiled for one
//! protocol. [`Facts`] are one request or connection, read lazily through [`Attributes`], which is all that
//! a host has to provide. [`Engine::decide`] answers with a [`Decision`].
//!
//! ```
//! use egress_policy::{Config, Engine};
//!
//! let config = Config::parse(br#"{"policies": [{"name": "search", "rules": [
//!     {"to": [{"operation": {"hosts": ["*.example.com"]}}]}]}]}"#).unwrap();
//! assert_eq!(Engine::new(config).policies().len(), 1);
//!
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
