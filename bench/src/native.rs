//! The same policies as istiod would write them for Envoy's native RBAC filter.
//!
//! Only the grammar of [`crate::shapes`] is translated; anything else is an error and not a filter that does less.

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

/// Where the filter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In an HTTP connection manager: hosts are `:authority`.
    Http,
    /// Before a TCP proxy: hosts are the server name, written as `when: connection.sni`.
    Network,
}

/// The filters in istiod's order: DENY where there are any such policies, then ALLOW.
///
/// # Errors
/// When a policy says what is not translated here.
pub fn filters(config: &Value, place: Place) -> Result<Vec<Value>> {
    let policies = config.get("policies").and_then(Value::as_array).context("no policies")?;
    let mut filters = Vec::new();
    for action in ["DENY", "ALLOW"] {
        let mut entries = Map::new();
        for policy in policies.iter().filter(|policy| action_of(policy) == action) {
            let name = policy.get("name").and_then(Value::as_str).context("no name")?;
            let namespace = policy.get("namespace").and_then(Value::as_str);
            let rules = policy.get("rules").and_then(Value::as_array).context("no rules")?;
            for (at, rule) in rules.iter().enumerate() {
                // As `egressctl import` names them: several namespaces' policies stand in the gateway's.
                let owner = namespace.unwrap_or("mesh");
                let entry = format!("ns[istio-system]-policy[{owner}.{name}]-rule[{at}]");
                entries.insert(entry, rule_entry(rule, namespace, place)?);
            }
        }
        if !entries.is_empty() || action == "ALLOW" {
            filters.push(json!({"rules": {"action": action, "policies": entries}}));
        }
    }
    Ok(filters)
}

fn action_of(policy: &Value) -> &str {
    policy.get("action").and_then(Value::as_str).unwrap_or("ALLOW")
}

fn rule_entry(rule: &Value, namespace: Option<&str>, place: Place) -> Result<Value> {
    let rule = rule.as_object().context("a rule is an object")?;
    if let Some(other) = rule.keys().find(|key| !["from", "to"].contains(&key.as_str())) {
        bail!("{other} is not translated");
    }
    let mut principals = Vec::new();
    match rule.get("from").and_then(Value::as_array) {
        Some(sources) => {
            for source in sources {
                principals.push(all("and_ids", "ids", fields(source, "source", &source_matcher)?));
            }
        }
        None => {
            let governed = namespace.map(|name| any("or_ids", "ids", vec![namespace_principal(name)]));
            principals.push(all("and_ids", "ids", governed.into_iter().collect()));
        }
    }
    let mut permissions = Vec::new();
    for operation in rule.get("to").and_then(Value::as_array).into_iter().flatten() {
        let matcher = |field: &str, text: &str| operation_matcher(field, text, place);
        permissions.push(all("and_rules", "rules", fields(operation, "operation", &matcher)?));
    }
    if permissions.is_empty() {
        permissions.push(all("and_rules", "rules", Vec::new()));
    }
    Ok(json!({"permissions": permissions, "principals": principals}))
}

/// The fields of a source or operation, each a choice among its values.
fn fields(item: &Value, key: &str, matcher: &dyn Fn(&str, &str) -> Result<Value>) -> Result<Vec<Value>> {
    let (or, list) = if key == "source" { ("or_ids", "ids") } else { ("or_rules", "rules") };
    let fields = item.get(key).and_then(Value::as_object).with_context(|| format!("no {key}"))?;
    let mut parts = Vec::new();
    for (field, values) in fields {
        let texts = values.as_array().into_iter().flatten().filter_map(Value::as_str);
        let matchers = texts.map(|text| matcher(field, text)).collect::<Result<Vec<_>>>()?;
        parts.push(any(or, list, matchers));
    }
    Ok(parts)
}

fn source_matcher(field: &str, text: &str) -> Result<Value> {
    Ok(match field {
        "namespaces" => namespace_principal(text),
        "principals" => principal(&json!({"exact": format!("spiffe://{text}")})),
        "serviceAccounts" => {
            let (namespace, name) = text.split_once('/').context("a namespace is wanted")?;
            principal_regex(&format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{name}(/.+)?"))
        }
        other => bail!("{other} is not translated"),
    })
}

fn operation_matcher(field: &str, text: &str, place: Place) -> Result<Value> {
    Ok(match (field, place) {
        ("hosts", Place::Network) => json!({"requested_server_name": string(text)}),
        ("hosts", Place::Http) if text == "*" => {
            json!({"header": {"name": ":authority", "present_match": true}})
        }
        ("hosts", Place::Http) => {
            let mut matcher = string(text);
            if let Value::Object(fields) = &mut matcher {
                fields.insert("ignore_case".to_owned(), json!(true));
            }
            json!({"header": {"name": ":authority", "string_match": matcher}})
        }
        ("methods", Place::Http) => json!({"header": {"name": ":method", "string_match": string(text)}}),
        ("paths", Place::Http) if text.contains('{') => {
            let template = text.replace("{*}", "*").replace("{**}", "**");
            let config = json!({
                "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                "path_template": template,
            });
            json!({"uri_template": {"name": "uri-template", "typed_config": config}})
        }
        ("paths", Place::Http) => json!({"url_path": {"path": string(text)}}),
        (other, _) => bail!("{other} is not translated"),
    })
}

fn namespace_principal(namespace: &str) -> Value {
    principal_regex(&format!(".*/ns/{namespace}/.*"))
}

fn principal_regex(regex: &str) -> Value {
    principal(&json!({"safe_regex": {"regex": regex}}))
}

fn principal(matcher: &Value) -> Value {
    json!({"authenticated": {"principal_name": matcher}})
}

fn string(text: &str) -> Value {
    if let Some(suffix) = text.strip_prefix('*') {
        json!({"suffix": suffix})
    } else if let Some(prefix) = text.strip_suffix('*') {
        json!({"prefix": prefix})
    } else {
        json!({"exact": text})
    }
}

fn any(or: &str, list: &str, parts: Vec<Value>) -> Value {
    json!({or: {list: parts}})
}

fn all(and: &str, list: &str, mut parts: Vec<Value>) -> Value {
    if parts.is_empty() {
        parts.push(json!({"any": true}));
    }
    json!({and: {list: parts}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::Shape;

    #[test]
    fn every_policy_becomes_an_entry() {
        for shape in Shape::ALL {
            let filters = filters(&shape.config(40), Place::Http).unwrap();
            let entries: usize =
                filters.iter().map(|filter| filter["rules"]["policies"].as_object().unwrap().len()).sum();
            assert_eq!(entries, 40, "{}", shape.name());
        }
    }

    #[test]
    fn what_is_not_translated_is_an_error() {
        let config =
            json!({"policies": [{"name": "a", "rules": [{"to": [{"operation": {"notHosts": ["b"]}}]}]}]});
        assert!(filters(&config, Place::Http).is_err());
    }
}
