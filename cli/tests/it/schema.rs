//! The JSON Schema: what is shipped is what is generated, and it agrees with the core where a schema can.

use crate::common::{egressctl, repository, text};
use egress_policy::Config;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::fs;

fn schema() -> Value {
    let output = egressctl(&["schema"]).output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

/// Every key of the language once, as the language reference shows it.
fn everything() -> Value {
    let source = |value: &str| {
        json!({"source": {
            "principals": ["cluster.local/ns/a/sa/b", "*"], "notPrincipals": ["*/sa/c"],
            "requestPrincipals": ["a/b"], "notRequestPrincipals": ["*"],
            "namespaces": [value, "prod-*"], "notNamespaces": ["b"],
            "serviceAccounts": ["b/c", "c"], "notServiceAccounts": ["b/d"],
            "trustDomains": ["cluster.local"], "notTrustDomains": ["*.example"],
            "ipBlocks": ["10.0.0.0/8", "::1"], "notIpBlocks": ["10.0.0.1"],
            "remoteIpBlocks": ["2001:db8::/32"], "notRemoteIpBlocks": ["10.0.0.2"],
        }})
    };
    let operation = json!({"operation": {
        "hosts": ["@search", "*", "*.example.com:8443", "example.*", "[2001:db8::1]:443", "WWW.example.com.:*"],
        "notHosts": ["a.example"], "ports": [443, "80", 8080.0], "notPorts": ["81"],
        "methods": ["GET", "*"], "notMethods": ["POST"], "paths": ["/a/{*}/{**}", "*.txt"], "notPaths": ["/b*"],
    }});
    let when: Vec<_> = [
        "source.principal",
        "source.namespace",
        "source.serviceAccount",
        "source.trustDomain",
        "source.ip",
        "remote.ip",
        "destination.ip",
        "destination.port",
        "connection.sni",
        "request.headers[x-y]",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "request.auth.claims[a][b]",
    ]
    .iter()
    .map(|key| {
        let value = match *key {
            "source.principal" => "cluster.local/ns/a/sa/b",
            "source.serviceAccount" => "a/b",
            "source.ip" | "remote.ip" | "destination.ip" => "10.0.0.1",
            "destination.port" => "443",
            _ => "a",
        };
        json!({"key": key, "values": [value], "notValues": [value]})
    })
    .collect();
    json!({
        "type": "HTTP", "mode": "ENFORCE", "defaultAction": "DENY", "trustDomains": ["cluster.local"],
        "unauthenticated": "DENY", "sniMismatch": "DRY_RUN", "encryptedClientHello": "ALLOW", "pathReadings": "LITERAL",
        "privateAddresses": "DENY", "privateUpstreams": "ALLOW", "routeMismatch": "DENY", "reportAllowed": false,
        "recheckConnections": true,
        "denyResponse": {"status": 403, "body": "no", "contentType": "text/html", "headers": {"x-egress-policy": "{policy}"}},
        "hostSets": {"search": ["www.google.com", "*.googleapis.com"]},
        "policies": [
            {
                "name": "a.b", "namespace": "a", "action": "DENY", "mode": "DRY_RUN", "protocols": ["HTTP", "NETWORK"],
                "expires": "2026-12-31T00:00:00Z", "owner": "team", "rules": [
                    {"from": [source("a")], "to": [operation], "when": when}, {}
                ]
            },
            {"name": "nothing", "rules": []}, {"name": "audit", "action": "AUDIT", "rules": [{}]}
        ],
    })
}

fn core_takes(config: &Value) -> bool {
    Config::parse(config.to_string().as_bytes()).is_ok()
}

#[test]
fn the_shipped_schema_is_the_generated_one() {
    let shipped = fs::read_to_string(repository().join("schema/egress-authz.schema.json")).unwrap();
    let generated = text(&egressctl(&["schema"]).output().unwrap().stdout);
    assert_eq!(shipped, generated, "write it anew: egressctl schema > schema/egress-authz.schema.json");
}

#[test]
fn the_schema_itself_is_valid() {
    assert_eq!(schema()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn every_key_is_known() {
    let everything = everything();
    assert!(core_takes(&everything), "{:?}", Config::parse(everything.to_string().as_bytes()));
    let errors: Vec<_> = validator().iter_errors(&everything).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    // And the schema knows no key that the example lacks, so that neither can have one more than the other.
    let schema = schema();
    let keys =
        |of: &Value| -> Vec<String> { of["properties"].as_object().unwrap().keys().cloned().collect() };
    let written = |of: &Value| -> Vec<String> { of.as_object().unwrap().keys().cloned().collect() };
    let same = |mut one: Vec<String>, mut other: Vec<String>| {
        one.sort();
        other.sort();
        assert_eq!(one, other);
    };
    let mut top = written(&everything);
    top.push("bundle".to_owned());
    same(keys(&schema), top);
    let policy = &everything["policies"][0];
    let rule = &policy["rules"][0];
    for (name, value) in [
        ("Policy", policy),
        ("Rule", rule),
        ("Source", &rule["from"][0]["source"]),
        ("Operation", &rule["to"][0]["operation"]),
        ("Condition", &rule["when"][0]),
        ("DenyResponse", &everything["denyResponse"]),
    ] {
        same(keys(&schema["$defs"][name]), written(value));
    }
}

#[test]
fn valid_files_validate() {
    let validator = validator();
    let mut seen = 0;
    for table in crate::scenarios::tables() {
        let errors: Vec<_> = validator.iter_errors(&table.policy).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", table.policy);
        seen += 1;
    }
    for entry in fs::read_dir(repository().join("cli/tests/data")).unwrap() {
        let path = entry.unwrap().path();
        let is_config = path.extension().is_some_and(|extension| extension == "yaml")
            && !path.to_string_lossy().ends_with(".cases.yaml");
        if !is_config {
            continue;
        }
        // `unpack` writes any configuration as JSON, and refuses what the core refuses.
        let output = egressctl(&["unpack", "--format", "json"]).arg(&path).output().unwrap();
        let Ok(config) = serde_json::from_slice::<Value>(&output.stdout) else {
            continue;
        };
        if config.get("kind").is_some() || config.get("errors").is_some() {
            continue;
        }
        seen += 1;
        let errors: Vec<_> = validator.iter_errors(&config).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", path.display());
    }
    assert!(seen >= 25, "{seen}");
    for good in [json!({}), json!({"bundle": "eJyrVirIz8lMTi1WslKIjq0FACtABT4="})] {
        assert!(validator.is_valid(&good), "{good}");
    }
}

/// What the core refuses and a schema can tell.
#[test]
fn invalid_configurations_do_not_validate() {
    let validator = validator();
    let policy = |extra: Value| {
        let mut policy = json!({"name": "a", "rules": [{}]});
        policy.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"policies": [policy]})
    };
    let rule = |rule: Value| policy(json!({"rules": [rule]}));
    let source = |source: Value| rule(json!({"from": [{"source": source}]}));
    let operation = |operation: Value| rule(json!({"to": [{"operation": operation}]}));
    let when = |condition: Value| rule(json!({"when": [condition]}));
    for bad in [
        json!([]),
        json!({"polices": []}),
        json!({"type": "http"}),
        json!({"mode": "DRYRUN"}),
        json!({"defaultAction": "AUDIT"}),
        json!({"trustDomains": []}),
        json!({"trustDomains": ["spiffe://a"]}),
        json!({"trustDomains": "a"}),
        json!({"unauthenticated": "ALLOW"}),
        json!({"sniMismatch": null}),
        json!({"reportAllowed": "false"}),
        json!({"denyResponse": {}}),
        json!({"denyResponse": {"status": 200}}),
        json!({"denyResponse": {"status": "403"}}),
        json!({"denyResponse": {"headers": {"a": 1}}}),
        json!({"denyResponse": {"contentType": "json"}}),
        json!({"hostSets": {}}),
        json!({"hostSets": {"a": []}}),
        json!({"hostSets": {"A": ["a.example"]}}),
        json!({"hostSets": {"a": ["@b"]}}),
        json!({"policies": {}}),
        json!({"policies": [{}]}),
        json!({"policies": [{"name": "A"}]}),
        json!({"bundle": "eJyrVirIz8lMTi1WslKIjq0FACtABT4=", "type": "HTTP"}),
        json!({"bundle": "not base64"}),
        policy(json!({"namespace": "*"})),
        policy(json!({"action": "allow"})),
        policy(json!({"action": "DENY", "rules": []})),
        policy(json!({"protocols": []})),
        policy(json!({"protocols": ["TCP"]})),
        policy(json!({"owner": ""})),
        policy(json!({"selector": {}})),
        rule(json!({"from": []})),
        rule(json!({"from": [{}]})),
        rule(json!({"from": [{"source": {}}]})),
        rule(json!({"to": [{"source": {"namespaces": ["a"]}}]})),
        source(json!({"namespaces": []})),
        source(json!({"namespaces": ["A"]})),
        source(json!({"principals": ["spiffe://cluster.local/ns/a/sa/b"]})),
        source(json!({"principals": "cluster.local/ns/a/sa/b"})),
        source(json!({"serviceAccounts": ["a/*"]})),
        source(json!({"ipBlocks": ["everywhere"]})),
        source(json!({"namespace": ["a"]})),
        operation(json!({"hosts": [""]})),
        operation(json!({"hosts": ["http://a.example"]})),
        operation(json!({"hosts": null})),
        operation(json!({"ports": [0]})),
        operation(json!({"ports": [70000]})),
        operation(json!({"ports": ["https"]})),
        operation(json!({"methods": ["get"]})),
        operation(json!({"paths": ["a"]})),
        operation(json!({"paths": ["/a?b"]})),
        when(json!({"key": "connection.sni"})),
        when(json!({"key": "connection.sni", "values": []})),
        when(json!({"key": "connection.sin", "values": ["a"]})),
        when(json!({"key": "experimental.a", "values": ["a"]})),
        when(json!({"key": "request.headers", "values": ["a"]})),
        when(json!({"values": ["a"]})),
    ] {
        assert!(!validator.is_valid(&bad), "the schema takes {bad}");
        assert!(!core_takes(&bad), "the core takes {bad}");
    }
}

fn gateway_schema() -> Value {
    let output = egressctl(&["schema", "--kind", "gateway"]).output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_shipped_schema_of_gateway_files_is_the_generated_one() {
    let shipped = fs::read_to_string(repository().join("schema/egress-gateway.schema.json")).unwrap();
    let generated = text(&egressctl(&["schema", "--kind", "gateway"]).output().unwrap().stdout);
    let how = "egressctl schema --kind gateway > schema/egress-gateway.schema.json";
    assert_eq!(shipped, generated, "write it anew: {how}");
    assert!(jsonschema::meta::is_valid(&gateway_schema()));
}

/// What the strict reader refuses of keys and types, the schema does, too.
#[test]
fn the_schema_of_gateway_files_knows_what_render_knows() {
    let mut gateway = gateway_schema();
    // Beside the other, as they are shipped.
    let mut config = schema();
    gateway["$defs"] = config.as_object_mut().unwrap().remove("$defs").unwrap();
    gateway["properties"]["config"] = config;
    let validator = jsonschema::validator_for(&gateway).unwrap();
    let site = json!({"hosts": ["a.example"], "over": "HTTP", "originateTls": {"port": 8443}, "port": 80});
    let file = json!({
        "kind": "EgressGateway", "gateway": {"kind": "WAYPOINT", "deploy": true}, "sites": [site], "confine": ["a"],
        "rules": [{"name": "r", "from": [{"namespace": "a", "serviceAccounts": ["b"]}], "to": [site]}],
        "config": {"policies": [{"name": "p", "rules": [{}]}]},
    });
    assert!(
        validator.is_valid(&file),
        "{:?}",
        validator.iter_errors(&file).map(|e| e.to_string()).collect::<Vec<_>>()
    );
    for (place, wrong) in [
        ("/rules/0/from", json!([])),
        ("/rules/0/from/0/namespace", Value::Null),
        ("/rules/0/to/0/over", json!("UDP")),
        ("/rules/0/to/0/port", json!(0)),
        ("/sites/0/originateTls", json!({"prot": 1})),
        ("/gateway/deploy", json!("true")),
        ("/config/policies", json!({})),
        ("/kind", json!("Gateway")),
    ] {
        let mut damaged = file.clone();
        *damaged.pointer_mut(place).unwrap() = wrong;
        assert!(!validator.is_valid(&damaged), "{place}");
    }
}
