//! What a gateway file may say: its closed description, which is its JSON Schema, too.

use crate::strict::{Field, Object, Shape, schema};
use serde_json::{Value, json};

/// A gateway file.
pub(super) static GATEWAY_FILE: Shape = Shape::Object(&FILE);

static FILE: Object = Object::new(
    "a gateway file",
    &[
        Field::new("kind", &Shape::Word(&["EgressGateway"]), "What the file is; may be left out."),
        Field::new(
            "gateway",
            &Shape::ObjectOrEmpty(&GATEWAY),
            "The gateway itself; left out: Istio's egress gateway.",
        ),
        Field::new(
            "sites",
            &Shape::List(&Shape::Object(&SITES)),
            "Sites that can be reached where policies allow it, beside those that rules name.",
        ),
        Field::new("rules", &Shape::List(&Shape::Object(&RULE)), "Who may reach which sites."),
        Field::new(
            "confine",
            &Shape::List(&Shape::Text),
            "Namespaces whose pods may not leave the cluster but through the gateway, beside those that rules name.",
        ),
        Field::new(
            "problemDetails",
            &Shape::Bool,
            "Refusals over HTTP are application/problem+json and name the reason, the policy and its owner (default false).",
        ),
        Field::new("config", &Shape::Other, "More of the pluginConfig: settings, host sets, policies."),
    ],
);

static GATEWAY: Object = Object::new(
    "the gateway",
    &[
        Field::new(
            "kind",
            &Shape::Word(&["EGRESS_GATEWAY", "WAYPOINT"]),
            "Istio's egress gateway, reached from sidecars (default), or a waypoint of an ambient mesh.",
        ),
        Field::new("name", &Shape::Text, "Default: istio-egressgateway, and egress-waypoint for a waypoint."),
        Field::new("namespace", &Shape::Text, "Default: istio-system, and istio-egress for a waypoint."),
        Field::new(
            "selector",
            &Shape::Map(&Shape::Text),
            "The labels of the gateway's pods; default: `istio` with the gateway's name, without `istio-` before it.",
        ),
        Field::new("image", &Shape::Text, "The filter's image, oci://…"),
        Field::new(
            "imagePullSecret",
            &Shape::Text,
            "A Secret of the gateway's namespace to pull the image with.",
        ),
        Field::new(
            "deploy",
            &Shape::Bool,
            "Also write the gateway's own Deployment, Service, autoscaler and disruption budget (default false).",
        ),
        Field::new(
            "lateDial",
            &Shape::Bool,
            "Dial the site after the client's handshake; needs Envoy 1.37, which is in Istio 1.29 (default true).",
        ),
    ],
);

static RULE: Object = Object::new(
    "a rule",
    &[
        Field::required(
            "name",
            &Shape::Text,
            "A DNS label; unique in the file. Policies are called after it.",
        ),
        Field::new(
            "from",
            &Shape::List(&Shape::Object(&FROM)),
            "Whose traffic; left out: every workload of the mesh.",
        ),
        Field::required("to", &Shape::List(&Shape::Object(&SITES)), "The sites."),
    ],
);

static FROM: Object = Object::new(
    "an entry of `from`",
    &[
        Field::required("namespace", &Shape::Text, "The namespace of the workloads."),
        Field::new(
            "serviceAccounts",
            &Shape::List(&Shape::Text),
            "Left out: every workload of the namespace.",
        ),
    ],
);

static SITES: Object = Object::new(
    "a group of sites",
    &[
        Field::required("hosts", &Shape::List(&Shape::Text), "Host names, without wildcards."),
        Field::required(
            "over",
            &Shape::Word(&["HTTP", "TLS", "PASSTHROUGH"]),
            "Plain HTTP from the application; TLS of the application's own inside the mesh's; TLS untouched, without identity.",
        ),
        Field::new("port", &Shape::PORT, "The port that applications use; default: 80 for HTTP, else 443."),
        Field::new(
            "originateTls",
            &Shape::Either(&[&Shape::Bool, &Shape::Object(&ORIGINATION)]),
            "HTTP only: the gateway speaks TLS to the site, on port 443 or another.",
        ),
        Field::new(
            "methods",
            &Shape::List(&Shape::Text),
            "HTTP only, and in rules only: these methods; left out: all.",
        ),
    ],
);

static ORIGINATION: Object =
    Object::new("`originateTls`", &[Field::required("port", &Shape::PORT, "The site's port for TLS.")]);

/// The JSON Schema of a gateway file; that of pluginConfig is shipped beside it.
pub(crate) fn gateway_file_schema() -> Value {
    let mut file = schema(&GATEWAY_FILE, &json!({"$ref": "egress-authz.schema.json"}));
    if let Value::Object(file) = &mut file {
        file.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        file.insert("title".to_owned(), json!("egress-authz gateway file"));
    }
    file
}
