//! `docs/language.md` says what the parser accepts: its examples are good, and it leaves no key out.

use egress_policy::Config;
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/language.md");

/// The blocks of a language on the page.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_example_is_a_good_configuration() {
    let examples = blocks("yaml");
    assert!(examples.len() >= 8, "only {} examples", examples.len());
    for example in examples {
        let json: Value = yaml_serde::from_str(example).unwrap();
        let parsed = Config::parse(json.to_string().as_bytes());
        assert!(parsed.is_ok(), "{example}\n{:?}", parsed.unwrap_err());
    }
}

#[test]
fn every_key_and_every_reason_is_explained() {
    for word in [
        "type mode defaultAction trustDomains unauthenticated sniMismatch encryptedClientHello privateAddresses",
        "privateUpstreams routeMismatch pathReadings reportAllowed recheckConnections denyResponse hostSets policies",
        "name namespace action protocols expires owner rules",
        "principals notPrincipals namespaces notNamespaces serviceAccounts notServiceAccounts trustDomains",
        "notTrustDomains ipBlocks notIpBlocks remoteIpBlocks notRemoteIpBlocks requestPrincipals notRequestPrincipals",
        "hosts notHosts ports notPorts methods notMethods paths notPaths",
        "source.principal source.namespace source.serviceAccount source.trustDomain source.ip remote.ip",
        "destination.ip destination.port connection.sni request.headers[NAME] request.auth.principal",
        "request.auth.audiences request.auth.presenter request.auth.claims[A] request.auth.claims[A][B]",
        "unauthenticated invalid_identity untrusted_domain malformed_host malformed_hello oversized_hello",
        "hello_timeout encrypted_hello attribute_unavailable identity_pending sni_mismatch private_address",
        "private_upstream route_mismatch no_allow_matched default_action wrong_type",
    ]
    .join(" ")
    .split(' ')
    {
        assert!(PAGE.contains(&format!("`{word}`")), "{word} is not explained");
    }
}

#[test]
fn the_errors_shown_are_the_parsers() {
    let json = r#"{"policies": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d", "rules": [{"to": [{"operation": {"hosts": ["a.example", "*example.com"]}}]}]}, {"name": "e", "action": "deny"}]}"#;
    let errors = Config::parse(json.as_bytes()).unwrap_err();
    let shown: Vec<_> = errors.iter().map(|error| format!("{error}\n")).collect();
    assert!(PAGE.contains(&format!("```\n{}```", shown.concat())), "{shown:?}");
}
