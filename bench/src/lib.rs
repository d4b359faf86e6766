//! What a decision costs.
//!
//! [`shapes`] are configurations of any size and the request that each allows. [`core`] is the decision by itself,
//! natively. [`gateway`] is a real Envoy with several filters side by side, [`client`] sends it requests, and
//! [`cpu`] tells what they cost there. Each of [`measure`]'s modules answers one question and returns numbers with
//! intervals ([`stats`]); [`report`] holds them against what is promised, and [`plot`] draws them.
//!
//! ```
//! use egress_bench::{core::Asker, shapes::Shape};
//!
//! let engine = egress_bench::core::engine(&Shape::Hosts.config(10)).unwrap();
//! assert!(Asker::new(&Shape::Hosts.probe(10)).is_admitted(&engine));
//! ```

pub mod client;
pub mod core;
pub mod cpu;
pub mod gateway;
pub mod measure;
pub mod native;
pub mod plot;
pub mod report;
pub use egress_test_support::shapes;
pub mod site;
pub mod stats;
pub mod vocabulary;
