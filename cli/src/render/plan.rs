//! Which sites there are, and over which transports they are reached.

use super::names::{is_pod_label, istio_refuses};
use super::spec::{Gateway, GatewayKind, GatewaySpec, To, Transport};
use crate::diagnostics::{Diagnostic, and_more, is_shown};
use crate::source::{Node, Occurrence, Source};
use egress_policy::names::{Host, is_dns_label, is_dns_subdomain};
use egress_policy::patterns::HostPattern;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

/// A site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) http: Option<Http>,
    /// The port of TLS that stays inside the mesh's.
    pub(super) tls: Option<u16>,
    /// The port of TLS that passes untouched.
    pub(super) passthrough: Option<u16>,
}

/// HTTP to a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Http {
    /// The port that applications use.
    pub(super) port: u16,
    /// The site's port, where the gateway speaks TLS to it.
    pub(super) originate: Option<u16>,
}

/// All that the resources are made from.
#[derive(Debug)]
pub(super) struct Plan {
    /// By host.
    pub(super) sites: BTreeMap<String, Site>,
    /// Namespaces with no way out but the gateway.
    pub(super) confined: BTreeSet<String>,
}

struct Planner<'p> {
    source: &'p Rc<Source>,
    node: &'p Node,
    waypoint: bool,
    sites: BTreeMap<String, Site>,
    /// How many errors there are, shown or not.
    found: usize,
    errors: Vec<Diagnostic>,
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(spec: &GatewaySpec, source: &Rc<Source>, node: &Node) -> Result<Self, Vec<Diagnostic>> {
        let mut planner = Planner {
            source,
            node,
            waypoint: spec.gateway.kind == GatewayKind::Waypoint,
            sites: BTreeMap::new(),
            found: 0,
            errors: Vec::new(),
        };
        planner.gateway(&spec.gateway);
        let mut confined: BTreeSet<String> = spec.confine.iter().cloned().collect();
        for (at, site) in spec.sites.iter().enumerate() {
            let path = format!("sites[{at}]");
            if !site.methods.is_empty() {
                planner
                    .refuse(&format!("{path}.methods"), "methods belong to a rule: a site is reached or not");
            }
            planner.add(site, &path);
        }
        let mut names = HashSet::new();
        for (at, rule) in spec.rules.iter().enumerate() {
            let path = format!("rules[{at}]");
            planner.label(&rule.name, &format!("{path}.name"));
            if !names.insert(&rule.name) {
                planner.refuse(&format!("{path}.name"), "another rule has this name");
            }
            for (index, from) in rule.from.iter().enumerate() {
                planner.label(&from.namespace, &format!("{path}.from[{index}].namespace"));
                confined.insert(from.namespace.clone());
                for (at, account) in from.service_accounts.iter().enumerate() {
                    if !is_dns_subdomain(account) {
                        let path = format!("{path}.from[{index}].serviceAccounts[{at}]");
                        let what =
                            "not the name of a service account: lower-case letters, digits, dashes and dots";
                        let help = "write one name of this namespace; leave `serviceAccounts` out to mean all of them";
                        planner.refuse_with(&path, what, help);
                    }
                }
            }
            for (index, to) in rule.to.iter().enumerate() {
                let path = format!("{path}.to[{index}]");
                if to.over == Transport::Passthrough && !rule.from.is_empty() {
                    let what =
                        "TLS that passes untouched carries no identity: a rule with `from` never admits it";
                    planner.refuse(&format!("{path}.over"), what);
                }
                if to.over != Transport::Http && !to.methods.is_empty() {
                    planner.refuse(&format!("{path}.methods"), "TLS shows no methods");
                }
                planner.add(to, &path);
            }
        }
        for (at, namespace) in spec.confine.iter().enumerate() {
            planner.label(namespace, &format!("confine[{at}]"));
        }
        if planner.sites.is_empty() && planner.errors.is_empty() {
            planner.refuse("", "neither `sites` nor `rules` name a host: there is nothing to route");
        }
        if planner.errors.is_empty() {
            Ok(Self { sites: planner.sites, confined })
        } else {
            planner.errors.extend(and_more(planner.found, &source.name));
            Err(planner.errors)
        }
    }

    /// Hosts that are reached over a transport, with what is known of it.
    pub(super) fn over<T>(&self, transport: impl Fn(&Site) -> Option<T>) -> Vec<(&str, T)> {
        self.sites.iter().filter_map(|(host, site)| Some((host.as_str(), transport(site)?))).collect()
    }
}

