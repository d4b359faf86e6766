//! What every carrier does with a decision of `egress-policy`.
//!
//! A carrier is what Envoy loads: a WebAssembly module (`src/`) or, later, a native one. It provides [`Host`] and [`Stream`],
//! makes a [`Worker`] for each of Envoy's workers and a [`PluginInstance`] for each configuration, and calls [`Request`] and
//! [`Connection`] with what Envoy brings. What is ambiguous, broken or unknown never passes; no call of Envoy's is assumed
//! to succeed.

mod action;
mod admissions;
mod audit;
mod connection;
mod host;
mod http;
mod instance;
mod limit;
mod loaded;
mod metrics;
mod registry;
mod reply;
mod report;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;
mod waiting;
mod worker;

pub use action::Action;
pub use connection::Connection;
pub use host::{Host, HostRefused, LocalResponse, MetricId, MetricKind, Stream};
pub use http::Request;
pub use instance::PluginInstance;
pub use loaded::LoadedConfig;
pub use worker::Worker;
