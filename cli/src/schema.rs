//! The language as a JSON Schema: one type for each object that a user writes.
//!
//! Nothing is read into these types (the core has its own, stricter reader); their documentation is what
//! editors show.
#![expect(dead_code, reason = "only their schema is used")]

use egress_policy::rules::{ATTRIBUTES, Attribute, RulePart, Values};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The schema of pluginConfig (JSON Schema 2020-12).
pub(crate) fn plugin_config() -> Schema {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(refuse_null));
    settings.into_generator().into_root_schema_for::<PluginConfig>()
}

/// A key may be left out; null in its place is an error, for Istio would read it as "anything".
fn refuse_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            object.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(mut choices)) = object.remove("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
        match choices.as_mut_slice() {
            [Value::Object(one)] => object.append(one),
            _ => {
                object.insert("anyOf".to_owned(), Value::Array(choices));
            }
        }
    }
}

/// The configuration of egress-authz: which workload may reach which host.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, title = "egress-authz pluginConfig")]
#[schemars(extend("if" = {"required": ["bundle"]}, "then" = {"maxProperties": 1}))]
struct PluginConfig {
    /// What the filter is loaded as; the same value as `spec.type` of the WasmPlugin.
    #[schemars(extend("default" = "HTTP"))]
    r#type: Option<Protocol>,
    /// Whether verdicts are carried out. DRY_RUN: everything passes, and what would be refused is reported.
    #[schemars(extend("default" = "ENFORCE"))]
    mode: Option<Mode>,
    /// For sources that no ALLOW policy governs.
    #[schemars(extend("default" = "DENY"))]
    default_action: Option<Effect>,
    /// The mesh's trust domain and its aliases: list only domains whose namespaces are the same namespaces.
    #[schemars(extend("default" = ["cluster.local"]))]
    trust_domains: Option<NonEmpty<TrustDomain>>,
    /// A peer that presents no certificate at all.
    #[schemars(extend("default" = "DENY"))]
    unauthenticated: Option<Unauthenticated>,
    /// The server name of the connection and the host of the request disagree (domain fronting).
    #[schemars(extend("default" = "DENY"))]
    sni_mismatch: Option<Guard>,
    /// NETWORK: an encrypted ClientHello. DENY also refuses most browsers, whose GREASE looks the same.
    #[schemars(extend("default" = "ALLOW"))]
    encrypted_client_hello: Option<Effect>,
    /// HTTP: whether a rule about paths must hold in all readings that a site may take, or as the path is written.
    #[schemars(extend("default" = "ALL"))]
    path_readings: Option<PathReadings>,
    /// Hosts that are literal IP addresses in special-purpose ranges.
    #[schemars(extend("default" = "DENY"))]
    private_addresses: Option<Effect>,
    /// NETWORK: the site's address, as the gateway resolved it, is in a special-purpose range.
    #[schemars(extend("default" = "ALLOW"))]
    private_upstreams: Option<Effect>,
    /// Carried to another host than was judged by. Default: DENY on NETWORK, ALLOW on HTTP.
    route_mismatch: Option<Guard>,
    /// Whether allowed traffic, too, gets the filter state and an audit line.
    #[schemars(extend("default" = false))]
    report_allowed: Option<bool>,
    /// NETWORK: whether a live connection that a new configuration or an expiry would refuse is closed at its
    /// next bytes.
    #[schemars(extend("default" = true))]
    recheck_connections: Option<bool>,
    /// HTTP: what a refused client sees.
    deny_response: Option<DenyResponse>,
    /// Named lists of host patterns, used as `@name` in any hosts or notHosts.
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}))]
    host_sets: Option<BTreeMap<String, NonEmpty<HostPattern>>>,
    /// The policies.
    policies: Option<Vec<Policy>>,
    /// A whole configuration, packed by `egressctl pack`; it stands alone.
    #[schemars(regex(pattern = "^[A-Za-z0-9+/]+={0,2}$"))]
    bundle: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE", inline)]
