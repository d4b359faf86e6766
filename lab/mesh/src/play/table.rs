//! Which manifests tell which step of which story.

use std::fmt;

use egress_lab::story::Request;

/// Where a part's manifests come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `deploy/istio`, as `kubectl apply -k` takes it, and the upstream filter beside it.
    Deploy,
    /// `egressctl render` of a gateway file of the repository.
    Short(&'static str),
    /// The root's `wasmplugin.yaml`, with the routes of a gateway file.
    Wasmplugin(&'static str),
    /// `egressctl render` of the story's hosts, the step's policy as its `config`.
    Step,
    /// The same, and the resources of a file over it.
    StepAnd(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deploy => f.write_str("deploy/istio"),
            Self::Short(path) => f.write_str(path),
            Self::Wasmplugin(_) => f.write_str("wasmplugin.yaml"),
            Self::Step => f.write_str("rendered"),
            Self::StepAnd(path) => write!(f, "rendered, and {path}"),
        }
    }
}

/// A step of a story on certain manifests.
#[derive(Debug, Clone)]
pub struct Part {
    /// The story's name.
    pub story: &'static str,
    /// The step's index.
    pub step: usize,
    /// The manifests.
    pub from: Source,
    /// Where a rendered list gives another reason than the story's policy: who, over which listener, the reason. (The list is
    /// its namespace's own, so that a stranger is refused by the default and not by the list.)
    reasons: &'static [(&'static str, &'static str, &'static str)],
}

// === impl Part ===

impl Part {
    const fn new(story: &'static str, step: usize, from: Source) -> Self {
        Self { story, step, from, reasons: &[] }
    }

    const fn reasons(mut self, reasons: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        self.reasons = reasons;
        self
    }

    /// A request of the story with what is expected of it on these manifests.
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

/// All parts that `make mesh` plays, in the order of the stories.
#[must_use]
pub fn parts() -> Vec<Part> {
    use Source::{Deploy, Short, Step, StepAnd, Wasmplugin};
    const STRANGER: &[(&str, &str, &str)] =
        &[("default/nginx", "mtls80", DEFAULT), ("default/nginx", "mtls443", DEFAULT)];
    vec![
        Part::new("A", 0, Wasmplugin("examples/egress/a.yaml")),
        Part::new("A", 0, Short("examples/egress/a.yaml")),
        Part::new("A2", 0, Step),
        Part::new("B1", 0, Short("examples/egress/b1.yaml")),
        Part::new("B5", 0, Short("examples/egress/b1.yaml")),
        Part::new("B2", 0, Short("examples/egress/b2.yaml")).reasons(&[("otherns/sleep", "mtls80", DEFAULT)]),
        Part::new("B5", 1, Short("examples/egress/b2.yaml")).reasons(&[(
            "otherns/sleep",
            "mtls443",
            DEFAULT,
        )]),
        Part::new("B5", 2, Step),
        Part::new("B3", 0, Short("examples/egress/b3.yaml")),
        Part::new("B5", 3, Short("examples/egress/b3.yaml")),
        Part::new("B4", 0, Short("examples/egress/b4.yaml")),
        Part::new("B5", 4, Short("examples/egress/b4.yaml")),
        // Its namespace has a list there, which is for TLS.
        Part::new("C", 0, Deploy).reasons(&[("default/nginx", "mtls80", DEFAULT)]),
        Part::new("C", 1, Deploy).reasons(STRANGER),
        Part::new("C", 0, Short("examples/egress/c.yaml")).reasons(STRANGER),
        Part::new("C", 1, Short("examples/egress/asm-egress-traffic-policy.yaml")).reasons(STRANGER),
        Part::new("C", 2, Short("lab/mesh/shorts/c-passthrough-closed.yaml")),
        Part::new("C", 3, Short("lab/mesh/shorts/c-passthrough-two.yaml")),
        Part::new("C", 4, Short("examples/egress/c-no-post.yaml")),
        Part::new("C", 5, Short("lab/mesh/shorts/c-nothing.yaml")),
        Part::new("D", 0, Short("examples/egress/d.yaml")),
        Part::new("E1", 0, Step),
        Part::new("E2", 0, Step),
        Part::new("E7", 0, Step),
        Part::new("E8", 0, Step),
        Part::new("E9", 0, StepAnd("lab/mesh/shorts/e9-everything-through-the-gateway.yaml")),
        Part::new("E9", 1, StepAnd("lab/mesh/shorts/e9-everything-through-the-gateway.yaml")),
        Part::new("E11", 0, StepAnd("lab/mesh/shorts/e11-two-hosts-in-one-server.yaml")),
        Part::new("E11", 1, StepAnd("lab/mesh/shorts/e11-two-hosts-in-one-server.yaml")),
        Part::new("E11", 2, StepAnd("lab/mesh/shorts/e11-two-hosts-in-one-server.yaml")),
    ]
}
