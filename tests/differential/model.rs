//! Policies in the grammar that both languages share, and requests, both as plain data.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

/// Whether requests or connections are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Http,
    Tcp,
}

/// The gateway's two listener ports by the names that policies of this test use for them. Each listener really has
/// a port of its own, which is filled in on the way to the gateway.
pub(crate) const PORTS: [u16; 2] = [80, 8080];

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Attribute {
    Principal,
    RequestPrincipal,
    Namespace,
    ServiceAccount,
    TrustDomain,
    SourceIp,
    RemoteIp,
    Host,
    Port,
    Method,
    Path,
    DestinationIp,
    ServerName,
    Header(String),
    Audiences,
    Presenter,
    Claim(Vec<String>),
}

/// Where a condition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    From,
    To,
    When,
}

/// A field with its `not…` twin; an empty side is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) attribute: Attribute,
    pub(crate) values: Vec<String>,
    pub(crate) not_values: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rule {
    pub(crate) from: Vec<Vec<Condition>>,
    pub(crate) to: Vec<Vec<Condition>>,
    pub(crate) when: Vec<Condition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Allow,
    Deny,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) name: String,
    /// Istio: where the resource lies. Ours: whom it governs; none is everybody.
    pub(crate) namespace: Option<String>,
    pub(crate) action: Action,
    pub(crate) dry_run: bool,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicySet {
    pub(crate) protocol: Protocol,
    /// The mesh's trust domain, then its aliases.
    pub(crate) trust_domains: Vec<String>,
    pub(crate) policies: Vec<Policy>,
}

/// A request, or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The certificate's URI SAN; empty for a certificate without a name.
    pub(crate) peer: String,
    pub(crate) source: Ipv4Addr,
    pub(crate) sni: Option<String>,
    /// One of [`PORTS`].
    pub(crate) port: u16,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The payload of the token that it carries.
    pub(crate) claims: Option<Value>,
}

const FROM_FIELDS: [(&str, Attribute); 7] = [
    ("principals", Attribute::Principal),
    ("requestPrincipals", Attribute::RequestPrincipal),
    ("namespaces", Attribute::Namespace),
    ("serviceAccounts", Attribute::ServiceAccount),
    ("trustDomains", Attribute::TrustDomain),
    ("ipBlocks", Attribute::SourceIp),
    ("remoteIpBlocks", Attribute::RemoteIp),
];

const TO_FIELDS: [(&str, Attribute); 4] = [
    ("hosts", Attribute::Host),
    ("ports", Attribute::Port),
    ("methods", Attribute::Method),
    ("paths", Attribute::Path),
];

const WHEN_KEYS: [(&str, Attribute); 12] = [
    ("source.principal", Attribute::Principal),
    ("source.namespace", Attribute::Namespace),
    ("source.serviceAccount", Attribute::ServiceAccount),
    ("source.trustDomain", Attribute::TrustDomain),
    ("source.ip", Attribute::SourceIp),
    ("remote.ip", Attribute::RemoteIp),
    ("destination.ip", Attribute::DestinationIp),
    ("destination.port", Attribute::Port),
    ("connection.sni", Attribute::ServerName),
    ("request.auth.principal", Attribute::RequestPrincipal),
    ("request.auth.audiences", Attribute::Audiences),
    ("request.auth.presenter", Attribute::Presenter),
];

// === impl Attribute ===

impl Attribute {
    /// Whether a TCP connection has no such thing.
    pub(crate) fn is_http_only(&self) -> bool {
        matches!(
            self,
            Self::RequestPrincipal
                | Self::Host
                | Self::Method
                | Self::Path
                | Self::Header(_)
                | Self::Audiences
                | Self::Presenter
                | Self::Claim(_)
        )
    }

    /// Its name in a source, an operation, or a condition.
    pub(crate) fn name(&self, place: Place) -> String {
        let table: &[(&str, Self)] = match place {
            Place::From => &FROM_FIELDS,
            Place::To => &TO_FIELDS,
            Place::When => &WHEN_KEYS,
        };
        match (table.iter().find(|(_, attribute)| attribute == self), self) {
            (Some((name, _)), _) => (*name).to_owned(),
            (None, Self::Header(name)) => format!("request.headers[{name}]"),
            (None, Self::Claim(path)) => {
                format!(
                    "request.auth.claims{}",
                    path.iter().map(|key| format!("[{key}]")).collect::<String>()
                )
            }
            (None, other) => panic!("{other:?} has no place in {place:?}"),
        }
    }