enum Protocol {
    Http,
    Network,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE", inline)]
enum Mode {
    Enforce,
    DryRun,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE", inline)]
enum Effect {
    Allow,
    Deny,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE", inline)]
enum Unauthenticated {
    Deny,
    Evaluate,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE", inline)]
enum PathReadings {
    All,
    Literal,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE", inline)]
enum Guard {
    Deny,
    DryRun,
    Allow,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE", inline)]
enum Action {
    Allow,
    Deny,
    Audit,
}

/// A list that is not empty: an empty one is read as "anything" by Istio, and is an error here.
#[derive(JsonSchema)]
#[schemars(inline)]
struct NonEmpty<T>(#[schemars(length(min = 1))] Vec<T>);

/// A trust domain: lower-case letters, digits, `.`, `-` and `_`.
#[derive(JsonSchema)]
#[schemars(inline)]
struct TrustDomain(#[schemars(regex(pattern = "^[a-z0-9._-]+$"))] String);

/// `*`, `*.example.com`, `example.*`, a host or an IP literal, each perhaps with `:8443` or `:*`.
#[derive(JsonSchema)]
struct HostPattern(#[schemars(regex(pattern = "^[^@/\\s]+$"))] String);

/// A host pattern, or `@name` for the patterns of a host set.
#[derive(JsonSchema)]
struct HostEntry(#[schemars(regex(pattern = "^(@[a-z0-9]([-a-z0-9.]*[a-z0-9])?|[^@/\\s]+)$"))] String);

/// Exact, `prefix*`, `*suffix`, or `*` for anything that is there and not empty.
#[derive(JsonSchema)]
struct Text(#[schemars(length(min = 1))] String);

/// A workload identity without `spiffe://`: exact, `prefix*`, `*suffix`, or `*`.
#[derive(JsonSchema)]
struct Principal(
    #[schemars(regex(pattern = "^(?!spiffe://).+$"))]
    String,
);

/// A namespace, in which `*` stands for any characters.
#[derive(JsonSchema)]
struct Namespace(#[schemars(regex(pattern = "^[a-z0-9*-]+$"))] String);

/// `namespace/name`, or `name` in the policy's own namespace.
#[derive(JsonSchema)]
struct ServiceAccount(#[schemars(regex(pattern = "^([a-z0-9-]+/)?[a-z0-9.-]+$"))] String);

/// A trust domain as presented, with one `*` first or last.
#[derive(JsonSchema)]
struct TrustDomainPattern(#[schemars(regex(pattern = "^[a-z0-9._*-]+$"))] String);

/// An address, or a CIDR range.
#[derive(JsonSchema)]
struct Address(#[schemars(regex(pattern = "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$"))] String);

/// A method in capitals.
#[derive(JsonSchema)]
struct Method(#[schemars(regex(pattern = "^[^a-z\\s]+$"))] String);

/// A path without query: exact, `prefix*`, `*suffix`, `*`, or a template with `{*}` and `{**}`.
#[derive(JsonSchema)]
struct UrlPath(#[schemars(regex(pattern = "^[/*][^?#]*$"))] String);

/// The gateway's listener port.
#[derive(JsonSchema)]
#[schemars(transform = port)]
struct Port(u16);

fn port(schema: &mut Schema) {
    *schema = schemars::json_schema!({
        "description": "The gateway's listener port, as a number or a string.",
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": 65535,
        "pattern": "^[0-9]{1,5}$",
    });
}

/// What a refused HTTP client sees.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, extend("minProperties" = 1))]
struct DenyResponse {
    /// The status.
    #[schemars(range(min = 400, max = 599), extend("default" = 403))]
    status: Option<u16>,
    /// The body, with placeholders: {reason} {policy} {rule} {owner} {namespace} {host}.
    #[schemars(extend("default" = "RBAC: access denied"))]
    body: Option<String>,
    /// The body's media type. In JSON what fills a placeholder is escaped.
    #[schemars(extend("default" = "text/plain"), regex(pattern = "^[^/;\\s]+/[^/;\\s]+ *(;.*)?$"))]
    content_type: Option<String>,
    /// Headers, with the same placeholders in their values.
    #[schemars(extend("minProperties" = 1))]
    headers: Option<BTreeMap<String, String>>,
}

/// One policy.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend(
    "if" = {"properties": {"action": {"enum": ["DENY", "AUDIT"]}}, "required": ["action"]},
    "then" = {"properties": {"rules": {"minItems": 1}}, "required": ["rules"]}
))]
struct Policy {
    /// Unique within its namespace; DNS-1123.
    #[schemars(length(max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    name: String,
    /// The policy governs the workloads of this namespace; without it, the whole mesh.
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    namespace: Option<String>,
    /// ALLOW admits and closes what it does not list, DENY stands above every ALLOW, AUDIT writes a line.
    #[schemars(extend("default" = "ALLOW"))]
    action: Option<Action>,
    /// DRY_RUN: this policy alone is reported and not enforced.
    #[schemars(extend("default" = "ENFORCE"))]
    mode: Option<Mode>,
    /// The protocols that the policy exists for.
    #[schemars(extend("default" = ["HTTP", "NETWORK"]))]
    protocols: Option<NonEmpty<Protocol>>,
    /// From this instant on the policy no longer matches (RFC 3339); an ALLOW still governs.
    #[schemars(extend("format" = "date-time"))]
    expires: Option<String>,
    /// Free text, repeated in the audit line.
    #[schemars(length(min = 1))]
    owner: Option<String>,
    /// Any of the rules may match; without rules the policy never matches: an ALLOW then is "allow nothing".
    rules: Option<Vec<Rule>>,
}

/// Any of `from`, any of `to`, all of `when`; what is absent is true, and `{}` matches all.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rule {
    /// Who asks: any of these.
    from: Option<NonEmpty<From>>,
    /// What is asked for: any of these.
    to: Option<NonEmpty<To>>,
    /// Conditions: all of these.
    when: Option<NonEmpty<Condition>>,
}

/// One of the sources.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct From {
    source: Source,
}

/// One of the operations.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct To {
    operation: Operation,
}

/// Who asks: all of these fields.
struct Source;

impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        fields(RulePart::Source, "Who asks: all of these fields.", generator)
    }
}

/// What is asked for: all of these fields.
struct Operation;

impl JsonSchema for Operation {
    fn schema_name() -> Cow<'static, str> {
        "Operation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        fields(RulePart::Operation, "What is asked for: all of these fields.", generator)
    }
}

/// The fields of a part of a rule, from the table of attributes.
fn fields(part: RulePart, description: &str, generator: &mut SchemaGenerator) -> Schema {
    let mut properties = Map::new();
    for (attribute, field) in Attribute::fields_of(part) {
        let only = if attribute.only == Some(egress_policy::Protocol::Http) { "HTTP: " } else { "" };
        for (key, word) in [(field.key, "one"), (field.not_key, "none")] {
            let mut values = values(attribute.values, generator);
            let about = format!("{only}{} is {word} of these.", attribute.subject);
            values.insert("description".to_owned(), sentence(&about).into());
            properties.insert(key.to_owned(), values.into());
        }
    }
    schemars::json_schema!({
        "description": description,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "minProperties": 1,
    })
}

/// A list of the values of an attribute.
fn values(of: Values, generator: &mut SchemaGenerator) -> Schema {
    match of {
        Values::Principal => NonEmpty::<Principal>::json_schema(generator),
        Values::Namespace => NonEmpty::<Namespace>::json_schema(generator),
        Values::ServiceAccount => NonEmpty::<ServiceAccount>::json_schema(generator),
        Values::TrustDomain => NonEmpty::<TrustDomainPattern>::json_schema(generator),
        Values::Address(_) => NonEmpty::<Address>::json_schema(generator),
        Values::Host => NonEmpty::<HostEntry>::json_schema(generator),
        Values::Port => NonEmpty::<Port>::json_schema(generator),
        Values::Path => NonEmpty::<UrlPath>::json_schema(generator),
        Values::Text { parse, .. } if parse("get").is_err() => NonEmpty::<Method>::json_schema(generator),
        Values::Text { .. }
        | Values::RequestPrincipal
        | Values::ServerName
        | Values::Header
        | Values::Claim => NonEmpty::<Text>::json_schema(generator),
    }
}

/// With a capital at its beginning.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A condition on an attribute.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["values"]}, {"required": ["notValues"]}]))]
struct Condition {
    /// The attribute, such as `connection.sni`, `request.headers[NAME]` or `request.auth.claims[NAME]`.
    #[schemars(transform = condition_key)]
    key: String,
    /// Any of these.
    values: Option<NonEmpty<ConditionValue>>,
    /// None of these.
    not_values: Option<NonEmpty<ConditionValue>>,
}

/// One of the keys of the table of attributes.
fn condition_key(schema: &mut Schema) {
    let keys = ATTRIBUTES.iter().flat_map(|attribute| {
        let name = r"\[[^\[\]]+\]";
        // Claims lie within claims.
        let names =
            if matches!(attribute.values, Values::Claim) { format!("({name})+") } else { name.to_owned() };
        attribute
            .conditions
            .iter()
            .map(move |condition| condition.key.replace('.', r"\.").replace("[NAME]", &names))
    });
    let keys: Vec<_> = keys.collect();
    schema.insert("pattern".to_owned(), format!("^({})$", keys.join("|")).into());
}

/// A string; for ports a number, too.
#[derive(JsonSchema)]
#[schemars(transform = condition_value)]
struct ConditionValue(String);

fn condition_value(schema: &mut Schema) {
    *schema = schemars::json_schema!({
        "description": "A pattern of the attribute; for `destination.port` a number, too.",
        "type": ["string", "integer"],
        "minLength": 1,
        "minimum": 1,
        "maximum": 65535,
    });
}
