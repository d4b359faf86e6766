//! The mesh's own authority: who holds its key can be any workload.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::{Result, ensure};
use egress_lab::certs::Authority;
use egress_mesh::mesh::Mesh;
use egress_mesh::pod::Pod;

/// istiod's authority, from the secret in which it keeps it.
///
/// # Errors
/// When the secret cannot be read.
pub fn of_mesh(mesh: &Mesh) -> Result<Authority> {
    let part = |name: &str| {
        let template = format!("go-template={{{{index .data `{name}` | base64decode}}}}");
        mesh.kubectl().run(&["-n", "istio-system", "get", "secret", "istio-ca-secret", "-o", &template])
    };
    Authority::from_pem(&part("ca-cert.pem")?, &part("ca-key.pem")?)
}

/// Lets what goes from a pod to another pod's address go past the sidecar, as the annotation
/// `traffic.sidecar.istio.io/excludeOutboundIPRanges` does.
///
/// # Errors
/// When iptables refuses it.
pub fn past_the_sidecar(pod: &Pod, to: Ipv4Addr) -> Result<()> {
    let mut command: Command = pod.netns().command("iptables");
    command.args(["-t", "nat", "-I", "ISTIO_OUTPUT", "1", "-d", &format!("{to}/32"), "-j", "RETURN"]);
    let output = command.output()?;
    ensure!(output.status.success(), "iptables: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A port of a pod.
#[must_use]
pub fn at(pod: &Pod, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(pod.address()), port)
}
