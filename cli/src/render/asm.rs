//! Alibaba's ASMEgressTrafficPolicy, read as a gateway file.

use super::mesh::{HTTP, PASSTHROUGH, TLS};
use super::tree::obj;
use crate::diagnostics::Diagnostic;
use crate::strict::{self, Field, METADATA, Object, Shape};
use crate::yaml::{Entry, Node, Occurrence, Source, Span, Value};
use egress_policy::config::Json;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) fn is_one(node: &Node) -> bool {
    node.text_at(&["kind"]) == Some("ASMEgressTrafficPolicy")
}

/// What the resource does not say.
#[derive(Debug, Clone, Default)]
pub(crate) struct AsmOptions {
    pub(crate) workloads: Workloads,
    /// The gateway's namespace.
    pub(crate) namespace: Option<String>,
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

/// The resource, as far as it can be said here.
static POLICY: Shape = Shape::Object(&Object::new(
    "an ASMEgressTrafficPolicy",
    &[
        Field::required("apiVersion", &Shape::Text, ""),
        Field::required("kind", &Shape::Text, ""),
        Field::required("metadata", &Shape::Object(&METADATA), ""),
        Field::required("spec", &Shape::Object(&SPEC), ""),
        Field::new("status", &Shape::Any, ""),
    ],
));
static SPEC: Object = Object::new(
    "its spec",
    &[
        Field::required(
            "byEgressGateway",
            &Shape::Object(&Object::new("byEgressGateway", &[Field::required("name", &Shape::Text, "")])),
            "",
        ),
        Field::required("egressRules", &Shape::List(&Shape::Object(&RULE)), ""),
    ],
);
static RULE: Object = Object::new(
    "an egress rule",
    &[
        Field::new("name", &Shape::Text, ""),
        Field::required("from", &Shape::List(&Shape::Object(&FROM)), ""),
        Field::required("to", &Shape::List(&Shape::Object(&TO)), ""),
    ],
);
static FROM: Object = Object::new(
    "an entry of `from`",
    &[
        Field::required("namespace", &Shape::Text, ""),
        // Labels, or such a map one level further down.
        Field::new(
            "workloadSelector",
            &Shape::Map(&Shape::Either(&[&Shape::Text, &Shape::Map(&Shape::Text)])),
            "",
        ),
    ],
);
static TO: Object = Object::new(
    "an entry of `to`",
    &[
        Field::new("name", &Shape::Text, ""),
        Field::required("hosts", &Shape::List(&Shape::Text), ""),
        Field::required("port", &Shape::Object(&PORT), ""),
        Field::required(
            "byEgressGateway",
            &Shape::Object(&Object::new("byEgressGateway", &[Field::required("port", &Shape::PORT, "")])),
            "",
        ),
        Field::new("httpsUpgrade", &Shape::Object(&UPGRADE), ""),
    ],
);
static PORT: Object = Object::new(
    "a port",
    &[
        Field::new("name", &Shape::Text, ""),
        Field::required("number", &Shape::PORT, ""),
        Field::required("protocol", &Shape::Text, ""),
    ],
);
static UPGRADE: Object = Object::new(
    "`httpsUpgrade`",
    &[Field::required("enabled", &Shape::Bool, ""), Field::new("port", &Shape::PORT, "")],
);

struct AsmReader<'r> {
    source: &'r Rc<Source>,
    node: &'r Node,
    workloads: &'r Workloads,
    errors: Vec<Diagnostic>,
}

/// The gateway file that says the same, and what its reader should know.
pub(super) fn gateway_file(
    source: &Rc<Source>,
    node: &Node,
    options: &AsmOptions,
) -> Result<(Node, Vec<Diagnostic>), Vec<Diagnostic>> {
    let errors = strict::check(source, node, &POLICY);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut reader = AsmReader { source, node, workloads: &options.workloads, errors: Vec::new() };
    let name = node.text_at(&["metadata", "name"]).unwrap_or_default();
    let gateway = obj! {
        "name": node.text_at(&["spec", "byEgressGateway", "name"]), "namespace": options.namespace.as_deref(),
    };
    let mut rules = Vec::new();
    for (at, rule) in
        node.at(&["spec", "egressRules"]).map(Node::items).unwrap_or_default().iter().enumerate()
    {
        let path = format!("spec.egressRules[{at}]");
        let own = rule.text_at(&["name"]).map_or_else(|| format!("{name}-{at}"), ToOwned::to_owned);
        let from = reader.from(rule, &path);
        let to = reader.to(rule, &path);
        let fields =
            [("name", Node::from_json(&Json::Text(own.into()), rule.span)), ("from", from), ("to", to)];
        rules.push(map(rule.span, fields));
    }
    let warnings = reader.namespace(options);
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    let rules = Node { span: node.span, value: Value::List(rules) };
    let gateway = Node::from_json(&gateway, node.span);
    Ok((map(node.span, [("gateway", gateway), ("rules", rules)]), warnings))
}

