//! What istiod makes of AuthorizationPolicies: configurations of Envoy's native RBAC filter.
//!
//! Written from observed behaviour, for comparison only. One filter for the DENY policies, then one for the ALLOW
//! policies; a rule is one entry, its `from` are the principals, its `to` the permissions, and each condition of `when`
//! is repeated in every one of either.

mod condition;
mod text;
mod trust_domain;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::model::{Action, Attribute, Condition, Policy, PolicySet, Protocol, Rule};

/// The namespace of policies that are for the whole mesh.
const ROOT_NAMESPACE: &str = "istio-system";

/// What a translation needs to know.
#[derive(Clone, Copy)]
struct Context<'c> {
    protocol: Protocol,
    action: Action,
    namespace: &'c str,
    bundle: &'c [String],
    ports: &'c BTreeMap<u16, u16>,
}

/// The filters in their order: DENY, ALLOW.
pub(crate) fn filters(set: &PolicySet, ports: &BTreeMap<u16, u16>) -> Vec<Value> {
    [Action::Deny, Action::Allow].map(|action| filter(set, ports, action)).to_vec()
}

fn filter(set: &PolicySet, ports: &BTreeMap<u16, u16>, action: Action) -> Value {
    let mut filter = Map::new();
    for (key, dry_run) in [("rules", false), ("shadow_rules", true)] {
        let mut policies =
            set.policies.iter().filter(|p| p.action == action && p.dry_run == dry_run).peekable();
        if policies.peek().is_some() {
            let entries: Map<String, Value> =
                policies.flat_map(|policy| entries(set, ports, policy)).collect();
            let action = if action == Action::Allow { "ALLOW" } else { "DENY" };
            filter.insert(key.to_owned(), json!({"action": action, "policies": entries}));
        }
    }
    let prefix = if action == Action::Allow { "istio_dry_run_allow_" } else { "istio_dry_run_deny_" };
    filter.insert("shadow_rules_stat_prefix".to_owned(), json!(prefix));
    Value::Object(filter)
}

fn entries(set: &PolicySet, ports: &BTreeMap<u16, u16>, policy: &Policy) -> Vec<(String, Value)> {
    let namespace = policy.namespace.as_deref().unwrap_or(ROOT_NAMESPACE);
    let context = Context {
        protocol: set.protocol,
        action: policy.action,
        namespace,
        bundle: &set.trust_domains,
        ports,
    };
    let name = |at: usize| format!("ns[{namespace}]-policy[{}]-rule[{at}]", policy.name);
    if policy.rules.is_empty() {
        let never = json!({"not_rule": {"any": true}});
        return vec![(name(0), json!({"permissions": [never], "principals": [{"not_id": {"any": true}}]}))];
    }
    let rules = policy.rules.iter().enumerate();
    rules.filter_map(|(at, rule)| Some((name(at), context.rule(rule)?))).collect()
}

impl Context<'_> {
    /// An entry; none where an ALLOW on TCP would need something of HTTP.
    fn rule(&self, rule: &Rule) -> Option<Value> {
        let (permission_when, principal_when): (Vec<&Condition>, Vec<&Condition>) =
            rule.when.iter().partition(|condition| {
                matches!(
                    condition.attribute,
                    Attribute::DestinationIp | Attribute::Port | Attribute::ServerName
                )
            });
        let permissions = self.alternatives(&rule.to, &permission_when, PERMISSION)?;
        let principals = self.alternatives(&rule.from, &principal_when, PRINCIPAL)?;
        Some(json!({"permissions": permissions, "principals": principals}))
    }

    fn alternatives(&self, all: &[Vec<Condition>], when: &[&Condition], side: Side) -> Option<Vec<Value>> {
        let empty = [Vec::new()];
        let all = if all.is_empty() { &empty } else { all };
        all.iter()
            .map(|fields| {
                let mut parts = Vec::new();
                for condition in fields.iter().chain(when.iter().copied()) {
                    self.condition(condition, side, &mut parts)?;
                }
                if parts.is_empty() {
                    parts.push(json!({"any": true}));
                }
                Some(side.all(&parts))
            })
            .collect()
    }

    fn condition(&self, condition: &Condition, side: Side, parts: &mut Vec<Value>) -> Option<()> {
        if self.protocol == Protocol::Tcp && condition.attribute.is_http_only() {
            // A DENY forgets the field, an ALLOW the whole rule.
            return (self.action == Action::Deny).then_some(());
        }
        let matchers = self.matchers(condition, &condition.values);
        if !matchers.is_empty() {
            parts.push(side.any(&matchers));
        }
        let matchers = self.matchers(condition, &condition.not_values);
        if !matchers.is_empty() {
            parts.push(side.not(&side.any(&matchers)));
        }
        Some(())
    }
}

/// Permissions and principals have the same logic under different names.
#[derive(Debug, Clone, Copy)]
struct Side {
    and: &'static str,
    or: &'static str,
    not: &'static str,
    list: &'static str,
}

const PERMISSION: Side = Side { and: "and_rules", or: "or_rules", not: "not_rule", list: "rules" };
const PRINCIPAL: Side = Side { and: "and_ids", or: "or_ids", not: "not_id", list: "ids" };

impl Side {
    fn all(self, parts: &[Value]) -> Value {
        json!({self.and: {self.list: parts}})
    }

    fn any(self, parts: &[Value]) -> Value {
        json!({self.or: {self.list: parts}})
    }

    fn not(self, part: &Value) -> Value {
        json!({self.not: part})
    }
}
