//! A second evaluator, written from docs/language.md alone: no index, no laziness, no compiled patterns.
//!
//! It reads the raw JSON of a *valid* configuration and the plain fields of a request, and answers in the
//! words that the outside sees. It shares no matching code with the crate.

pub mod hello;
pub mod names;
pub mod paths;
pub mod patterns;
mod rules;
mod truth;

use crate::support::{Answer, Begin, Request, Said};
use names::{Host, Ip};
use rules::{Case, Peer, strings};
use serde_json::Value;
use truth::{FALSE, TRUE};

/// One verdict: whether the traffic passes, and why.
type Verdict = (bool, String);

/// What the language says about a request.
pub fn decide(config: &Value, request: &Request) -> Said {
    let audit = audit(config, request);
    let words = |(allowed, reason): &Verdict| {
        let effect = if *allowed { "allow" } else { "deny" };
        format!("{effect}[{reason}]")
    };
    let all_enforced = judge(config, request, true);
    if config["mode"] == "DRY_RUN" {
        let would = if all_enforced.0 { "" } else { "would_" };
        return Said { verdict: format!("{would}{}", words(&all_enforced)), audit };
    }
    let enforced = judge(config, request, false);
    let mut verdict = words(&enforced);
    if enforced.0 != all_enforced.0 {
        verdict += &format!(" would_{}", words(&all_enforced));
    }
    Said { verdict, audit }
}

/// The trust domains of the mesh.
pub fn trust_domains(config: &Value) -> Vec<String> {
    match &config["trustDomains"] {
        Value::Null => vec!["cluster.local".to_owned()],
        list => strings(list),
    }
}

/// Entries of `hosts`, each set's name replaced by its patterns.
pub fn expand(config: &Value, entries: &[String]) -> Vec<String> {
    let patterns = |entry: &String| match entry.strip_prefix('@') {
        Some(name) => strings(&config["hostSets"][name]),
        None => vec![entry.clone()],
    };
    entries.iter().flat_map(patterns).collect()
}

fn setting<'c>(config: &'c Value, key: &str, default: &'c str) -> &'c str {
    config[key].as_str().unwrap_or(default)
}

fn protocol(request: &Request) -> &'static str {
    if request.begin == Begin::Http { "HTTP" } else { "NETWORK" }
}

/// The policies that exist for this protocol, each with its action.
fn policies<'c>(config: &'c Value, request: &Request) -> Vec<&'c Value> {
    let all = config["policies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let applies = |policy: &&Value| {
        policy["protocols"].is_null() || strings(&policy["protocols"]).iter().any(|p| p == protocol(request))
    };
    all.iter().filter(applies).collect()
}

fn action(policy: &Value) -> &str {
    policy["action"].as_str().unwrap_or("ALLOW")
}

fn is_dry_run(policy: &Value) -> bool {
    policy["mode"] == "DRY_RUN"
}

/// `now` is `None` where the clock cannot be read.
fn now(request: &Request) -> Option<i64> {
    match request.now {
        Answer::There(now) => Some(now),
        Answer::Absent => Some(0),
        Answer::Unreadable => None,
    }
}

/// From its instant on. Tests write instants within the first day of 1970.
fn is_expired(policy: &Value, request: &Request) -> bool {
    let Some(text) = policy["expires"].as_str() else {
        return false;
    };
    let clock = text.strip_prefix("1970-01-01T").unwrap().strip_suffix('Z').unwrap();
    let seconds = clock.split(':').fold(0, |seconds, part| seconds * 60 + part.parse::<i64>().unwrap());
    now(request).is_some_and(|now| now >= seconds)
}

fn name(policy: &Value, rule: usize) -> String {
    let namespace = policy["namespace"].as_str().unwrap_or("*");
    format!("ns[{namespace}]-policy[{}]-rule[{rule}]", policy["name"].as_str().unwrap())
}

/// docs/language.md#2-who-is-asking: the peer, or the reason why it is refused.
fn peer(config: &Value, request: &Request) -> (Peer, Option<&'static str>) {
    let unclear = |reason| (Peer::Unclear, Some(reason));
    let named = |name: &[u8]| match names::workload(name) {
        None => unclear("invalid_identity"),
        Some(id) if !trust_domains(config).contains(&id.domain) => unclear("untrusted_domain"),
        Some(id) => (Peer::Workload(id), None),
    };
    match &request.certificate {
        Answer::Unreadable => return unclear("attribute_unavailable"),
        Answer::There(name) if !name.is_empty() => return named(name),
        Answer::There(_) | Answer::Absent => {}
    }
    match &request.nameless_certificate {
        Answer::Unreadable => return unclear("attribute_unavailable"),
        Answer::There(()) => return unclear("invalid_identity"),
        Answer::Absent => {}
    }
    match &request.filter_state {
        Answer::Unreadable => unclear("attribute_unavailable"),
        Answer::There(name) if !name.is_empty() => named(name),
        Answer::There(_) | Answer::Absent => {
            let evaluate = setting(config, "unauthenticated", "DENY") == "EVALUATE";
            (Peer::Nobody, (!evaluate).then_some("unauthenticated"))
        }
    }
}