    /// All that can stand in a place; headers and claims under any name.
    pub(crate) fn of(place: Place) -> Vec<Self> {
        let named = |table: &[(&str, Self)]| table.iter().map(|(_, attribute)| attribute.clone()).collect();
        match place {
            Place::From => named(&FROM_FIELDS),
            Place::To => named(&TO_FIELDS),
            Place::When => {
                let mut all: Vec<Self> = named(&WHEN_KEYS);
                all.extend([Self::Header("name".to_owned()), Self::Claim(vec!["name".to_owned()])]);
                all
            }
        }
    }

    fn in_field(name: &str) -> Self {
        let all = || FROM_FIELDS.iter().chain(&TO_FIELDS);
        all().find(|(field, _)| *field == name).unwrap_or_else(|| panic!("no field {name}")).1.clone()
    }

    fn in_key(key: &str) -> Self {
        let brackets =
            |rest: &str| rest.trim_matches(['[', ']']).split("][").map(ToOwned::to_owned).collect::<Vec<_>>();
        if let Some(rest) = key.strip_prefix("request.headers") {
            return Self::Header(brackets(rest).remove(0));
        }
        if let Some(rest) = key.strip_prefix("request.auth.claims") {
            return Self::Claim(brackets(rest));
        }
        WHEN_KEYS.iter().find(|(name, _)| *name == key).unwrap_or_else(|| panic!("no key {key}")).1.clone()
    }
}

// === impl Condition ===

impl Condition {
    pub(crate) fn twin(&self) -> Self {
        let (values, not_values) = (self.not_values.clone(), self.values.clone());
        Self { attribute: self.attribute.clone(), values, not_values }
    }
}

// === impl Rule ===

impl Rule {
    /// Every condition with its place.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (Place, &Condition)> {
        let from = self.from.iter().flatten().map(|condition| (Place::From, condition));
        let to = self.to.iter().flatten().map(|condition| (Place::To, condition));
        from.chain(to).chain(self.when.iter().map(|condition| (Place::When, condition)))
    }

    /// Every condition, to change it; in the order of [`Rule::conditions`].
    pub(crate) fn conditions_mut(&mut self) -> impl Iterator<Item = &mut Condition> {
        self.from.iter_mut().flatten().chain(self.to.iter_mut().flatten()).chain(&mut self.when)
    }
}

// === impl PolicySet ===

impl PolicySet {
    pub(crate) fn has_dry_run(&self) -> bool {
        self.policies.iter().any(|policy| policy.dry_run)
    }

    pub(crate) fn conditions(&self) -> impl Iterator<Item = (Place, &Condition)> {
        self.policies.iter().flat_map(|policy| &policy.rules).flat_map(Rule::conditions)
    }

    /// From the `policies` of a document in our own language (the part of it that both share).
    pub(crate) fn parse(protocol: Protocol, document: &Value) -> Self {
        let policies = document["policies"].as_array().into_iter().flatten().map(parse_policy).collect();
        let trust_domains = match &document["trustDomains"] {
            Value::Null => vec!["cluster.local".to_owned()],
            domains => texts(domains),
        };
        Self { protocol, trust_domains, policies }
    }

    /// The `policies` of a document in our own language, ports renamed.
    pub(crate) fn to_json(&self, ports: &BTreeMap<u16, u16>) -> Value {
        self.policies.iter().map(|policy| policy_json(policy, ports)).collect()
    }
}

fn parse_policy(json: &Value) -> Policy {
    Policy {
        name: json["name"].as_str().unwrap().to_owned(),
        namespace: json["namespace"].as_str().map(ToOwned::to_owned),
        action: if json["action"] == "DENY" { Action::Deny } else { Action::Allow },
        dry_run: json["mode"] == "DRY_RUN",
        rules: json["rules"].as_array().into_iter().flatten().map(parse_rule).collect(),
    }
}

