//! The way around the gateway, closed: Istio routes, it does not confine.

use super::plan::Plan;
use super::tree::obj;
use egress_policy::config::Json;

/// Pods of a namespace reach pods of the cluster (DNS, istiod, the gateway among them) and nothing outside.
pub(super) fn policies(plan: &Plan) -> Vec<Json> {
    let policy = |namespace: &String| {
        obj! {
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": obj! {"name": "egress-through-gateway-only", "namespace": namespace},
            "spec": obj! {
                "podSelector": obj! {},
                "policyTypes": vec!["Egress"],
                "egress": vec![obj! {"to": vec![obj! {"namespaceSelector": obj! {}}]}],
            },
        }
    };
    plan.confined.iter().map(policy).collect()
}
