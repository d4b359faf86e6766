//! What a refused HTTP client sees, and what the access log says of it.

use crate::host::{LocalResponse, Stream};
use egress_policy::config::{DenyResponse, Placeholder};
use egress_policy::{Facts, Reason};

/// Answers with `denyResponse`; gRPC clients get `grpc-status: 7`, whatever the status.
pub(crate) fn deny(stream: &dyn Stream, response: &DenyResponse, facts: &Facts<'_>, reason: &Reason<'_>) {
    let fill = |placeholder| fill(placeholder, facts, reason);
    let details = format!("egress_authz_denied[{reason}]");
    send(stream, response.status, &details, &response.body(&fill), &response.headers(&fill));
}

/// Answers where no configuration was ever accepted.
pub(crate) fn without_configuration(stream: &dyn Stream) {
    let response = DenyResponse::default();
    let details = format!("egress_authz_denied[{}]", Reason::AttributeUnavailable);
    send(stream, response.status, &details, &response.body(&|_| String::new()), &[]);
}

fn send(stream: &dyn Stream, status: u16, details: &str, body: &str, headers: &[(&str, String)]) {
    let response = LocalResponse { status, details, body, headers };
    if stream.answer(&response).is_err() {
        log::error!("egress-authz: Envoy did not take the refusal; the request is held");
    }
}

fn fill(placeholder: Placeholder, facts: &Facts<'_>, reason: &Reason<'_>) -> String {
    let rule = reason.rule();
    match placeholder {
        Placeholder::Reason => reason.to_string(),
        Placeholder::Policy => rule.map(|rule| rule.policy.name.to_string()).unwrap_or_default(),
        Placeholder::Rule => rule.map(|rule| rule.rule.to_string()).unwrap_or_default(),
        Placeholder::Owner => {
            rule.and_then(|rule| rule.policy.owner.as_deref()).unwrap_or_default().to_owned()
        }
        Placeholder::Namespace => {
            facts.peer().ok().and_then(|peer| peer.namespace()).unwrap_or_default().to_owned()
        }
        Placeholder::Host => facts.host().map(ToString::to_string).unwrap_or_default(),
    }
}