/// docs/language.md#3-what-is-asked-for: the host, if one is known, or the reason why the request is refused.
fn asked(request: &Request) -> Result<Option<(Host, Option<u16>)>, &'static str> {
    match &request.begin {
        Begin::Http => match &request.authority {
            Answer::Unreadable => Err("attribute_unavailable"),
            Answer::Absent => Err("malformed_host"),
            Answer::There(bytes) => {
                let (host, port) = names::authority(bytes).ok_or("malformed_host")?;
                Ok(Some((host, Some(port.unwrap_or(80)))))
            }
        },
        Begin::Tls { inner: None, .. } => Ok(None),
        Begin::Tls { inner: Some(name), .. } => {
            names::host(name).map(|host| Some((host, None))).ok_or("malformed_host")
        }
        Begin::Plain => match &request.sni {
            Answer::Unreadable => Err("attribute_unavailable"),
            Answer::There(sni) if !names::is_generated(sni) => match names::host(sni) {
                Some(host @ Host::Name(_)) => Ok(Some((host, None))),
                _ => Ok(None),
            },
            Answer::There(_) | Answer::Absent => Ok(None),
        },
        Begin::Malformed => Err("malformed_hello"),
        Begin::Oversized => Err("oversized_hello"),
        Begin::Late => Err("hello_timeout"),
    }
}

fn case<'c>(config: &'c Value, request: &'c Request) -> Case<'c> {
    Case { config, request, peer: peer(config, request).0, host: asked(request).ok().flatten() }
}

fn applies(policy: &Value, case: &Case<'_>) -> bool {
    match (policy["namespace"].as_str(), &case.peer) {
        (None, _) => true,
        (Some(own), Peer::Workload(peer)) => peer.namespace == own,
        (Some(_), _) => false,
    }
}

