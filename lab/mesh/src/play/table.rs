//! Which manifests tell which step of which scenario.

use std::fmt;

use egress_lab::scenario::Request;

/// Where a part's manifests come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `deploy/istio`, as `kubectl apply -k` takes it, and the upstream filter beside it.
    Deploy,
    /// `egressctl render` of a gateway file of the repository.
    GatewayFile(&'static str),
    /// The root's `wasmplugin.yaml`, with the routes of a gateway file.
    Wasmplugin(&'static str),
    /// `egressctl render` of the scenario's hosts, the step's policy as its `config`.
    Step,
    /// The same, and the resources of a file over it.
    StepAnd(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deploy => f.write_str("deploy/istio"),
            Self::GatewayFile(path) => f.write_str(path),
            Self::Wasmplugin(_) => f.write_str("wasmplugin.yaml"),
            Self::Step => f.write_str("rendered"),
            Self::StepAnd(path) => write!(f, "rendered, and {path}"),
        }
    }
}

/// A step of a scenario on certain manifests.
#[derive(Debug, Clone)]
pub struct Part {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The step's index.
    pub step: usize,
    /// The manifests.
    pub from: Source,
    /// Where a rendered list gives another reason than the scenario's policy: who, over which listener, the reason. (The list is
    /// its namespace's own, so that a stranger is refused by the default and not by the list.)
    reasons: &'static [(&'static str, &'static str, &'static str)],
}

// === impl Part ===

impl Part {
    const fn new(scenario: &'static str, step: usize, from: Source) -> Self {
        Self { scenario, step, from, reasons: &[] }
    }

    const fn reasons(mut self, reasons: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        self.reasons = reasons;
        self
    }

    /// A request of the scenario with what is expected of it on these manifests.
    #[must_use]
    pub fn expect(&self, request: &Request) -> Request {
        let mut request = request.clone();
        let other =
            self.reasons.iter().find(|(who, over, _)| *who == request.who && *over == request.over.name);
        if let (Some((_, _, reason)), Some(_)) = (other, &request.reason) {
            request.reason = Some((*reason).to_owned());
        }
        request
    }
}

const DEFAULT: &str = "default_action";

/// All parts that `make mesh` plays, in the order of the scenarios.
#[must_use]
pub fn parts() -> Vec<Part> {
    use Source::{Deploy, GatewayFile, Step, StepAnd, Wasmplugin};
    const STRANGER: &[(&str, &str, &str)] =
        &[("default/nginx", "mtls80", DEFAULT), ("default/nginx", "mtls443", DEFAULT)];
    vec![
        Part::new("deny-namespace", 0, Wasmplugin("examples/egress/deny-namespace.yaml")),
        Part::new("deny-namespace", 0, GatewayFile("examples/egress/deny-namespace.yaml")),
        Part::new("deny-host-in-every-spelling", 0, Step),
        Part::new("allow-nothing", 0, GatewayFile("examples/egress/allow-nothing.yaml")),
        Part::new("tls-by-the-same-policies", 0, GatewayFile("examples/egress/allow-nothing.yaml")),
        Part::new(
            "allow-by-host-and-method",
            0,
            GatewayFile("examples/egress/allow-by-host-and-method.yaml"),
        )
        .reasons(&[("otherns/sleep", "mtls80", DEFAULT)]),
        Part::new(
            "tls-by-the-same-policies",
            1,
            GatewayFile("examples/egress/allow-by-host-and-method.yaml"),
        )
        .reasons(&[("otherns/sleep", "mtls443", DEFAULT)]),
        Part::new("tls-by-the-same-policies", 2, Step),
        Part::new("deny-site-by-namespace", 0, GatewayFile("examples/egress/deny-site-by-namespace.yaml")),
        Part::new("tls-by-the-same-policies", 3, GatewayFile("examples/egress/deny-site-by-namespace.yaml")),
        Part::new(
            "deny-account-by-server-name",
            0,
            GatewayFile("examples/egress/deny-account-by-server-name.yaml"),
        ),
        Part::new(
            "tls-by-the-same-policies",
            4,
            GatewayFile("examples/egress/deny-account-by-server-name.yaml"),
        ),
        // Its namespace has a list there, which is for TLS.
        Part::new("egress-traffic-policy", 0, Deploy).reasons(&[("default/nginx", "mtls80", DEFAULT)]),
        Part::new("egress-traffic-policy", 1, Deploy).reasons(STRANGER),
        Part::new("egress-traffic-policy", 0, GatewayFile("examples/egress/egress-traffic-policy.yaml"))
            .reasons(STRANGER),
        Part::new("egress-traffic-policy", 1, GatewayFile("examples/egress/asm-egress-traffic-policy.yaml"))
            .reasons(STRANGER),
        Part::new(
            "egress-traffic-policy",
            2,
            GatewayFile("lab/mesh/gateway-files/egress-traffic-policy-passthrough-closed.yaml"),
        ),
        Part::new(
            "egress-traffic-policy",
            3,
            GatewayFile("lab/mesh/gateway-files/egress-traffic-policy-passthrough-two.yaml"),
        ),
        Part::new(
            "egress-traffic-policy",
            4,
            GatewayFile("examples/egress/egress-traffic-policy-no-post.yaml"),
        ),
        Part::new(
            "egress-traffic-policy",
            5,
            GatewayFile("lab/mesh/gateway-files/egress-traffic-policy-nothing.yaml"),
        ),
        Part::new("only-the-product-page", 0, GatewayFile("examples/egress/only-the-product-page.yaml")),
        Part::new("namespaces-stay-apart", 0, Step),
        Part::new("platform-deny-above-allow", 0, Step),
        Part::new("expiry", 0, Step),
        Part::new("dry-run", 0, Step),
        Part::new(
            "metadata-addresses",
            0,
            StepAnd("lab/mesh/gateway-files/metadata-addresses-everything-through-the-gateway.yaml"),
        ),
        Part::new(
            "metadata-addresses",
            1,
            StepAnd("lab/mesh/gateway-files/metadata-addresses-everything-through-the-gateway.yaml"),
        ),
        Part::new(
            "carried-elsewhere",
            0,
            StepAnd("lab/mesh/gateway-files/carried-elsewhere-two-hosts-in-one-server.yaml"),
        ),
        Part::new(
            "carried-elsewhere",
            1,
            StepAnd("lab/mesh/gateway-files/carried-elsewhere-two-hosts-in-one-server.yaml"),
        ),
        Part::new(
            "carried-elsewhere",
            2,
            StepAnd("lab/mesh/gateway-files/carried-elsewhere-two-hosts-in-one-server.yaml"),
        ),
    ]
}