impl Planner<'_> {
    fn refuse(&mut self, path: &str, what: &str) {
        self.refuse_with(path, what, "");
    }

    fn refuse_with(&mut self, path: &str, what: &str, help: &str) {
        self.found += 1;
        if !is_shown(self.errors.len()) {
            return;
        }
        let span = self.node.locate(path, Occurrence::First).map_or(self.node.span, |place| place.value());
        let refused = Diagnostic::error(what).at(self.source, span).path(path);
        self.errors.push(if help.is_empty() { refused } else { refused.help(help) });
    }

    /// What names the gateway: each is part of other names.
    fn gateway(&mut self, gateway: &Gateway) {
        self.label(gateway.name(), "gateway.name");
        if !gateway.name().starts_with(|first: char| first.is_ascii_lowercase()) {
            self.refuse("gateway.name", "a Service's name begins with a letter");
        }
        self.label(gateway.namespace(), "gateway.namespace");
        for key in ["selector", "lateDial"] {
            let path = format!("gateway.{key}");
            if self.waypoint && self.node.locate(&path, Occurrence::First).is_some() {
                self.refuse_with(&path, "this is not used for a waypoint", "leave it out");
            }
        }
        for (key, value) in gateway.selector() {
            if !is_pod_label(&key, &value) {
                self.refuse(&format!("gateway.selector.{key}"), "no pod can have this label");
            }
        }
        if let Some(image) = &gateway.image {
            let scheme = image.split_once("://").map_or("oci", |(scheme, _)| scheme);
            if !["oci", "http", "https", "file"].contains(&scheme) || image.contains(char::is_whitespace) {
                self.refuse_with(
                    "gateway.image",
                    "Istio fetches no such image",
                    "write oci://REGISTRY/NAME:TAG",
                );
            }
        }
        if let Some(secret) = &gateway.image_pull_secret
            && !is_dns_subdomain(secret)
        {
            self.refuse("gateway.imagePullSecret", "not a name that Kubernetes takes");
        }
    }

    fn label(&mut self, name: &str, path: &str) {
        if !is_dns_label(name) {
            self.refuse(path, "not a name that Kubernetes takes: lower-case letters, digits and dashes");
        }
    }

    fn add(&mut self, to: &To, path: &str) {
        if to.over == Transport::Passthrough && self.waypoint {
            self.refuse(
                &format!("{path}.over"),
                "a waypoint knows who is asking, whatever is inside: write TLS",
            );
        }
        if to.over != Transport::Http && to.originate().is_some() {
            let what = "the gateway originates TLS for HTTP only: here the application speaks TLS already";
            self.refuse(&format!("{path}.originateTls"), what);
        }
        for (at, host) in to.hosts.iter().enumerate() {
            let path = format!("{path}.hosts[{at}]");
            match Host::parse(host.as_bytes()) {
                Ok(Host::Name(name)) if name.as_str() != host => {
                    self.refuse_with(
                        &path,
                        "a host is written in lower case and without a dot at its end",
                        &format!("write {}", name.as_str()),
                    );
                }
                Ok(Host::Name(_)) => match istio_refuses(host) {
                    Some((what, help)) => self.refuse_with(&path, what, help),
                    None => self.add_host(host, to, &path),
                },
                Ok(_) => {
                    self.refuse(&path, "an address: the gateway routes by name, so a site needs one");
                }
                Err(_) if host.contains('*') => {
                    let what = "a wildcard: the gateway resolves each site by DNS and so needs its name. Rules with \
                                wildcards go under `config.policies`, the sites that they admit under `sites`";
                    self.refuse(&path, what);
                }
                Err(_) => match HostPattern::parse(host) {
                    Err(fault) => self.refuse_with(
                        &path,
                        &format!("{host:?}: {}", fault.what()),
                        fault.repair().unwrap_or_default(),
                    ),
                    Ok(_) => self.refuse(&path, "not a host name: the port goes under `port`"),
                },
            }
        }
    }

    fn add_host(&mut self, host: &str, to: &To, path: &str) {
        let mut site = self.sites.get(host).cloned().unwrap_or_default();
        let port = to.port();
        let http = Http { port, originate: to.originate() };
        let clash = match to.over {
            Transport::Http => site.http.replace(http).is_some_and(|before| before != http),
            Transport::Tls => site.tls.replace(port).is_some_and(|before| before != port),
            Transport::Passthrough => site.passthrough.replace(port).is_some_and(|before| before != port),
        };
        if clash {
            let what = "the host is named before with another port or another `originateTls`: the gateway can carry \
                        it by one of them only";
            self.refuse(path, what);
        }
        if site.tls.is_some() && site.tls == site.passthrough {
            let what = "the host is reached both inside the mesh's TLS and untouched by it, on one port";
            self.refuse(path, what);
        }
        if site.http.is_some_and(|http| Some(http.port) == site.tls || Some(http.port) == site.passthrough) {
            self.refuse(path, "the host speaks both HTTP and TLS on one port");
        }
        self.sites.insert(host.to_owned(), site);
    }
}