fn parse_rule(json: &Value) -> Rule {
    let parts = |list: &str, item: &str| {
        let items = json[list].as_array().into_iter().flatten();
        items.map(|part| parse_fields(part[item].as_object().unwrap())).collect()
    };
    Rule {
        from: parts("from", "source"),
        to: parts("to", "operation"),
        when: json["when"].as_array().into_iter().flatten().map(parse_when).collect(),
    }
}

fn parse_fields(fields: &Map<String, Value>) -> Vec<Condition> {
    let mut found: BTreeMap<Attribute, Condition> = BTreeMap::new();
    for (name, values) in fields {
        let twin = name.strip_prefix("not").map(|rest| rest[..1].to_lowercase() + &rest[1..]);
        let attribute = Attribute::in_field(twin.as_ref().unwrap_or(name));
        let condition = found.entry(attribute.clone()).or_insert(Condition {
            attribute,
            values: Vec::new(),
            not_values: Vec::new(),
        });
        *(if twin.is_some() { &mut condition.not_values } else { &mut condition.values }) = texts(values);
    }
    found.into_values().collect()
}

fn parse_when(json: &Value) -> Condition {
    Condition {
        attribute: Attribute::in_key(json["key"].as_str().unwrap()),
        values: texts(&json["values"]),
        not_values: texts(&json["notValues"]),
    }
}

fn texts(json: &Value) -> Vec<String> {
    json.as_array()
        .into_iter()
        .flatten()
        .map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
        .collect()
}

fn policy_json(policy: &Policy, ports: &BTreeMap<u16, u16>) -> Value {
    let mut json = json!({
        "name": policy.name,
        "action": if policy.action == Action::Allow { "ALLOW" } else { "DENY" },
        "rules": policy.rules.iter().map(|rule| rule_json(rule, ports)).collect::<Vec<_>>(),
    });
    if let Some(namespace) = &policy.namespace {
        json["namespace"] = json!(namespace);
    }
    if policy.dry_run {
        json["mode"] = json!("DRY_RUN");
    }
    json
}

fn rule_json(rule: &Rule, ports: &BTreeMap<u16, u16>) -> Value {
    let mut json = Map::new();
    let mut part = |list: &str, item: &str, place, all: &[Vec<Condition>]| {
        if !all.is_empty() {
            let items: Value =
                all.iter().map(|fields| json!({item: fields_json(place, fields, ports)})).collect();
            json.insert(list.to_owned(), items);
        }
    };
    part("from", "source", Place::From, &rule.from);
    part("to", "operation", Place::To, &rule.to);
    if !rule.when.is_empty() {
        json.insert(
            "when".to_owned(),
            rule.when.iter().map(|condition| when_json(condition, ports)).collect(),
        );
    }
    Value::Object(json)
}

fn fields_json(place: Place, fields: &[Condition], ports: &BTreeMap<u16, u16>) -> Value {
    let mut json = Map::new();
    for condition in fields {
        let name = condition.attribute.name(place);
        if !condition.values.is_empty() {
            json.insert(name.clone(), json!(renamed(condition, &condition.values, ports)));
        }
        if !condition.not_values.is_empty() {
            let twin = format!("not{}{}", name[..1].to_uppercase(), &name[1..]);
            json.insert(twin, json!(renamed(condition, &condition.not_values, ports)));
        }
    }
    Value::Object(json)
}

fn when_json(condition: &Condition, ports: &BTreeMap<u16, u16>) -> Value {
    let mut json = json!({"key": condition.attribute.name(Place::When)});
    for (name, values) in [("values", &condition.values), ("notValues", &condition.not_values)] {
        if !values.is_empty() {
            json[name] = json!(renamed(condition, values, ports));
        }
    }
    json
}

/// Values, ports by the numbers that the gateway really has.
pub(crate) fn renamed(condition: &Condition, values: &[String], ports: &BTreeMap<u16, u16>) -> Vec<String> {
    if condition.attribute != Attribute::Port {
        return values.to_vec();
    }
    let real = |port: &String| ports.get(&port.parse().unwrap()).map_or_else(|| port.clone(), u16::to_string);
    values.iter().map(real).collect()
}
