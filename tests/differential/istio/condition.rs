//! One field: its values as matchers of Envoy's RBAC.

use serde_json::{Value, json};

use super::text::{glob, matcher, matcher_with, quoted, regex};
use super::{Context, trust_domain};
use crate::model::{Attribute, Condition, renamed};

const JWT: &str = "envoy.filters.http.jwt_authn";
const TEMPLATE: &str =
    "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";

impl Context<'_> {
    /// One matcher for each value, or for a list of claims one for all.
    pub(super) fn matchers(&self, condition: &Condition, values: &[String]) -> Vec<Value> {
        let values = renamed(condition, values, self.ports);
        let claim = |path: &[&str]| if values.is_empty() { Vec::new() } else { vec![claim(path, &values)] };
        match &condition.attribute {
            Attribute::Audiences => claim(&["aud"]),
            Attribute::Presenter => claim(&["azp"]),
            Attribute::Claim(path) => claim(&path.iter().map(String::as_str).collect::<Vec<_>>()),
            Attribute::Principal => {
                let all = values.iter().flat_map(|value| trust_domain::principals(value, self.bundle));
                all.map(|value| authenticated(&principal(&value))).collect()
            }
            Attribute::TrustDomain => {
                let all = values.iter().flat_map(|value| trust_domain::domains(value, self.bundle));
                all.map(|value| authenticated(&domain(&value))).collect()
            }
            attribute => values.iter().map(|value| self.matcher(attribute, value)).collect(),
        }
    }

    fn matcher(&self, attribute: &Attribute, value: &str) -> Value {
        match attribute {
            Attribute::Namespace => authenticated(&regex(&format!(".*/ns/{}/.*", glob(value)))),
            Attribute::ServiceAccount => {
                let (namespace, name) = value.split_once('/').unwrap_or((self.namespace, value));
                let (namespace, name) = (quoted(namespace), quoted(name));
                authenticated(&regex(&format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{name}(/.+)?")))
            }
            Attribute::SourceIp => json!({"direct_remote_ip": cidr(value)}),
            Attribute::RemoteIp => json!({"remote_ip": cidr(value)}),
            Attribute::DestinationIp => json!({"destination_ip": cidr(value)}),
            Attribute::RequestPrincipal => request_principal(value),
            Attribute::Host => host(value),
            Attribute::Method => header(":method", value),
            Attribute::Header(name) => header(name, value),
            Attribute::Port => json!({"destination_port": value.parse::<u16>().unwrap()}),
            Attribute::Path => path(value),
            Attribute::ServerName => json!({"requested_server_name": matcher(value)}),
            other => panic!("{other:?} is translated with all of its values"),
        }
    }
}

fn authenticated(principal_name: &Value) -> Value {
    json!({"authenticated": {"principal_name": principal_name}})
}

fn principal(value: &str) -> Value {
    match value.strip_prefix('*') {
        Some(suffix) if !suffix.is_empty() => regex(&format!("spiffe://.*{}", quoted(suffix))),
        _ => matcher_with(value, &|rest| format!("spiffe://{rest}")),
    }
}

fn domain(value: &str) -> Value {
    if value == "*" {
        return json!({"prefix": "spiffe://"});
    }
    match value.split_once('*') {
        None => json!({"prefix": format!("spiffe://{value}/")}),
        Some((before, after)) => regex(&format!("spiffe://{}[^/]*{}/.*", quoted(before), quoted(after))),
    }
}

fn cidr(value: &str) -> Value {
    let (address, length) = match value.split_once('/') {
        Some((address, length)) => (address, length.parse::<u8>().unwrap()),
        None => (value, if value.contains(':') { 128 } else { 32 }),
    };
    json!({"address_prefix": address, "prefix_len": length})
}

fn header(name: &str, value: &str) -> Value {
    if value == "*" {
        return json!({"header": {"name": name, "present_match": true}});
    }
    json!({"header": {"name": name, "string_match": matcher(value)}})
}

fn host(value: &str) -> Value {
    if value == "*" {
        return header(":authority", value);
    }
    let mut string_match = matcher(value);
    string_match["ignore_case"] = json!(true);
    json!({"header": {"name": ":authority", "string_match": string_match}})
}

fn path(value: &str) -> Value {
    if !value.contains("{*}") && !value.contains("{**}") {
        return json!({"url_path": {"path": matcher(value)}});
    }
    let path_template = value.replace("{*}", "*").replace("{**}", "**");
    let config = json!({"@type": TEMPLATE, "path_template": path_template});
    json!({"uri_template": {"name": "uri-template", "typed_config": config}})
}

/// Issuer and subject, split at the last slash.
fn request_principal(value: &str) -> Value {
    let (issuer, subject) = match (value.rsplit_once('/'), value.strip_prefix('*'), value.strip_suffix('*')) {
        (_, Some(""), _) => ("*".to_owned(), "*".to_owned()),
        (None, Some(_), _) => ("*".to_owned(), value.to_owned()),
        (Some((issuer, subject)), Some(_), _) => (issuer.to_owned(), subject.to_owned()),
        (None, None, Some(_)) => (value.to_owned(), "*".to_owned()),
        (Some((issuer, subject)), None, _) => (issuer.to_owned(), subject.to_owned()),
        (None, None, None) => (value.to_owned(), String::new()),
    };
    let part = |claim, text: &str| metadata(&[claim], &json!({"string_match": matcher(text)}));
    json!({"and_ids": {"ids": [part("iss", &issuer), part("sub", &subject)]}})
}

/// A string, or a list with such an element.
fn claim(path: &[&str], values: &[String]) -> Value {
    let strings: Vec<Value> = values.iter().map(|value| json!({"string_match": matcher(value)})).collect();
    let any = match &*strings {
        [one] => one.clone(),
        several => json!({"or_match": {"value_matchers": several}}),
    };
    metadata(path, &json!({"or_match": {"value_matchers": [{"list_match": {"one_of": any}}, any]}}))
}

fn metadata(path: &[&str], value: &Value) -> Value {
    let mut keys = vec![json!({"key": "payload"})];
    keys.extend(path.iter().map(|key| json!({"key": key})));
    json!({"metadata": {"filter": JWT, "path": keys, "value": value}})
}
