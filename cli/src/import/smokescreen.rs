//! smokescreen's ACL: roles, each with a list of domains.

use super::json;
use super::{Imported, Note, NoteKind};
use crate::source::Node;
use egress_policy::config::Json;
use egress_policy::names::{SpiffeId, is_dns_label, is_dns_subdomain};
use egress_policy::patterns::HostPattern;

/// Whether a document is an ACL.
pub(crate) fn is_acl(node: &Node) -> bool {
    node.get("kind").is_none() && (node.get("services").is_some() || node.get("default").is_some())
}

/// The keys of an ACL and of its rules that are said here.
const TOP: &[&str] = &["version", "services", "default", "global_allow_list", "global_deny_list"];
const RULE: &[&str] = &["name", "project", "action", "allowed_domains"];

pub(super) fn convert(acl: &Node) -> Imported {
    let everybody = acl.texts("global_allow_list").filter_map(|domain| HostPattern::parse(domain).ok());
    let everybody = everybody.map(|pattern| pattern.to_string()).collect();
    let mut converter = Converter { notes: Vec::new(), policies: Vec::new(), roles: Vec::new(), everybody };
    converter.unknown(acl, TOP, "");
    converter.global(acl, "global_deny_list", "DENY");
    for (at, service) in acl.get("services").map(Node::items).unwrap_or_default().iter().enumerate() {
        converter.service(service, at);
    }
    if let Some(default) = acl.get("default") {
        converter.default_rule(default);
    }
    converter.global(acl, "global_allow_list", "ALLOW");
    let config = json::object(vec![("policies", Json::List(converter.policies))]);
    Imported { config, notes: converter.notes }
}

/// A role, as a source of our rules.
#[derive(Debug, Clone)]
struct Role {
    field: &'static str,
    value: String,
}

struct Converter {
    notes: Vec<Note>,
    policies: Vec<Json>,
    roles: Vec<Role>,
    /// What everybody may reach.
    everybody: Vec<String>,
}

/// What a rule does with domains that it does not list.
enum Otherwise {
    Refuse,
    Report,
    Admit,
}

impl Converter {
    fn note(&mut self, role: &str, field: &str, what: NoteKind, message: impl Into<String>) {
        let (policy, field, message) = (role.to_owned(), field.to_owned(), message.into());
        self.notes.push(Note { policy, field, what, message });
    }

