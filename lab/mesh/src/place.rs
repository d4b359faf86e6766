//! Where everything of the mesh is: names, addresses, folders.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// All namespaces of the lab begin with this; what is left of a crashed run is found by it.
pub const PREFIX: &str = "egm-";

/// The namespace of bridge, control plane, registry and DNS.
pub const HUB: &str = "egm-hub";

/// The namespace of the external world.
pub const WORLD: &str = "egm-world";

/// The bridge's address, where control plane, registry and DNS listen.
pub const HUB_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The length of the pods' network prefix.
pub(crate) const PREFIX_LENGTH: u8 = 16;

/// Kubernetes' addresses of Services. Nobody dials them: sidecars know the pods.
pub(crate) const SERVICE_NETWORK: &str = "10.78.0.0/16";

/// The address of every site. It must look like one of the internet, since the shipped policies refuse special-purpose ranges;
/// nothing of it is contacted, because the namespaces have no way out.
pub const WORLD_ADDRESS: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);

/// The world's ports, as sites have them.
pub const WORLD_HTTP: u16 = 80;
/// HTTPS.
pub const WORLD_TLS: u16 = 443;
/// The server that speaks first.
pub const WORLD_BANNER: u16 = 25;

/// The API server.
pub const API_PORT: u16 = 6443;
/// The registry.
pub const REGISTRY_PORT: u16 = 5000;
/// The name that istiod's certificate bears.
pub(crate) const ISTIOD: &str = "istiod.istio-system.svc";
/// istiod's discovery over TLS.
pub(crate) const ISTIOD_PORT: u16 = 15012;
/// istiod's plain HTTP: readiness and debug pages.
pub const ISTIOD_HTTP: u16 = 8080;
/// Envoy's admin interface, in each pod on loopback.
pub(crate) const ADMIN_PORT: u16 = 15000;

/// The user that agents and their Envoys run as; its traffic is not taken by the sidecar's rules.
pub const PROXY_USER: u32 = 1337;
/// The user that applications run as.
pub const APPLICATION_USER: u32 = 65534;

/// Everything that the mesh writes while it runs. It must be a place that user 1337 reaches.
pub const RUN: &str = "/run/egress-mesh";

/// Held by whoever runs the mesh.
pub(crate) const LOCK: &str = "/run/lock/egress-mesh.lock";

/// A folder of the running mesh.
pub(crate) fn run_dir(name: &str) -> PathBuf {
    Path::new(RUN).join(name)
}

/// The address of the pod of a number.
pub(crate) fn pod_address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    // The hub has 10.77.0.x.
    Ipv4Addr::new(10, 77, high.saturating_add(1), low)
}

/// An address of the hub.
pub(crate) fn hub(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(HUB_ADDRESS), port)
}

/// An address of a namespace's own loopback.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The image's place in the lab's registry, without a tag.
#[must_use]
pub fn image_repository() -> String {
    format!("{HUB_ADDRESS}:{REGISTRY_PORT}/egress-authz")
}
