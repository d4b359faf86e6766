//! Holds what came of a request against what its scenario says: the answer, the site, the access log.

use serde_json::Value;

use super::{Gets, Request};
use crate::access_log::Entry;
use crate::certs::Principal;
use crate::client::http::Answer;
use crate::filter::Protocol;
use crate::shape::{ConnectMode, Kind};
use crate::world::Seen;

/// What a refused HTTP client reads, of our filter and of Istio's own.
const REFUSAL: &str = "RBAC: access denied";

/// HTTP requests that reached a site between two looks at the world.
pub(super) fn requests_since(before: &Seen, after: &Seen) -> u64 {
    after.requests.values().sum::<u64>() - before.requests.values().sum::<u64>()
}

/// Holds what came back against what the scenario says.
pub fn answer(
    request: &Request,
    what: &Result<Gets, String>,
    answer: Option<&Answer>,
    problems: &mut Vec<String>,
) {
    match what {
        Ok(gets) if *gets == request.gets => {}
        Ok(gets) => problems.push(format!("got {gets}, expected {}", request.gets)),
        Err(error) => problems.push(error.clone()),
    }
    let Some(answer) = answer else { return };
    // A refusal looks the same wherever a scenario does not say otherwise; to HEAD it has no body.
    let refusal = match request.gets {
        Gets::Status(403) if request.ask.starts_with("HEAD ") => Some(""),
        Gets::Status(403) => Some(REFUSAL),
        _ => None,
    };
    if let Some(body) = request.body.as_deref().or(refusal).filter(|body| *body != answer.text()) {
        problems.push(format!("the body is {:?}, expected {body:?}", answer.text()));
    }
    for (name, value) in &request.has {
        if answer.header(name) != *value {
            problems.push(format!("the header {name} is {:?}, expected {value:?}", answer.header(name)));
        }
    }
    let saw = answer.json();
    for (field, value) in &request.saw {
        let seen = saw.get(field).and_then(Value::as_str).unwrap_or_default();
        if seen != value {
            problems.push(format!("the site saw the {field} {seen:?}, expected {value:?}"));
        }
    }
}

/// A refused request must not have reached the site in any way; an allowed one exactly once.
pub fn site(request: &Request, before: &Seen, after: &Seen, problems: &mut Vec<String>) {
    let reached = after.reached() - before.reached();
    match request.gets {
        Gets::Status(200) => {
            let requests = requests_since(before, after);
            if requests != 1 {
                problems.push(format!("the site saw {requests} requests, expected 1"));
            }
        }
        Gets::Status(_) | Gets::Closed | Gets::Silence if reached != 0 => {
            problems.push(format!("it was refused, and yet {reached} messages reached the site"))
        }
        _ => {}
    }
    let connects = after.connects() - before.connects();
    if let Some(wanted) = request.connects.filter(|wanted| *wanted != connects) {
        problems.push(format!("the gateway opened {connects} connections to the site, expected {wanted}"));
    }
}

/// The denial's reason as the access log has it; empty where nothing was denied.
#[must_use]
pub fn denial(request: &Request, entry: &Entry) -> String {
    let inside = |text: &str, before: &str| {
        text.strip_prefix(before)
            .and_then(|rest| rest.split_once("] ").map(|(reason, _)| reason).or(rest.strip_suffix(']')))
            .map(ToOwned::to_owned)
    };
    match request.over.protocol() {
        Protocol::Http => inside(&entry.details(), "egress_authz_denied["),
        Protocol::Network => inside(&entry.verdict(), "deny["),
    }
    .unwrap_or_default()
}

/// Holds the gateway's line of the access log against what the scenario says.
pub fn entry(request: &Request, entry: &Entry, problems: &mut Vec<String>) {
    principal(request, entry, problems);
    let logged = entry.text("response_code");
    if let Gets::Status(status) = request.gets
        && request.over.protocol() == Protocol::Http
        && logged != status.to_string()
    {
        problems.push(format!("the access log's response_code is {logged}, expected {status}"));
    }
    let reason = denial(request, entry);
    match &request.reason {
        Some(wanted) if *wanted != reason => {
            problems.push(format!("the access log's reason is {reason:?}, expected {wanted:?}"))
        }
        Some(wanted)
            if request.over.protocol() == Protocol::Http
                && entry.details() != format!("egress_authz_denied[{wanted}]") =>
        {
            problems.push(format!("the response code details are {:?}", entry.details()));
        }
        Some(wanted)
            if request.over.protocol() == Protocol::Http
                && !entry.verdict().starts_with(&format!("deny[{wanted}]")) =>
        {
            problems.push(format!("the filter state is {:?}, expected deny[{wanted}]", entry.verdict()));
        }
        None if request.gets == Gets::Status(200) && !reason.is_empty() => {
            problems.push(format!("the access log says denied: {reason}"))
        }
        _ => {}
    }
    if let Some(state) = request.state.as_ref().filter(|state| **state != entry.verdict()) {
        problems.push(format!("the filter state is {:?}, expected {state:?}", entry.verdict()));
    }
    for (field, value) in &request.log {
        if entry.text(field) != *value {
            problems.push(format!("the access log's {field} is {:?}, expected {value:?}", entry.text(field)));
        }
    }
}

/// The principal that the gateway saw must be the one that the scenario names.
fn principal(request: &Request, entry: &Entry, problems: &mut Vec<String>) {
    let certified = matches!(request.over.kind.kind(), Kind::Mtls80 | Kind::Mtls443);
    let wanted = match request.who.as_str() {
        "none" | "nameless" => String::new(),
        who if certified => Principal::new(who).to_string(),
        _ => String::new(),
    };
    let seen = entry.text("downstream_peer_uri_san");
    // A site that speaks first may be faster than the client's certificate, and the connection closed before that came.
    let early = request.over.connect == Some(ConnectMode::Immediate)
        && request.ask.starts_with("LISTEN")
        && request.gets == Gets::Closed
        && seen.is_empty();
    if seen != wanted && !early {
        problems.push(format!("the access log's downstream_peer_uri_san is {seen:?}, expected {wanted:?}"));
    }
}
