//! A real Istio on one machine, without Kubernetes nodes: what the filter meets in a cluster, and nothing imitated.
//!
//! etcd, API server, istiod, agents, sidecars and the egress gateway are the programs of Kubernetes and Istio themselves
//! ([`programs`]), the image goes through a real registry, and applications are an unmodified curl behind their sidecars
//! ([`curl`]). Each lives in a network namespace of the lab's own ([`netns`]): no address, route or rule of the machine is
//! touched. Only what a cluster's controllers and kubelets would write is written by the lab: Pods and EndpointSlices.
//!
//! ```no_run
//! use egress_mesh::{curl::Got, manifests, mesh::{Mesh, Options}};
//!
//! let mut mesh = Mesh::start(&Options::with_workloads(&["default/sleep"])?)?;
//! let short = manifests::render("examples/egress/deny-namespace.yaml".as_ref(), &[])?;
//! mesh.replace(&manifests::with_image(short, mesh.image()))?;
//! let Got::Answer(answer) = mesh.pod("default/sleep")?.curl().run(&["http://www.aliyun.com/"])? else {
//!     anyhow::bail!("closed");
//! };
//! assert_eq!(answer.status, 200);
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod control_plane;
pub mod curl;
pub mod daemon;
mod guard;
pub mod kubectl;
pub mod manifests;
pub mod mesh;
pub mod netns;
pub mod place;
pub mod play;
pub mod pod;
pub mod programs;
mod services;
pub mod settle;

pub use guard::down;
