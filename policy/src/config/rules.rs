//! `policies` and their rules.

use super::choice::{self, Choices};
use super::conditions;
use super::error::Problem;
use super::fields::{ParseContext, PartFields, Written, predicate};
use super::host_sets::HostSets;
use super::json::Json;
use super::settings::Settings;
use super::validator::{ConfigPath, Entries, Validator};
use crate::Fault;
use crate::attributes::Protocol;
use crate::names::{is_dns_label, is_dns_subdomain};
use crate::rules::{Action, FieldKey, Policy, PolicyMode, Predicate, Rule, RulePart};
use crate::time::Timestamp;
use rustc_hash::FxHashMap;

const POLICY_KEYS: &[&str] =
    &["name", "namespace", "action", "mode", "protocols", "expires", "owner", "rules"];
const RULE_KEYS: &[&str] = &["from", "to", "when"];
const ACTIONS: Choices<Action> =
    &[("ALLOW", Action::Allow), ("DENY", Action::Deny), ("AUDIT", Action::Audit)];
const MODES: Choices<PolicyMode> = &[("ENFORCE", PolicyMode::Enforce), ("DRY_RUN", PolicyMode::DryRun)];
const PROTOCOLS: Choices<Protocol> = &[("HTTP", Protocol::Http), ("NETWORK", Protocol::Network)];

/// All policies, in configuration order.
pub(super) fn read_policies(
    validator: &mut Validator,
    top: &Entries<'_>,
    settings: &Settings,
    sets: &HostSets,
) -> Vec<Policy> {
    let path = top.path.key("policies");
    let items = match top.get("policies") {
        None => return Vec::new(),
        // A file may begin without any policy; nothing reads "no policies" as "anything".
        Some(Json::List(items)) => items.as_slice(),
        Some(other) => {
            validator.wrong_type(&path, "a list", other);
            return Vec::new();
        }
    };
    let (source, operation) = (PartFields::of(RulePart::Source), PartFields::of(RulePart::Operation));
    let domains = &settings.trust_domains;
    let mesh = ParseContext { domains, sets, namespace: None, source: &source, operation: &operation };
    let mut names: FxHashMap<Box<str>, usize> = FxHashMap::default();
    let mut policies = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let path = path.index(at);
        let Some(policy) = read_policy(validator, item, &path, mesh) else {
            continue;
        };
        // Where name or namespace could not be read, it is not known whose name this would be a second time.
        let namespace_known = policy.namespace.is_some() || !has_namespace(item);
        if namespace_known && !policy.name.is_empty() {
            let full_name = [policy.namespace.as_deref().unwrap_or_default(), &*policy.name].join("/");
            let first = *names.entry(full_name.into()).or_insert(at);
            if first != at {
                let what = format!("policies[{first}] has this name in the same namespace");
                validator.fault(
                    &path.key("name"),
                    &policy.name,
                    Fault::with_repair(what, "rename one of them"),
                );
            }
        }
        policies.push(policy);
    }
    policies
}

fn read_policy(
    validator: &mut Validator,
    json: &Json,
    path: &ConfigPath<'_>,
    mesh: ParseContext<'_>,
) -> Option<Policy> {
    let entries = validator.object(json, path, POLICY_KEYS)?;
    let name = read_name(validator, &entries);
    let namespace = read_namespace(validator, &entries);
    let action = choice::read(validator, &entries, "action", ACTIONS).unwrap_or_default();
    let mode = choice::read(validator, &entries, "mode", MODES).unwrap_or_default();
    if action == Action::Audit && mode == PolicyMode::DryRun {
        let what = "an AUDIT policy changes no verdict, so it has no dry run";
        let fault = Fault::with_repair(what, "leave `mode` out");
        validator.fault(&path.key("mode"), "DRY_RUN", fault);
    }
    let protocols = read_protocols(validator, &entries);
    let expires = read_text(validator, &entries, "expires", Timestamp::parse);
    let owner = read_text(validator, &entries, "owner", |text| {
        if text.is_empty() {
            return Err(Fault::empty());
        }
        Ok(Box::from(text))
    });
    // A namespace with an error in it is still one, so that its service accounts are not blamed as well.
    let own = namespace.as_deref().or(entries.get("namespace").map(|_| "unknown"));
    let context = ParseContext { namespace: own, ..mesh };
    let rules = read_rules(validator, &entries, context);
    if rules.is_empty() && action != Action::Allow && is_empty_or_absent(entries.get("rules")) {
        let what = "a DENY or AUDIT without rules never matches";
        let fault = Fault::with_repair(what, "write the rule `{}` if it is to match everything");
        validator.note(&path.key("rules"), Problem::Rule(fault));
    }
    Some(Policy { name, namespace, action, mode, protocols, expires, owner, rules })
}

fn has_namespace(policy: &Json) -> bool {
    matches!(policy, Json::Object(object) if object.get("namespace").is_some())
}

fn is_empty_or_absent(rules: Option<&Json>) -> bool {
    match rules {
        None => true,
        Some(Json::List(items)) => items.is_empty(),
        Some(_) => false,
    }
}

fn read_name(validator: &mut Validator, entries: &Entries<'_>) -> Box<str> {
    let Some(json) = entries.get("name") else {
        validator.note(entries.path, Problem::Missing("name"));
        return Box::default();
    };
    let path = entries.path.key("name");
    let Some(name) = validator.text(json, &path) else {
        return Box::default();
    };
    if !is_dns_subdomain(name) {
        let what = "a policy's name is lower-case letters, digits, dashes and dots (DNS-1123)";
        validator.fault(&path, name, Fault::new(what));
    }
    name.into()
}

