//! Which AuthorizationPolicies bind the gateway at all.

use crate::source::{Node, Resource};

/// The gateway, as Istio's selection sees it.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) root_namespace: String,
    pub(crate) namespace: String,
    pub(crate) labels: Vec<(String, String)>,
}

/// The label by which a gateway of the Gateway API is known; a classic one has it not.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

impl Gateway {
    /// Why a policy does not bind the gateway.
    pub(super) fn why_not(&self, policy: &Resource) -> Option<String> {
        let namespace = policy.namespace();
        if namespace != self.root_namespace && namespace != self.namespace {
            return Some(format!(
                "its namespace is neither the root namespace ({}) nor the gateway's ({})",
                self.root_namespace, self.namespace
            ));
        }
        let spec = policy.node.get("spec");
        let refs: Vec<&Node> = match spec {
            Some(spec) => spec
                .get("targetRefs")
                .map(Node::items)
                .unwrap_or_default()
                .iter()
                .chain(spec.get("targetRef"))
                .collect(),
            None => Vec::new(),
        };
        if !refs.is_empty() {
            return self.why_not_by_reference(namespace, &refs);
        }
        let labels = spec
            .and_then(|spec| spec.at(&["selector", "matchLabels"]))
            .map(Node::entries)
            .unwrap_or_default();
        let wanting = labels.iter().find(|wanted| {
            let text = wanted.value.text().unwrap_or_default();
            !self.labels.iter().any(|(key, value)| *key == wanted.key && value == text)
        })?;
        let value = wanting.value.text().unwrap_or_default();
        Some(format!("its selector asks for {}={value}, which the gateway has not", wanting.key))
    }

    fn why_not_by_reference(&self, namespace: &str, refs: &[&Node]) -> Option<String> {
        let name = self.labels.iter().find(|(key, _)| key == GATEWAY_NAME).map(|(_, name)| name);
        let Some(name) = name else {
            return Some(
                "Istio ignores policies with targetRefs at a gateway without a Gateway resource".to_owned(),
            );
        };
        let is_meant = |target: &&Node| {
            target.text_at(&["kind"]) == Some("Gateway") && target.text_at(&["name"]) == Some(name)
        };
        if namespace == self.namespace && refs.iter().any(is_meant) {
            return None;
        }
        Some(format!("its targetRefs do not name the Gateway {}/{name}", self.namespace))
    }
}