    fn unknown(&mut self, node: &Node, known: &[&str], role: &str) {
        for entry in node.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let what = "it has no counterpart here, and is not imported";
            self.note(role, &entry.key, NoteKind::LeftOut, what);
        }
    }

    /// A list for everybody.
    fn global(&mut self, acl: &Node, key: &str, action: &str) {
        if acl.get(key).is_none_or(|list| list.items().is_empty()) {
            return;
        }
        let hosts = self.hosts(acl, key, "", action == "DENY");
        if action == "DENY" {
            let what = "smokescreen asks a role's own list first; here a DENY stands above every ALLOW";
            self.note("", key, NoteKind::Changed, what);
        }
        if !hosts.is_empty() {
            let name = key.replace('_', "-");
            self.push(&name, action, None, None, Some(("hosts", json::texts(&hosts))));
        }
    }

    fn service(&mut self, service: &Node, at: usize) {
        let Some(name) = service.text_at(&["name"]) else {
            self.note("", &format!("services[{at}]"), NoteKind::Refused, "it has no name");
            return;
        };
        let Some(role) = self.role(name) else {
            return;
        };
        self.roles.push(role.clone());
        self.rule(service, name, &policy_name(name), &source(&[&role], ""));
    }

    /// Roles without a rule of their own.
    fn default_rule(&mut self, default: &Node) {
        let roles: Vec<_> = self.roles.clone();
        let roles: Vec<_> = roles.iter().collect();
        let source = source(&roles, "not");
        self.rule(default, "default", "default", &source);
    }

    fn rule(&mut self, rule: &Node, role: &str, name: &str, source: &Option<Json>) {
        self.unknown(rule, RULE, role);
        let otherwise = match rule.text_at(&["action"]) {
            Some("enforce") => Otherwise::Refuse,
            Some("report") => Otherwise::Report,
            Some("open") => Otherwise::Admit,
            _ => {
                self.note(role, "action", NoteKind::Refused, "the action is one of enforce, report, open");
                return;
            }
        };
        let owner = rule.text_at(&["project"]);
        let hosts = self.hosts(rule, "allowed_domains", role, false);
        match otherwise {
            Otherwise::Refuse => {
                // Without domains the policy stands all the same: it says that this role may go nowhere.
                let hosts = (!hosts.is_empty()).then(|| ("hosts", json::texts(&hosts)));
                self.push_allow(name, owner, source, hosts);
            }
            Otherwise::Report => {
                let all = json::texts(&["*"]);
                self.push_allow(name, owner, source, Some(("hosts", all)));
                let listed: Vec<_> = hosts.iter().chain(&self.everybody).collect();
                let but = (!listed.is_empty()).then(|| ("notHosts", json::texts(&listed)));
                let report = format!("{name}.report");
                self.push(&report, "DENY", owner, source.as_ref(), but);
                self.set_dry_run();
                let what = "said by an ALLOW of every host and a DENY in dry run that reports (would_deny)";
                self.note(role, "action", NoteKind::Changed, what);
            }
            Otherwise::Admit => {
                let all = json::texts(&["*"]);
                self.push_allow(name, owner, source, Some(("hosts", all)));
            }
        }
    }

    fn push_allow(
        &mut self,
        name: &str,
        owner: Option<&str>,
        source: &Option<Json>,
        hosts: Option<(&str, Json)>,
    ) {
        if hosts.is_some() {
            self.push(name, "ALLOW", owner, source.as_ref(), hosts);
        } else {
            let mut entries = vec![("name", json::text(name))];
            entries.extend(owner.map(|owner| ("owner", json::text(owner))));
            self.policies.push(json::object(entries));
        }
    }

    fn push(
        &mut self,
        name: &str,
        action: &str,
        owner: Option<&str>,
        source: Option<&Json>,
        hosts: Option<(&str, Json)>,
    ) {
        let mut rule = Vec::new();
        if let Some(source) = source {
            let item = json::object(vec![("source", source.clone())]);
            rule.push(("from", Json::List(vec![item])));
        }
        if let Some(hosts) = hosts {
            let item = json::object(vec![("operation", json::object(vec![hosts]))]);
            rule.push(("to", Json::List(vec![item])));
        }
        let mut entries = vec![("name", json::text(name))];
        if action != "ALLOW" {
            entries.push(("action", json::text(action)));
        }
        entries.extend(owner.map(|owner| ("owner", json::text(owner))));
        entries.push(("rules", Json::List(vec![json::object(rule)])));
        self.policies.push(json::object(entries));
    }

    /// Puts the last policy into dry run.
    fn set_dry_run(&mut self) {
        if let Some(Json::Object(policy)) = self.policies.last_mut() {
            policy.0.insert(2, ("mode".into(), json::text("DRY_RUN")));
        }
    }

    /// A role is whatever smokescreen was taught to read from a certificate; here it is an identity.
    fn role(&mut self, name: &str) -> Option<Role> {
        let role = |field, value: &str| Some(Role { field, value: value.to_owned() });
        let account = name.split_once('/').filter(|(ns, sa)| is_dns_label(ns) && is_dns_subdomain(sa));
        let path = name.strip_prefix("spiffe://").unwrap_or(name);
        if SpiffeId::parse_without_scheme(path).is_ok() {
            return role("principals", path);
        }
        if account.is_some() {
            self.note(
                name,
                "name",
                NoteKind::Changed,
                "the role is read as the service account of that name",
            );
            return role("serviceAccounts", name);
        }
        if is_dns_label(name) {
            self.note(name, "name", NoteKind::Changed, "the role is read as the namespace of that name");
            return role("namespaces", name);
        }
        let what = "the role is no identity: write a namespace, `namespace/account` or a SPIFFE id";
        self.note(name, "name", NoteKind::Refused, what);
        None
    }

    fn hosts(&mut self, node: &Node, key: &str, role: &str, closes: bool) -> Vec<String> {
        let mut hosts = Vec::new();
        for (at, domain) in node.texts(key).enumerate() {
            match HostPattern::parse(domain) {
                Ok(pattern) => hosts.push(pattern.to_string()),
                Err(fault) => {
                    let what = if closes { NoteKind::Refused } else { NoteKind::LeftOut };
                    self.note(role, &format!("{key}[{at}]"), what, format!("{domain:?}: {fault}"));
                }
            }
        }
        hosts
    }
}

/// The roles as a source, or, with `not`, everybody else.
fn source(roles: &[&Role], not: &str) -> Option<Json> {
    let fields = ["principals", "serviceAccounts", "namespaces"];
    let entries: Vec<_> = fields
        .into_iter()
        .filter_map(|field| {
            let values: Vec<_> =
                roles.iter().filter(|role| role.field == field).map(|role| &role.value).collect();
            let key = match not {
                "" => field.to_owned(),
                _ => format!("not{}", capital(field)),
            };
            (!values.is_empty()).then(|| (key, json::texts(&values)))
        })
        .collect();
    (!entries.is_empty()).then(|| json::object(entries))
}

fn capital(field: &str) -> String {
    let mut letters = field.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

/// A policy's name for a role: DNS-1123.
fn policy_name(role: &str) -> String {
    let role = role.strip_prefix("spiffe://").unwrap_or(role);
    role.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".").to_ascii_lowercase()
}