fn read_namespace(validator: &mut Validator, entries: &Entries<'_>) -> Option<Box<str>> {
    read_text(validator, entries, "namespace", |text| {
        if is_dns_label(text) {
            return Ok(text.into());
        }
        let what = "a namespace is lower-case letters, digits and dashes (DNS-1123)";
        Err(if text == "*" {
            Fault::with_repair(what, "leave `namespace` out for the whole mesh")
        } else {
            Fault::new(what)
        })
    })
}

fn read_protocols(validator: &mut Validator, entries: &Entries<'_>) -> Vec<Protocol> {
    let Some(json) = entries.get("protocols") else {
        return vec![Protocol::Http, Protocol::Network];
    };
    let path = entries.path.key("protocols");
    let items = validator.list(json, &path);
    items
        .iter()
        .enumerate()
        .filter_map(|(at, item)| choice::value(validator, item, &path.index(at), PROTOCOLS))
        .collect()
}

/// A string that may be left out.
fn read_text<T>(
    validator: &mut Validator,
    entries: &Entries<'_>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, Fault>,
) -> Option<T> {
    let json = entries.get(key)?;
    let path = entries.path.key(key);
    let text = validator.text(json, &path)?;
    match parse(text) {
        Ok(value) => Some(value),
        Err(fault) => {
            validator.fault(&path, text, fault);
            None
        }
    }
}

fn read_rules(validator: &mut Validator, entries: &Entries<'_>, context: ParseContext<'_>) -> Vec<Rule> {
    let path = entries.path.key("rules");
    match entries.get("rules") {
        None => Vec::new(),
        Some(Json::List(items)) => items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| read_rule(validator, item, &path.index(at), context))
            .collect(),
        Some(other) => {
            validator.wrong_type(&path, "a list", other);
            Vec::new()
        }
    }
}

fn read_rule(
    validator: &mut Validator,
    json: &Json,
    path: &ConfigPath<'_>,
    context: ParseContext<'_>,
) -> Option<Rule> {
    let entries = validator.object(json, path, RULE_KEYS)?;
    let from = read_alternatives(validator, &entries, RulePart::Source, context);
    let to = read_alternatives(validator, &entries, RulePart::Operation, context);
    let mut when = match entries.get("when") {
        None => Vec::new(),
        Some(json) => {
            let path = path.key("when");
            let items = validator.list(json, &path);
            items
                .iter()
                .enumerate()
                .filter_map(|(at, item)| conditions::read(validator, item, &path.index(at), context))
                .collect()
        }
    };
    by_cost(&mut when);
    Some(Rule { from, to, when })
}

/// `from` or `to`: a list of objects with one key, each holding fields.
fn read_alternatives(
    validator: &mut Validator,
    entries: &Entries<'_>,
    part: RulePart,
    context: ParseContext<'_>,
) -> Vec<Vec<Predicate>> {
    let (list_key, item_keys, known): (_, &[&'static str; 1], _) = match part {
        RulePart::Source => ("from", &["source"], context.source),
        RulePart::Operation => ("to", &["operation"], context.operation),
    };
    let [item_key] = item_keys;
    let Some(json) = entries.get(list_key) else {
        return Vec::new();
    };
    let list_path = entries.path.key(list_key);
    let mut alternatives = Vec::new();
    for (at, item) in validator.list(json, &list_path).iter().enumerate() {
        let path = list_path.index(at);
        let Some(item) = validator.object(item, &path, item_keys) else {
            continue;
        };
        if item.iter().next().is_none() {
            validator.note(&path, Problem::EmptyObject);
        }
        let fields_path = path.key(item_key);
        let Some(fields) =
            item.get(item_key).and_then(|json| validator.object(json, &fields_path, &known.keys))
        else {
            continue;
        };
        if fields.iter().next().is_none() {
            validator.note(&fields_path, Problem::EmptyObject);
        }
        alternatives.push(read_fields(validator, &fields, known, context));
    }
    alternatives
}

fn read_fields(
    validator: &mut Validator,
    fields: &Entries<'_>,
    known: &PartFields,
    context: ParseContext<'_>,
) -> Vec<Predicate> {
    let mut predicates = Vec::new();
    for (attribute, FieldKey { key, not_key, .. }) in &known.rows {
        let (path, not_path) = (fields.path.key(key), fields.path.key(not_key));
        let written = Written {
            values: fields.get(key).map(|json| (json, path)),
            not_values: fields.get(not_key).map(|json| (json, not_path)),
        };
        if written.values.is_some() || written.not_values.is_some() {
            predicates.push(predicate(attribute, Box::default(), validator, context, &written));
        }
    }
    by_cost(&mut predicates);
    predicates
}

/// What costs no host call is asked first.
fn by_cost(predicates: &mut [Predicate]) {
    // A handful at most: a sorting algorithm would outweigh what it sorts.
    for end in 1..predicates.len() {
        for at in (1..=end).rev() {
            let cost = |at: usize| predicates.get(at).map(|predicate| predicate.attribute.cost);
            if cost(at - 1) > cost(at) {
                predicates.swap(at - 1, at);
            }
        }
    }
}
