//! Whether a rule matches: docs/language.md#4-rules, over the raw JSON of the configuration.

use super::names::{self, Host, Workload};
use super::patterns;
use super::truth::{FALSE, TRUE, Truth, UNKNOWN, all, any, not, of};
use crate::support::{Answer, Begin, Request};
use serde_json::Value;

/// Who asks, as far as rules can compare it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Peer {
    Nobody,
    Workload(Workload),
    /// Refused or not to be read: nothing is known of it.
    Unclear,
}

/// What rules are compared with.
pub(crate) struct Case<'c> {
    pub(crate) config: &'c Value,
    pub(crate) request: &'c Request,
    pub(crate) peer: Peer,
    pub(crate) host: Option<(Host, Option<u16>)>,
}

/// An attribute as a rule sees it.
enum Seen<T> {
    Value(T),
    /// There is none: positive false, negative true.
    Nothing,
    Unknown,
}

pub(crate) fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
}

impl Case<'_> {
    pub(crate) fn rule(&self, rule: &Value, own: Option<&str>) -> Truth {
        let alternatives = |key: &str, holds: &dyn Fn(&Value) -> Truth| match rule[key].as_array() {
            None => TRUE,
            Some(items) => any(items.iter().map(holds)),
        };
        let when = rule["when"].as_array().map(Vec::as_slice).unwrap_or_default();
        all([
            alternatives("from", &|item| self.source(&item["source"], own)),
            alternatives("to", &|item| self.operation(&item["operation"])),
            all(when.iter().map(|condition| self.condition(condition, own))),
        ])
    }

    fn source(&self, source: &Value, own: Option<&str>) -> Truth {
        let key = |field: &str| {
            Some(match field {
                "principals" => "source.principal",
                "requestPrincipals" => "request.auth.principal",
                "namespaces" => "source.namespace",
                "serviceAccounts" => "source.serviceAccount",
                "trustDomains" => "source.trustDomain",
                "ipBlocks" => "source.ip",
                "remoteIpBlocks" => "remote.ip",
                _ => return None,
            })
        };
        self.fields(source, &key, own)
    }

    pub(crate) fn operation(&self, operation: &Value) -> Truth {
        let key =
            |field: &str| ["hosts", "ports", "methods", "paths"].into_iter().find(|known| *known == field);
        self.fields(operation, &key, None)
    }

    /// All fields of an object, each with its `not…` twin.
    fn fields(&self, object: &Value, key: &dyn Fn(&str) -> Option<&'static str>, own: Option<&str>) -> Truth {
        all(object.as_object().unwrap().iter().map(|(field, values)| match key(field) {
            // The twins of a path are held against one reading after the other, together.
            _ if field == "paths" || field == "notPaths" => self.paths(object),
            Some(attribute) => self.attribute(attribute, &strings(values), own),
            None => {
                let twin = field.strip_prefix("not").unwrap();
                let twin = twin[..1].to_lowercase() + &twin[1..];
                not_any(self, key(&twin).unwrap(), &strings(values), own)
            }
        }))
    }

    /// `paths` and `notPaths`: what they come to in every reading of the path, or unknown.
    fn paths(&self, operation: &Value) -> Truth {
        let Some(target) = self.path() else {
            return UNKNOWN;
        };
        let path = target.split(|byte| b"?#".contains(byte)).next().unwrap();
        let readings = if self.config["pathReadings"] == "LITERAL" {
            Some([path.to_vec()].into())
        } else {
            super::paths::readings(path)
        };
        let matches = |value: &String, reading: &[u8]| match patterns::path(value, reading) {
            // Which bytes an operator may cover is asked of the path as it is written.
            UNKNOWN if reading != path => TRUE,
            truth => truth,
        };
        let holds = |reading: &Vec<u8>| {
            let any_of =
                |key: &str| any(strings(&operation[key]).iter().map(|value| matches(value, reading)));
            let positive = if operation["paths"].is_null() { TRUE } else { any_of("paths") };
            all([positive, not(any_of("notPaths"))])
        };
        let mut truths = readings.iter().flatten().map(holds);
        let first = truths.next().unwrap_or(UNKNOWN);
        if truths.all(|truth| truth == first) { first } else { UNKNOWN }
    }

    fn condition(&self, condition: &Value, own: Option<&str>) -> Truth {
        let key = condition["key"].as_str().unwrap();
        let (values, not_values) = (strings(&condition["values"]), strings(&condition["notValues"]));
        let positive = if values.is_empty() { TRUE } else { self.attribute(key, &values, own) };
        let negative = if not_values.is_empty() { TRUE } else { not_any(self, key, &not_values, own) };
        all([positive, negative])
    }

    /// Whether any of the values is that of the attribute.
    fn attribute(&self, key: &str, values: &[String], own: Option<&str>) -> Truth {
        let each = |matches: &dyn Fn(&str) -> Truth| any(values.iter().map(|value| matches(value)));
        let listed = super::trust_domains(self.config);
        let identity = |matches: &dyn Fn(&str, &Workload) -> bool| match &self.peer {
            Peer::Workload(peer) => each(&|value| of(matches(value, peer))),
            Peer::Nobody => FALSE,
            Peer::Unclear => UNKNOWN,
        };
        match key {
            "source.principal" => identity(&|value, peer| patterns::principal(value, peer, &listed)),
            "source.namespace" => identity(&|value, peer| patterns::namespace(value, &peer.namespace)),
            "source.serviceAccount" => identity(&|value, peer| patterns::account(value, own, peer)),
            "source.trustDomain" => identity(&|value, peer| patterns::text(value, peer.domain.as_bytes())),
            "source.ip" | "remote.ip" => self.address(&self.request.source, values),
            "destination.ip" => self.address(&self.request.destination, values),
            "destination.port" | "ports" => match &self.request.port {
                Answer::There(port) => each(&|value| of(value.parse::<f64>().unwrap() == f64::from(*port))),
                Answer::Absent | Answer::Unreadable => UNKNOWN,
            },
            "hosts" => match &self.host {
                Some((host, port)) => any(super::expand(self.config, values)
                    .iter()
                    .map(|pattern| patterns::host(pattern, host, *port))),
                None => UNKNOWN,
            },
            "connection.sni" => match &self.request.sni {
                Answer::There(sni) if !sni.is_empty() => each(&|value| of(patterns::server_name(value, sni))),
                _ => UNKNOWN,
            },
            "methods" => self.bytes(self.seen(&self.request.method), values),
            "request.auth.principal" => self.request_principal(values),
            "request.auth.audiences" => self.claim(&["aud".to_owned()], values),
            "request.auth.presenter" => self.claim(&["azp".to_owned()], values),
            _ => {
                let brackets = |text: &str| {
                    text.trim_matches(['[', ']']).split("][").map(str::to_owned).collect::<Vec<String>>()
                };
                if let Some(rest) = key.strip_prefix("request.auth.claims") {
                    return self.claim(&brackets(rest), values);
                }
                let name = brackets(key.strip_prefix("request.headers").unwrap())[0].to_lowercase();
                let header = self.request.headers.get(&name).unwrap_or(&Answer::Absent);
                self.bytes(self.seen(header), values)
            }
        }
    }

    fn is_http(&self) -> bool {
        self.request.begin == Begin::Http
    }

    /// What only HTTP has.
    fn seen<T: Clone>(&self, answer: &Answer<T>) -> Seen<T> {
        match answer {
            _ if !self.is_http() => Seen::Unknown,
            Answer::There(value) => Seen::Value(value.clone()),
            Answer::Absent => Seen::Nothing,
            Answer::Unreadable => Seen::Unknown,
        }
    }

    fn bytes(&self, seen: Seen<Vec<u8>>, values: &[String]) -> Truth {
        match seen {
            Seen::Value(bytes) => any(values.iter().map(|value| of(patterns::text(value, &bytes)))),
            Seen::Nothing => FALSE,
            Seen::Unknown => UNKNOWN,
        }
    }

    /// The path, unless the request is a CONNECT or may be one.
    fn path(&self) -> Option<Vec<u8>> {
        let connect = match self.seen(&self.request.method) {
            Seen::Value(method) => method == b"CONNECT",
            Seen::Nothing => false,
            Seen::Unknown => true,
        };
        match &self.request.path {
            Answer::There(path) if !connect => Some(path.clone()),
            _ => None,
        }
    }

    fn address(&self, address: &Answer<Vec<u8>>, ranges: &[String]) -> Truth {
        let ip = match address {
            Answer::There(address) => names::address(address),
            Answer::Absent | Answer::Unreadable => None,
        };
        match ip {
            Some(ip) => any(ranges.iter().map(|range| of(names::in_range(range, ip)))),
            None => UNKNOWN,
        }
    }

    /// The strings that a claim holds; none where it is not there or no string.
    fn claim_values(&self, path: &[String]) -> Option<Vec<String>> {
        let payload = match self.seen(&self.request.token) {
            Seen::Value(payload) => payload,
            Seen::Nothing => return Some(Vec::new()),
            Seen::Unknown => return None,
        };
        let mut at = &payload;
        for key in path {
            at = &at[key];
        }
        Some(match at {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        })
    }

    fn claim(&self, path: &[String], values: &[String]) -> Truth {
        match self.claim_values(path) {
            Some(claims) => of(claims
                .iter()
                .any(|claim| values.iter().any(|value| patterns::text(value, claim.as_bytes())))),
            None => UNKNOWN,
        }
    }

    fn request_principal(&self, values: &[String]) -> Truth {
        let single = |name: &str| match self.seen(&self.request.token) {
            Seen::Value(payload) => Seen::Value(payload[name].as_str().map(str::to_owned)),
            Seen::Nothing => Seen::Nothing,
            Seen::Unknown => Seen::Unknown,
        };
        match (single("iss"), single("sub")) {
            (Seen::Value(Some(issuer)), Seen::Value(Some(subject))) => of(values
                .iter()
                .any(|value| patterns::request_principal(value, issuer.as_bytes(), subject.as_bytes()))),
            (Seen::Unknown, _) | (_, Seen::Unknown) => UNKNOWN,
            _ => FALSE,
        }
    }
}

fn not_any(case: &Case<'_>, key: &str, values: &[String], own: Option<&str>) -> Truth {
    not(case.attribute(key, values, own))
}
