//! An application that goes around its sidecar.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use egress_mesh::manifests::read;
use egress_mesh::mesh::Mesh;
use egress_mesh::place::{HUB_ADDRESS, PROXY_USER};
use egress_mesh::pod::Pod;
use serde_json::{Value, json};

use super::{Live, UNGUARDED, WHO};

/// An application that runs as the proxy's user: the sidecar's rules let go what it sends.
fn around_the_sidecar(pod: &Pod, host: &str) -> Result<bool> {
    let mut command = pod.netns().command("setpriv");
    command.args([
        "--reuid",
        &PROXY_USER.to_string(),
        "--regid",
        &PROXY_USER.to_string(),
        "--clear-groups",
        "--",
    ]);
    command.args([
        "curl",
        "--silent",
        "--output",
        "/dev/null",
        "--max-time",
        "3",
        "--write-out",
        "%{http_code}",
    ]);
    let output = command.arg(format!("http://{host}/")).output()?;
    Ok(output.status.success() && output.stdout == b"200")
}

/// A packet filter in the pod's namespace, by what a NetworkPolicy says of the pod's egress. It stands in for the cluster's
/// network plugin, which has it outside of the pod.
struct PacketFilter<'m> {
    pod: &'m Pod,
}

// === impl PacketFilter ===

impl<'m> PacketFilter<'m> {
    fn new(mesh: &Mesh, pod: &'m Pod, policies: &[Value]) -> Result<Self> {
        let filter = Self { pod };
        // Within the pod: what its own rules have turned to the sidecar is on the way to loopback.
        filter.iptables(&["-A", "OUTPUT", "-d", "127.0.0.0/8", "-j", "ACCEPT"])?;
        for policy in policies {
            ensure!(
                policy.pointer("/spec/podSelector") == Some(&json!({})),
                "a selector that this test does not know"
            );
            ensure!(policy.pointer("/spec/policyTypes") == Some(&json!(["Egress"])), "not of egress");
            for peer in peers(policy)? {
                for address in admitted(mesh, peer)? {
                    filter.iptables(&["-A", "OUTPUT", "-d", &address, "-j", "ACCEPT"])?;
                }
            }
        }
        // A pod that a policy selects has what its policies admit, and nothing else.
        filter.iptables(&["-A", "OUTPUT", "-j", "REJECT"])?;
        Ok(filter)
    }

    fn iptables(&self, arguments: &[&str]) -> Result<()> {
        let mut command: Command = self.pod.netns().command("iptables");
        let output = command.args(arguments).output()?;
        ensure!(
            output.status.success(),
            "iptables {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl Drop for PacketFilter<'_> {
    fn drop(&mut self) {
        // The namespace ends with the mesh in any case.
        let _ = self.iptables(&["-F", "OUTPUT"]);
    }
}

/// The peers that a policy admits, on any port.
fn peers(policy: &Value) -> Result<Vec<&Value>> {
    let rules = policy.pointer("/spec/egress").and_then(Value::as_array).context("no egress")?;
    let mut peers = Vec::new();
    for rule in rules {
        ensure!(rule.get("ports").is_none(), "ports, which this test does not know");
        peers.extend(rule.get("to").and_then(Value::as_array).context("a rule without `to`")?);
    }
    Ok(peers)
}

/// The addresses that a peer stands for.
fn admitted(mesh: &Mesh, peer: &Value) -> Result<Vec<String>> {
    if *peer != json!({"namespaceSelector": {}}) {
        bail!("a peer that this test does not know: {peer}");
    }
    // Every pod of the cluster. In a cluster istiod and DNS are pods, too; here they are at the hub's address.
    let pods = mesh.pods().map(|pod| pod.address().to_string());
    Ok(pods.chain([HUB_ADDRESS.to_string()]).collect())
}

pub(crate) fn an_application_that_goes_around_its_sidecar_is_held_by_the_network_policy(
    live: &mut Live,
) -> Result<()> {
    live.restore()?;
    // The shipped rules, of a namespace that `deploy/egress.yaml` confines; `render` writes the same for every one.
    let mut policies = read("deploy/istio/network-policies.yaml")?;
    policies.retain(|policy| policy.pointer("/metadata/namespace") == Some(&json!("mytest")));
    ensure!(policies.len() == 1, "{} policies of the namespace mytest", policies.len());
    let pod = live.mesh.pod(WHO)?;
    ensure!(
        around_the_sidecar(pod, UNGUARDED)?,
        "without rules, who goes around the sidecar reaches the site"
    );
    let before = live.mesh.world().seen();
    {
        let _rules = PacketFilter::new(&live.mesh, pod, &policies)?;
        ensure!(!around_the_sidecar(pod, UNGUARDED)?, "with the rules, too");
        ensure!(live.mesh.world().seen() == before, "the world saw something of it");
        // The way through the gateway is still open, to what the policy admits.
        live.is_in_force()?;
    }
    ensure!(around_the_sidecar(pod, UNGUARDED)?, "it was the rules");
    Ok(())
}
