//! Random AuthorizationPolicies, as people write them, and requests near their borders.

use serde_json::{Map, Value, json};

use crate::vocabulary::{
    ACCOUNTS, BLOCKS, HOST_PATTERNS, HOSTS, LISTENER_PORTS, METHOD_PATTERNS, METHODS, NAMESPACE_PATTERNS,
    NAMESPACES, PATH_PATTERNS, PATHS, PORTS_ASKED, SERVER_NAMES, TEAM_PATTERNS, TEAMS,
};
use egress_test_support::random::Random;

/// So many of a hundred policies have something that means another thing here.
const NOTABLE: usize = 7;

/// The policies of a set; always of the same names, so that each set takes the place of the one before.
pub(crate) fn policies(rng: &mut Random) -> Vec<Value> {
    let actions: &[&str] = match rng.below(4) {
        0 => &["DENY"],
        1 => &["ALLOW"],
        _ => &["ALLOW", "DENY"],
    };
    (0..3).map(|at| policy(&format!("p{at}"), rng.pick::<&str>(actions), rng)).collect()
}

fn policy(name: &str, action: &str, rng: &mut Random) -> Value {
    let mut rules: Vec<Value> = (0..rng.within(1, 2)).map(|_| rule(rng)).collect();
    if rng.percent(NOTABLE) {
        notable(&mut rules, rng);
    }
    // An AUDIT decides nothing; a dry run neither.
    let action = if rng.percent(3) { "AUDIT" } else { action };
    let annotations = if rng.percent(4) { json!({"istio.io/dry-run": "true"}) } else { json!({}) };
    // Some are of another gateway, and shall be left out.
    let gateway = if rng.percent(6) { "ingressgateway" } else { "egressgateway" };
    json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "istio-system", "annotations": annotations},
        "spec": {"selector": {"matchLabels": {"istio": gateway}}, "action": action, "rules": rules},
    })
}

fn rule(rng: &mut Random) -> Value {
    let mut rule = Map::new();
    while rule.is_empty() {
        for (list, item) in [("from", "source"), ("to", "operation")] {
            let parts: Vec<Value> = (0..rng.below(3)).map(|_| json!({item: fields(list, rng)})).collect();
            if !parts.is_empty() {
                rule.insert(list.to_owned(), json!(parts));
            }
        }
        if rng.percent(30) {
            rule.insert("when".to_owned(), json!([condition(rng)]));
        }
    }
    Value::Object(rule)
}

fn fields(list: &str, rng: &mut Random) -> Value {
    let all: &[&str] = match list {
        // Kubernetes takes no service accounts beside namespaces or principals.
        "from" if rng.percent(30) => &["serviceAccounts", "remoteIpBlocks"],
        "from" => &["principals", "namespaces", "namespaces", "remoteIpBlocks"],
        _ => &["hosts", "hosts", "ports", "methods", "paths"],
    };
    let count = rng.within(1, 2);
    let mut chosen = Map::new();
    for field in rng.some(all, count) {
        let values = values(field, rng);
        let name = if rng.percent(30) { negated(field) } else { field.to_owned() };
        chosen.insert(name, json!(values));
    }
    Value::Object(chosen)
}

fn negated(field: &str) -> String {
    let (first, rest) = field.split_at(1);
    format!("not{}{rest}", first.to_uppercase())
}

fn values(field: &str, rng: &mut Random) -> Vec<String> {
    let mut all: Vec<String> = (0..rng.within(1, 2)).flat_map(|_| value(field, rng)).collect();
    all.sort();
    all.dedup();
    all
}

/// One value; a host is written as Istio's documentation has it, with and without a port.
fn value(field: &str, rng: &mut Random) -> Vec<String> {
    let of = |exact: &[&str], patterns: &[&str], rng: &mut Random| {
        let from = if rng.percent(65) { exact } else { patterns };
        vec![(*rng.pick(from)).to_owned()]
    };
    let (namespace, account) = (*rng.pick(&NAMESPACES), *rng.pick(&ACCOUNTS));
    match field {
        "principals" => match rng.below(5) {
            0 => vec![format!("cluster.local/ns/{namespace}/*")],
            1 => vec![format!("*/sa/{account}")],
            _ => vec![format!("cluster.local/ns/{namespace}/sa/{account}")],
        },
        "namespaces" => of(&NAMESPACES, &NAMESPACE_PATTERNS, rng),
        "serviceAccounts" => vec![format!("{namespace}/{account}")],
        "remoteIpBlocks" => vec![(*rng.pick(&BLOCKS)).to_owned()],
        "hosts" if rng.percent(75) => {
            let host = *rng.pick(&HOSTS);
            vec![host.to_owned(), format!("{host}:*")]
        }
        "hosts" => vec![(*rng.pick(&HOST_PATTERNS)).to_owned()],
        "ports" => vec![(*rng.pick(&LISTENER_PORTS)).to_owned()],
        "methods" => of(&METHODS, &METHOD_PATTERNS, rng),
        _ => of(&PATHS, &PATH_PATTERNS, rng),
    }
}

fn condition(rng: &mut Random) -> Value {
    let (key, value) = match rng.below(5) {
        0 => ("source.namespace", value("namespaces", rng)),
        1 => ("source.principal", value("principals", rng)),
        2 => ("destination.port", value("ports", rng)),
        3 => ("remote.ip", value("remoteIpBlocks", rng)),
        _ => {
            let from: &[&str] = if rng.percent(60) { &TEAMS } else { &TEAM_PATTERNS };
            ("request.headers[x-team]", vec![(*rng.pick(from)).to_owned()])
        }
    };
    let side = if rng.percent(30) { "notValues" } else { "values" };
    json!({"key": key, side: value})
}

