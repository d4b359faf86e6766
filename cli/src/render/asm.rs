//! Alibaba's ASMEgressTrafficPolicy, read as a short file.

use crate::diagnostics::Diagnostic;
use crate::render::tree::obj;
use crate::source::{Node, Source, Which};
use egress_policy::config::Json;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The gateway's ports in that product, which ours keep: HTTP, TLS inside the mesh's, TLS untouched.
const PASSTHROUGH: f64 = 444.0;

pub(super) fn is_one(node: &Node) -> bool {
    node.text_at(&["kind"]) == Some("ASMEgressTrafficPolicy")
}

/// Which service accounts the pods run as that a `workloadSelector` means: labels are no identity, so someone has to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workloads(BTreeMap<String, Vec<String>>);

impl Workloads {
    /// From `namespace/label=value:service-account[,…]`.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, Vec<Diagnostic>> {
        let mut workloads = BTreeMap::new();
        for text in texts {
            let parts = text.rsplit_once(':').filter(|(workload, accounts)| {
                workload.contains('/') && workload.contains('=') && !accounts.is_empty()
            });
            let Some((workload, accounts)) = parts else {
                let what = format!("--workload {text}: written as NAMESPACE/LABEL=VALUE:SERVICE-ACCOUNT[,…]");
                return Err(vec![Diagnostic::error(what)]);
            };
            workloads.insert(workload.to_owned(), accounts.split(',').map(ToOwned::to_owned).collect());
        }
        Ok(Self(workloads))
    }
}

/// Keys that are understood, by the place where they stand.
const KNOWN: &[(&str, &[&str])] = &[
    ("spec", &["byEgressGateway", "egressRules"]),
    ("rule", &["name", "from", "to"]),
    ("from", &["namespace", "workloadSelector"]),
    ("to", &["name", "hosts", "port", "byEgressGateway", "httpsUpgrade"]),
];

struct Reader<'r> {
    source: &'r Rc<Source>,
    node: &'r Node,
    workloads: &'r Workloads,
    errors: Vec<Diagnostic>,
}

/// The short file that says the same.
pub(super) fn short(
    source: &Rc<Source>,
    node: &Node,
    workloads: &Workloads,
) -> Result<Node, Vec<Diagnostic>> {
    let mut reader = Reader { source, node, workloads, errors: Vec::new() };
    let name = node.text_at(&["metadata", "name"]).unwrap_or("egress").to_owned();
    let gateway = node.text_at(&["spec", "byEgressGateway", "name"]);
    let mut rules = Vec::new();
    if let Some(spec) = node.get("spec") {
        reader.known(spec, "spec", "spec");
    }
    let list = node.at(&["spec", "egressRules"]).map(Node::items).unwrap_or_default();
    for (at, rule) in list.iter().enumerate() {
        let path = format!("spec.egressRules[{at}]");
        reader.known(rule, "rule", &path);
        let own = rule.text_at(&["name"]).map_or_else(|| format!("{name}-{at}"), ToOwned::to_owned);
        let from = reader.from(rule, &path);
        let to = reader.to(rule, &path);
        rules.push(obj! {"name": own, "from": from, "to": to});
    }
    if rules.is_empty() {
        reader.refuse("spec.egressRules", "there is no rule", None);
    }
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    let short = obj! {"gateway": gateway.map(|name| obj! {"name": name}), "rules": rules};
    Ok(Node::from_json(&short, node.span))
}