/// An object whose keys stand where it does.
fn map<const N: usize>(span: Span, fields: [(&str, Node); N]) -> Node {
    let entry = |(key, value): (&str, Node)| Entry { key: key.to_owned(), key_span: span, value };
    Node { span, value: Value::Map(fields.into_iter().map(entry).collect()) }
}

impl AsmReader<'_> {
    fn refuse(&mut self, path: &str, what: &str, help: Option<&str>) {
        let span =
            self.node.locate(path, Occurrence::First).map_or(self.node.span, |place| place.key_or_value());
        let diagnostic = Diagnostic::error(what).at(self.source, span).path(path);
        self.errors.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    /// The object's own namespace is a convention of that product, and says nothing of the gateway's.
    fn namespace(&mut self, options: &AsmOptions) -> Vec<Diagnostic> {
        const PATH: &str = "metadata.namespace";
        let gateway = options.namespace.as_deref().unwrap_or("istio-system");
        let Some(namespace) = self.node.get("metadata").and_then(|metadata| metadata.get("namespace")) else {
            return Vec::new();
        };
        let help = "say where the gateway is: --gateway-namespace NAMESPACE";
        match namespace.text() {
            Some(same) if same == gateway => Vec::new(),
            Some("istio-egress") if options.namespace.is_some() => Vec::new(),
            Some("istio-egress") => {
                let what =
                    format!("where that product wants the object; the gateway is taken to be in {gateway}");
                vec![Diagnostic::warning(what).at(self.source, namespace.span).path(PATH).help(help)]
            }
            _ => {
                let what =
                    "the object's namespace is not used here, and is neither istio-egress nor the gateway's";
                self.refuse(PATH, what, Some(help));
                Vec::new()
            }
        }
    }

    fn from(&mut self, rule: &Node, path: &str) -> Node {
        let mut all = Vec::new();
        for (at, from) in rule.get("from").map(Node::items).unwrap_or_default().iter().enumerate() {
            let path = format!("{path}.from[{at}]");
            let namespace = from.text_at(&["namespace"]).unwrap_or_default();
            let accounts =
                from.get("workloadSelector").and_then(|selector| self.accounts(namespace, selector, &path));
            all.push(Node::from_json(&obj! {"namespace": namespace, "serviceAccounts": accounts}, from.span));
        }
        Node { span: rule.span, value: Value::List(all) }
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

    fn to(&mut self, rule: &Node, path: &str) -> Node {
        let mut all = Vec::new();
        for (at, to) in rule.get("to").map(Node::items).unwrap_or_default().iter().enumerate() {
            let path = format!("{path}.to[{at}]");
            let Some(over) = self.transport(to, &path) else { continue };
            let hosts: Vec<&str> = to.texts("hosts").collect();
            let upgrade = to.get("httpsUpgrade");
            let is_on = upgrade
                .and_then(|upgrade| upgrade.get("enabled"))
                .is_some_and(|on| on.value == Value::Bool(true));
            let originate = is_on.then(|| match upgrade.and_then(|upgrade| upgrade.get("port")) {
                Some(port) => obj! {"port": port.to_json()},
                None => Json::Bool(true),
            });
            let sites = obj! {
                "hosts": hosts, "over": over, "port": to.at(&["port", "number"]).map(Node::to_json),
                "originateTls": originate,
            };
            all.push(Node::from_json(&sites, to.span));
        }
        Node { span: rule.span, value: Value::List(all) }
    }

    /// What the application speaks; the gateway's port has to be the one that is written for that.
    fn transport(&mut self, to: &Node, path: &str) -> Option<&'static str> {
        let protocol = to.text_at(&["port", "protocol"]).unwrap_or_default().to_ascii_uppercase();
        let port = to.at(&["byEgressGateway", "port"]).and_then(Node::number).unwrap_or_default();
        let (over, wanted) = match protocol.as_str() {
            "HTTP" | "HTTP2" | "GRPC" => ("HTTP", HTTP),
            "HTTPS" | "TLS" if port == f64::from(PASSTHROUGH) => ("PASSTHROUGH", PASSTHROUGH),
            "HTTPS" | "TLS" => ("TLS", TLS),
            _ => {
                let what = "neither HTTP nor TLS: a gateway has no name to go by";
                self.refuse(&format!("{path}.port.protocol"), what, None);
                return None;
            }
        };
        if port == f64::from(wanted) {
            return Some(over);
        }
        let what = "the gateway that is written has the ports 80 (HTTP), 443 (TLS inside the mesh's) and 444 (TLS untouched)";
        self.refuse(&format!("{path}.byEgressGateway.port"), what, Some(&format!("write {wanted}")));
        None
    }
}
