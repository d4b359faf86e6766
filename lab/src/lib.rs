//! The local mesh: everything around the filter, and nothing of the filter.
//!
//! A real Envoy as egress gateway with Istio's listeners ([`gateway`]), sidecars that present each workload's SPIFFE
//! certificate ([`sidecar`]), an external world that answers for any host and counts who reached it ([`world`]), and
//! clients for all of it ([`client`]). All on loopback, on free ports, and gone when dropped.
//!
//! ```no_run
//! use egress_lab::{client::http::Ask, filter::Filter, mesh::Mesh, shape::{Kind, Listener, Shape}, sidecar::Workload};
//!
//! let shape = Shape::new(vec![Listener::new(Kind::Mtls80, Filter::None)]);
//! let mesh = Mesh::start(&shape, &[Workload::new("default/sleep")])?;
//! let answer = mesh.http("default/sleep", &Ask::parse("GET http://www.example.com/")?)?;
//! assert_eq!(answer.status, 200);
//! assert_eq!(mesh.world().seen().requests_for("www.example.com"), 1);
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod access_log;
pub mod certs;
pub mod client;
pub mod compose;
pub mod envoy;
pub mod filter;
pub mod gateway;
pub mod mesh;
pub mod paths;
pub mod provision;
mod rt;
pub mod scenario;
pub mod shape;
pub mod sidecar;
pub mod supervisor;
mod template;
pub mod token;
pub mod upstream;
pub mod world;