/// The rules of a policy with what each comes to.
fn truths(policy: &Value, case: &Case<'_>) -> Vec<truth::Truth> {
    let rules = policy["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    rules.iter().map(|rule| case.rule(rule, policy["namespace"].as_str())).collect()
}

fn audit(config: &Value, request: &Request) -> Vec<String> {
    let case = case(config, request);
    let mut matched = Vec::new();
    for policy in policies(config, request) {
        if action(policy) == "AUDIT" && applies(policy, &case) && !is_expired(policy, request) {
            let truths = truths(policy, &case).into_iter().enumerate();
            matched.extend(truths.filter(|(_, truth)| *truth != FALSE).map(|(at, _)| name(policy, at)));
        }
    }
    matched
}

/// docs/language.md#5-the-verdict. `dry_run`: whatever is in DRY_RUN is enforced.
fn judge(config: &Value, request: &Request, dry_run: bool) -> Verdict {
    let (allowed, reason) = steps(config, request, dry_run);
    if allowed || reason != "no_allow_matched" {
        return (allowed, reason);
    }
    // Which expired ALLOW alone would have admitted the request? Let each live again, one by one.
    let all = config["policies"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (at, policy) in all.iter().enumerate() {
        if action(policy) == "ALLOW" && is_expired(policy, request) {
            let mut revived = config.clone();
            revived["policies"][at].as_object_mut().unwrap().remove("expires");
            let (admitted, by) = steps(&revived, request, dry_run);
            if admitted {
                return (false, format!("expired[{by}]"));
            }
        }
    }
    (false, reason)
}

fn steps(config: &Value, request: &Request, dry_run: bool) -> Verdict {
    let deny = |reason: &str| (false, reason.to_owned());
    let enforces = |key, default| match setting(config, key, default) {
        "DENY" => true,
        "DRY_RUN" => dry_run,
        _ => false,
    };
    let case = case(config, request);
    let policies = policies(config, request);

    // 1
    if let Some(reason) = peer(config, request).1 {
        return deny(reason);
    }
    let host = match asked(request) {
        Ok(host) => host,
        Err(reason) => return deny(reason),
    };
    if policies.iter().any(|policy| applies(policy, &case) && !policy["expires"].is_null())
        && now(request).is_none()
    {
        return deny("attribute_unavailable");
    }

    // 2
    let inner = matches!(request.begin, Begin::Http | Begin::Tls { inner: Some(_), .. });
    if enforces("sniMismatch", "DENY") && inner {
        match &request.sni {
            Answer::Unreadable => return deny("attribute_unavailable"),
            Answer::There(sni) if !sni.is_empty() && !names::is_generated(sni) => {
                if names::host(sni) != host.as_ref().map(|(host, _)| host.clone()) {
                    return deny("sni_mismatch");
                }
            }
            Answer::There(_) | Answer::Absent => {}
        }
    }
    let encrypted = matches!(request.begin, Begin::Tls { encrypted: true, .. });
    if encrypted && setting(config, "encryptedClientHello", "ALLOW") == "DENY" {
        return deny("encrypted_hello");
    }

    let counting = |wanted: &str| -> Vec<&Value> {
        let counts = |policy: &&&Value| {
            action(policy) == wanted && applies(policy, &case) && (dry_run || !is_dry_run(policy))
        };
        policies.iter().filter(counts).copied().collect()
    };
    let enforced = |wanted: &str| -> Vec<&Value> {
        counting(wanted).into_iter().filter(|policy| !is_expired(policy, request)).collect()
    };

    // 3
    for policy in enforced("DENY") {
        if let Some(rule) = truths(policy, &case).iter().position(|truth| *truth != FALSE) {
            return (false, name(policy, rule));
        }
    }

    // 4
    if let Some((Host::Ip(ip), port)) = &host
        && setting(config, "privateAddresses", "DENY") == "DENY"
        && !names::is_global(*ip)
        && !enforced("ALLOW").iter().any(|policy| opens(policy, &case, *ip, *port))
    {
        return deny("private_address");
    }

    // 5 to 7
    let mut verdict = None;
    for policy in enforced("ALLOW") {
        if let Some(rule) = truths(policy, &case).iter().position(|truth| *truth == TRUE) {
            verdict = verdict.or(Some((true, name(policy, rule))));
        }
    }
    let governed = !counting("ALLOW").is_empty();
    let default = setting(config, "defaultAction", "DENY") == "ALLOW";
    let verdict = match verdict {
        Some(verdict) => verdict,
        None if governed => return deny("no_allow_matched"),
        None => (default, "default_action".to_owned()),
    };
    if !verdict.0 {
        return verdict;
    }

    // 8
    let network = request.begin != Begin::Http;
    if enforces("routeMismatch", if network { "DENY" } else { "ALLOW" })
        && let Some((host, _)) = &host
    {
        match &request.cluster {
            Answer::Unreadable => return deny("attribute_unavailable"),
            Answer::There(cluster) if leads_elsewhere(cluster, host) => return deny("route_mismatch"),
            Answer::There(_) | Answer::Absent => {}
        }
    }
    if network && setting(config, "privateUpstreams", "ALLOW") == "DENY" {
        match &request.upstream {
            Answer::Unreadable => return deny("attribute_unavailable"),
            Answer::There(address) if !address.is_empty() => match names::address(address) {
                None => return deny("attribute_unavailable"),
                Some(ip) if !names::is_global(ip) => return deny("private_upstream"),
                Some(_) => {}
            },
            Answer::There(_) | Answer::Absent => {}
        }
    }
    verdict
}

/// Whether a mesh-wide policy has a rule that matches by an operation that names the literal.
fn opens(policy: &Value, case: &Case<'_>, ip: Ip, port: Option<u16>) -> bool {
    let rules = policy["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    policy["namespace"].is_null()
        && rules.iter().any(|rule| {
            let operations = rule["to"].as_array().map(Vec::as_slice).unwrap_or_default();
            operations.iter().any(|item| {
                let entries = expand(case.config, &strings(&item["operation"]["hosts"]));
                let named = entries.iter().any(|entry| {
                    patterns::is_literal(entry, ip) && patterns::host(entry, &Host::Ip(ip), port) == TRUE
                });
                let mut alone = rule.clone();
                alone["to"] = Value::Array(vec![item.clone()]);
                named && case.rule(&alone, None) == TRUE
            })
        })
}

/// Whether a cluster's name is of Istio's form and its host another one.
fn leads_elsewhere(cluster: &[u8], host: &Host) -> bool {
    let Ok(text) = String::from_utf8(cluster.to_vec()) else {
        return false;
    };
    let parts: Vec<&str> = text.split('|').collect();
    let ["outbound", port, _, routed] = parts[..] else {
        return false;
    };
    if port.is_empty() || !port.chars().all(|c| c.is_ascii_digit()) {
        return false;
    }
    if let Some(parent) = routed.strip_prefix("*.") {
        let below = names::host(parent.as_bytes()).is_some() && patterns::host(routed, host, None) == TRUE;
        return !below;
    }
    let exact = names::host(routed.as_bytes()).or_else(|| names::host(format!("[{routed}]").as_bytes()));
    exact.as_ref() != Some(host)
}