impl Reader<'_> {
    fn refuse(&mut self, path: &str, what: &str, help: Option<&str>) {
        let span = self.node.locate(path, Which::First).map_or(self.node.span, |place| place.key_or_value());
        let diagnostic = Diagnostic::error(what).at(self.source, span).path(path);
        self.errors.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    /// A key that is not understood is not passed over: it may be what makes the rule narrow.
    fn known(&mut self, node: &Node, place: &str, path: &str) {
        let known = KNOWN.iter().find(|(name, _)| *name == place).map_or(&[][..], |(_, keys)| keys);
        for entry in node.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            self.refuse(&format!("{path}.{}", entry.key), "this is not understood", None);
        }
    }

    fn from(&mut self, rule: &Node, path: &str) -> Vec<Json> {
        let mut all = Vec::new();
        for (at, from) in rule.get("from").map(Node::items).unwrap_or_default().iter().enumerate() {
            let path = format!("{path}.from[{at}]");
            self.known(from, "from", &path);
            let Some(namespace) = from.text_at(&["namespace"]) else {
                self.refuse(&path, "a source without namespace", None);
                continue;
            };
            let selector = from.get("workloadSelector").filter(|selector| !selector.entries().is_empty());
            let accounts = selector.and_then(|selector| self.accounts(namespace, selector, &path));
            all.push(obj! {"namespace": namespace, "serviceAccounts": accounts});
        }
        if all.is_empty() {
            self.refuse(&format!("{path}.from"), "a rule without a source", None);
        }
        all
    }

    /// The service accounts that stand for a selector. Without them the rule would be for the whole namespace.
    fn accounts(&mut self, namespace: &str, selector: &Node, path: &str) -> Option<Vec<String>> {
        let labels = selector.at(&["matchLabels"]).or_else(|| selector.at(&["labels"])).unwrap_or(selector);
        let labels: Vec<String> = labels
            .entries()
            .iter()
            .map(|label| format!("{}={}", label.key, label.value.text().unwrap_or_default()))
            .collect();
        let found: Vec<&Vec<String>> =
            labels.iter().filter_map(|label| self.workloads.0.get(&format!("{namespace}/{label}"))).collect();
        if let [accounts] = found.as_slice() {
            return Some((*accounts).clone());
        }
        let what = format!(
            "the workloads are selected by labels ({}), which are no identity: a pod proves its service account and \
             nothing else",
            labels.join(", ")
        );
        let example = labels.first().map_or("app=NAME", String::as_str);
        let help = format!(
            "say which service accounts they run as: --workload {namespace}/{example}:SERVICE-ACCOUNT, or leave the \
             selector out to mean the namespace"
        );
        self.refuse(&format!("{path}.workloadSelector"), &what, Some(&help));
        None
    }

    fn to(&mut self, rule: &Node, path: &str) -> Vec<Json> {
        let mut all = Vec::new();
        for (at, to) in rule.get("to").map(Node::items).unwrap_or_default().iter().enumerate() {
            let path = format!("{path}.to[{at}]");
            self.known(to, "to", &path);
            let hosts: Vec<&str> = to.texts("hosts").collect();
            let protocol = to.text_at(&["port", "protocol"]).unwrap_or_default().to_ascii_uppercase();
            let passthrough = to.at(&["byEgressGateway", "port"]).and_then(Node::number) == Some(PASSTHROUGH);
            let over = match protocol.as_str() {
                "HTTP" | "HTTP2" | "GRPC" => "HTTP",
                "HTTPS" | "TLS" if passthrough => "PASSTHROUGH",
                "HTTPS" | "TLS" => "TLS",
                _ => {
                    let what = "neither HTTP nor TLS: a gateway has no name to go by";
                    self.refuse(&format!("{path}.port.protocol"), what, None);
                    continue;
                }
            };
            let upgrade = to.get("httpsUpgrade");
            let upgraded = upgrade
                .and_then(|upgrade| upgrade.get("enabled"))
                .is_some_and(|on| on.to_json() == Json::Bool(true));
            let originate = upgraded.then(|| match upgrade.and_then(|upgrade| upgrade.get("port")) {
                Some(port) => obj! {"port": port.to_json()},
                None => Json::Bool(true),
            });
            all.push(obj! {
                "hosts": hosts, "over": over, "port": to.at(&["port", "number"]).map(Node::to_json),
                "originateTls": originate,
            });
        }
        if all.is_empty() {
            self.refuse(&format!("{path}.to"), "a rule without a site", None);
        }
        all
    }
}