/// Something that the import has to speak of.
fn notable(rules: &mut [Value], rng: &mut Random) {
    let at = rng.below(rules.len());
    rules[at] = match rng.below(7) {
        0 => json!({"to": [{"operation": {"hosts": [rng.pick(&HOSTS)]}}]}),
        1 => json!({"to": [{"operation": {"hosts": ["*.example.com"]}}]}),
        2 => json!({"to": [{"operation": {"hosts": ["*example.com"]}}]}),
        3 => json!({"when": [{"key": "connection.sni", "values": [rng.pick(&SERVER_NAMES)]}]}),
        4 => json!({"when": [{"key": "request.headers[x-team]", "values": ["*"]}]}),
        5 => json!({"from": [{"source": {"ipBlocks": [rng.pick(&BLOCKS)]}}]}),
        _ => {
            json!({"from": [{"source": {"principals": ["spiffe://cluster.local/ns/shop/sa/worker", "cluster.local/ns/data/sa/worker"]}}]})
        }
    };
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) namespace: String,
    pub(crate) account: String,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) port: &'static str,
    pub(crate) path: String,
    pub(crate) team: Option<String>,
    pub(crate) sni: &'static str,
}

/// So many requests, most of which fulfil one alternative of a rule or miss it by one attribute.
pub(crate) fn requests(policies: &[Value], count: usize, rng: &mut Random) -> Vec<Request> {
    (0..count).map(|_| request(policies, rng)).collect()
}

fn request(policies: &[Value], rng: &mut Random) -> Request {
    let mut request = Request {
        namespace: (*rng.pick(&NAMESPACES)).to_owned(),
        account: (*rng.pick(&ACCOUNTS)).to_owned(),
        method: (*rng.pick(&METHODS)).to_owned(),
        host: (*rng.pick(&HOSTS)).to_owned(),
        port: PORTS_ASKED[rng.below(PORTS_ASKED.len())],
        path: (*rng.pick(&PATHS)).to_owned(),
        team: rng.percent(50).then(|| (*rng.pick(&TEAMS)).to_owned()),
        sni: SERVER_NAMES[rng.below(SERVER_NAMES.len())],
    };
    if rng.percent(20) {
        return request;
    }
    let rules: Vec<&Value> =
        policies.iter().filter_map(|policy| policy["spec"]["rules"].as_array()).flatten().collect();
    let rule = *rng.pick(&rules);
    let mut wanted: Vec<(String, String)> = Vec::new();
    for (list, item) in [("from", "source"), ("to", "operation")] {
        if let Some(parts) = rule[list].as_array() {
            let part = rng.pick(parts)[item].as_object().cloned().unwrap_or_default();
            for (field, values) in part {
                wanted.push((field, one_of(&values, rng)));
            }
        }
    }
    for condition in rule["when"].as_array().into_iter().flatten() {
        let key = condition["key"].as_str().unwrap_or_default().to_owned();
        if condition["values"].is_array() {
            wanted.push((key, one_of(&condition["values"], rng)));
        }
    }
    if !wanted.is_empty() && rng.percent(40) {
        let missed = rng.below(wanted.len());
        wanted.remove(missed);
    }
    for (field, value) in wanted {
        fulfil(&mut request, &field, &value);
    }
    request
}

fn one_of(values: &Value, rng: &mut Random) -> String {
    values.as_array().and_then(|values| rng.pick(values).as_str()).unwrap_or_default().to_owned()
}

/// Lets a request have what a value of a policy wants, as far as the vocabulary goes.
fn fulfil(request: &mut Request, field: &str, value: &str) {
    let fits = |pattern: &str, subject: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => subject.ends_with(end),
        (_, Some(begin)) => subject.starts_with(begin),
        _ => subject == pattern,
    };
    let first =
        |from: &[&str]| from.iter().find(|subject| fits(value, subject)).map(|subject| (*subject).to_owned());
    match field {
        "principals" | "source.principal" => {
            let all = NAMESPACES.iter().flat_map(|namespace| ACCOUNTS.map(|account| (*namespace, account)));
            for (namespace, account) in all {
                if fits(value, &format!("cluster.local/ns/{namespace}/sa/{account}")) {
                    (request.namespace, request.account) = (namespace.to_owned(), account.to_owned());
                    return;
                }
            }
        }
        "namespaces" | "source.namespace" => request.namespace = first(&NAMESPACES).unwrap_or_default(),
        "serviceAccounts" => {
            if let Some((namespace, account)) = value.split_once('/') {
                (request.namespace, request.account) = (namespace.to_owned(), account.to_owned());
            }
        }
        "hosts" => match value.rsplit_once(':') {
            Some((host, port)) => {
                host.clone_into(&mut request.host);
                request.port = if port == "*" { request.port } else { ":8443" };
            }
            None => request.host = first(&HOSTS).unwrap_or_else(|| HOSTS[0].to_owned()),
        },
        "methods" => request.method = first(&METHODS).unwrap_or_default(),
        "paths" => {
            request.path = value.replace("{**}", "x/y").replace("{*}", "x").replace('*', "/b");
            if !request.path.starts_with('/') {
                request.path.insert(0, '/');
            }
        }
        "request.headers[x-team]" => request.team = first(&TEAMS),
        "connection.sni" => {
            request.sni = SERVER_NAMES.into_iter().find(|name| *name == value).unwrap_or(request.sni)
        }
        _ => {}
    }
}
