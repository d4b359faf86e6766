//! Rules: their parts, their fields, and lists of values.

use crate::refused;

#[test]
fn the_rule() {
    refused(
        r#"{"policies": [{"name": "p", "rules": [%s]}]}"#,
        "policies[0].rules[0]",
        &[
            ("null", &["~: null is not a value; leave it out, or write a value"]),
            ("7", &["~: an object is wanted here, not a number"]),
            ("[]", &["~: an object is wanted here, not a list"]),
            (r#""all""#, &["~: an object is wanted here, not a string"]),
            (r#"{"form": []}"#, &["~.form: unknown key; write `from`"]),
            (r#"{"sources": []}"#, &["~.sources: unknown key"]),
            (r#"{"from": []}"#, &["~.from: the list is empty; leave it out, or fill it"]),
            (r#"{"from": {}}"#, &["~.from: a list is wanted here, not an object"]),
            (r#"{"from": null}"#, &["~.from: null is not a value; leave it out, or write a value"]),
            (
                r#"{"from": {"source": {"namespaces": ["a"]}}}"#,
                &["~.from: a list is wanted here, not an object"],
            ),
            (r#"{"from": [{}]}"#, &["~.from[0]: the object is empty; leave it out, or fill it"]),
            (r#"{"from": [null]}"#, &["~.from[0]: null is not a value; leave it out, or write a value"]),
            (
                r#"{"from": [{"source": {}}]}"#,
                &["~.from[0].source: the object is empty; leave it out, or fill it"],
            ),
            (
                r#"{"from": [{"source": null}]}"#,
                &["~.from[0].source: null is not a value; leave it out, or write a value"],
            ),
            (r#"{"from": [{"source": []}]}"#, &["~.from[0].source: an object is wanted here, not a list"]),
            (
                r#"{"from": [{"sources": {"namespaces": ["a"]}}]}"#,
                &["~.from[0].sources: unknown key; write `source`"],
            ),
            (r#"{"from": [{"namespaces": ["a"]}]}"#, &["~.from[0].namespaces: unknown key"]),
            (
                r#"{"from": [{"source": {"namespaces": ["a"]}, "source": {"namespaces": ["b"]}}]}"#,
                &["~.from[0].source: the key is written twice; keep one"],
            ),
            (r#"{"to": []}"#, &["~.to: the list is empty; leave it out, or fill it"]),
            (r#"{"to": [{}]}"#, &["~.to[0]: the object is empty; leave it out, or fill it"]),
            (
                r#"{"to": [{"operation": {}}]}"#,
                &["~.to[0].operation: the object is empty; leave it out, or fill it"],
            ),
            (
                r#"{"to": [{"operations": {"hosts": ["a"]}}]}"#,
                &["~.to[0].operations: unknown key; write `operation`"],
            ),
            (r#"{"to": [{"hosts": ["a"]}]}"#, &["~.to[0].hosts: unknown key"]),
            (r#"{"to": null}"#, &["~.to: null is not a value; leave it out, or write a value"]),
            (r#"{"when": []}"#, &["~.when: the list is empty; leave it out, or fill it"]),
            (r#"{"when": {}}"#, &["~.when: a list is wanted here, not an object"]),
            (r#"{"when": null}"#, &["~.when: null is not a value; leave it out, or write a value"]),
            (r#"{"when": [{}]}"#, &["~.when[0]: the object is empty; leave it out, or fill it"]),
            (r#"{"when": [null]}"#, &["~.when[0]: null is not a value; leave it out, or write a value"]),
            (
                r#"{"from": [], "to": [{}], "when": [{}]}"#,
                &[
                    "~.from: the list is empty; leave it out, or fill it",
                    "~.to[0]: the object is empty; leave it out, or fill it",
                    "~.when[0]: the object is empty; leave it out, or fill it",
                ],
            ),
        ],
    );
}

#[test]
fn unknown_fields() {
    refused(
        r#"{"policies": [{"name": "p", "rules": [{"from": [{"source": {%s}}]}]}]}"#,
        "policies[0].rules[0].from[0].source",
        &[
            (r#""principal": ["*"]"#, &["~.principal: unknown key; write `principals`"]),
            (r#""namespace": ["a"]"#, &["~.namespace: unknown key; write `namespaces`"]),
            (r#""serviceAccount": ["a/b"]"#, &["~.serviceAccount: unknown key; write `serviceAccounts`"]),
            (r#""hosts": ["a.example"]"#, &["~.hosts: unknown key"]),
            (r#""notPrincipal": ["*"]"#, &["~.notPrincipal: unknown key; write `notPrincipals`"]),
            (r#""ipBlock": ["10.0.0.1"]"#, &["~.ipBlock: unknown key; write `ipBlocks`"]),
            (r#""remoteipblocks": ["10.0.0.1"]"#, &["~.remoteipblocks: unknown key; write `remoteIpBlocks`"]),
            (r#""groups": ["a"]"#, &["~.groups: unknown key"]),
        ],
    );
}

#[test]
fn unknown_operation_fields() {
    refused(
        r#"{"hostSets": {"search": ["a.example"]}, "policies": [{"name": "p", "rules": [{"to": [{"operation": {%s}}]}]}]}"#,
        "policies[0].rules[0].to[0].operation",
        &[
            (r#""host": ["a.example"]"#, &["~.host: unknown key; write `hosts`"]),
            (r#""nothosts": ["a.example"]"#, &["~.nothosts: unknown key; write `notHosts`"]),
            (r#""method": ["GET"]"#, &["~.method: unknown key; write `methods`"]),
            (r#""path": ["/a"]"#, &["~.path: unknown key; write `paths`"]),
            (r#""port": [443]"#, &["~.port: unknown key; write `ports`"]),
            (r#""sni": ["a.example"]"#, &["~.sni: unknown key"]),
            (r#""namespaces": ["a"]"#, &["~.namespaces: unknown key"]),
        ],
    );
}

#[test]
fn lists_of_values() {
    refused(
        r#"{"hostSets": {"search": ["a.example"]}, "policies": [{"name": "p", "rules": [{"to": [{"operation": {%s}}]}]}]}"#,
        "policies[0].rules[0].to[0].operation",
        &[
            (r#""hosts": []"#, &["~.hosts: the list is empty; leave it out, or fill it"]),
            (r#""hosts": {}"#, &["~.hosts: a list is wanted here, not an object"]),
            (r#""hosts": null"#, &["~.hosts: null is not a value; leave it out, or write a value"]),
            (
                r#""hosts": "a.example""#,
                &[r#"~.hosts: a list is wanted here, not a string; write `["a.example"]`"#],
            ),
            (r#""hosts": 7"#, &["~.hosts: a list is wanted here, not a number; write `[7]`"]),
            (r#""hosts": [null]"#, &["~.hosts[0]: null is not a value; leave it out, or write a value"]),
            (r#""hosts": [7]"#, &["~.hosts[0]: a string is wanted here, not a number"]),
            (r#""hosts": [["a.example"]]"#, &["~.hosts[0]: a string is wanted here, not a list"]),
            (r#""hosts": [""]"#, &[r#"~.hosts[0]: "": the string is empty; leave it out, or fill it"#]),
            (r#""notHosts": []"#, &["~.notHosts: the list is empty; leave it out, or fill it"]),
            (r#""ports": []"#, &["~.ports: the list is empty; leave it out, or fill it"]),
            (r#""ports": 443"#, &["~.ports: a list is wanted here, not a number; write `[443]`"]),
            (r#""ports": "443""#, &[r#"~.ports: a list is wanted here, not a string; write `["443"]`"#]),
            (r#""methods": []"#, &["~.methods: the list is empty; leave it out, or fill it"]),
            (r#""methods": [""]"#, &[r#"~.methods[0]: "": the string is empty; leave it out, or fill it"#]),
            (r#""methods": [true]"#, &["~.methods[0]: a string is wanted here, not a boolean"]),
            (r#""paths": []"#, &["~.paths: the list is empty; leave it out, or fill it"]),
            (r#""paths": [""]"#, &[r#"~.paths[0]: "": the string is empty; leave it out, or fill it"#]),
            (r#""notPaths": [""]"#, &[r#"~.notPaths[0]: "": the string is empty; leave it out, or fill it"#]),
            (
                r#""hosts": ["a.example"], "hosts": ["b.example"]"#,
                &["~.hosts: the key is written twice; keep one"],
            ),
        ],
    );
}

#[test]
fn lists_of_sources() {
    refused(
        r#"{"policies": [{"name": "p", "rules": [{"from": [{"source": {%s}}]}]}]}"#,
        "policies[0].rules[0].from[0].source",
        &[
            (r#""principals": []"#, &["~.principals: the list is empty; leave it out, or fill it"]),
            (
                r#""principals": [""]"#,
                &[r#"~.principals[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (
                r#""notPrincipals": [""]"#,
                &[r#"~.notPrincipals[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (
                r#""requestPrincipals": []"#,
                &["~.requestPrincipals: the list is empty; leave it out, or fill it"],
            ),
            (
                r#""requestPrincipals": [""]"#,
                &[r#"~.requestPrincipals[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (r#""namespaces": []"#, &["~.namespaces: the list is empty; leave it out, or fill it"]),
            (
                r#""namespaces": [""]"#,
                &[r#"~.namespaces[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (r#""serviceAccounts": []"#, &["~.serviceAccounts: the list is empty; leave it out, or fill it"]),
            (
                r#""serviceAccounts": [""]"#,
                &[r#"~.serviceAccounts[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (r#""trustDomains": []"#, &["~.trustDomains: the list is empty; leave it out, or fill it"]),
            (
                r#""trustDomains": [""]"#,
                &[r#"~.trustDomains[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (r#""ipBlocks": []"#, &["~.ipBlocks: the list is empty; leave it out, or fill it"]),
            (r#""ipBlocks": [""]"#, &[r#"~.ipBlocks[0]: "": the string is empty; leave it out, or fill it"#]),
            (r#""remoteIpBlocks": []"#, &["~.remoteIpBlocks: the list is empty; leave it out, or fill it"]),
            (
                r#""notRemoteIpBlocks": [""]"#,
                &[r#"~.notRemoteIpBlocks[0]: "": the string is empty; leave it out, or fill it"#],
            ),
        ],
    );
}

#[test]
fn conditions() {
    refused(
        r#"{"policies": [{"name": "p", "rules": [{"when": [{%s}]}]}]}"#,
        "policies[0].rules[0].when[0]",
        &[
            (r#""values": ["a"]"#, &["~: `key` is missing"]),
            (
                r#""key": "source.ip""#,
                &["~: a condition without `values` and `notValues` says nothing; write one of them"],
            ),
            (
                r#""key": "source.ip", "values": []"#,
                &["~.values: the list is empty; leave it out, or fill it"],
            ),
            (
                r#""key": "source.ip", "notValues": []"#,
                &["~.notValues: the list is empty; leave it out, or fill it"],
            ),
            (
                r#""key": "source.ip", "values": [""]"#,
                &[r#"~.values[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (
                r#""key": "source.ip", "values": null"#,
                &["~.values: null is not a value; leave it out, or write a value"],
            ),
            (
                r#""key": "source.ip", "values": "10.0.0.1""#,
                &[r#"~.values: a list is wanted here, not a string; write `["10.0.0.1"]`"#],
            ),
            (r#""key": 7, "values": ["a"]"#, &["~.key: a string is wanted here, not a number"]),
            (
                r#""key": null, "values": ["a"]"#,
                &["~.key: null is not a value; leave it out, or write a value"],
            ),
            (r#""key": "", "values": ["a"]"#, &[r#"~.key: "": not a key that conditions know"#]),
            (r#""key": "source.ip", "value": ["10.0.0.1"]"#, &["~.value: unknown key; write `values`"]),
            (
                r#""key": "source.ip", "values": ["10.0.0.1"], "notvalues": ["10.0.0.2"]"#,
                &["~.notvalues: unknown key; write `notValues`"],
            ),
            (
                r#""key": "source.principals", "values": ["*"]"#,
                &[r#"~.key: "source.principals": not a key that conditions know; write `source.principal`"#],
            ),
            (
                r#""key": "source.labels[app]", "values": ["a"]"#,
                &[r#"~.key: "source.labels[app]": not a key that conditions know"#],
            ),
            (
                r#""key": "source.user", "values": ["a"]"#,
                &[r#"~.key: "source.user": not a key that conditions know"#],
            ),
            (
                r#""key": "destination.namespace", "values": ["a"]"#,
                &[r#"~.key: "destination.namespace": not a key that conditions know"#],
            ),
            (
                r#""key": "destination.labels[version]", "values": ["v1"]"#,
                &[r#"~.key: "destination.labels[version]": not a key that conditions know"#],
            ),
            (
                r#""key": "connection.SNI", "values": ["a.example"]"#,
                &[r#"~.key: "connection.SNI": not a key that conditions know; write `connection.sni`"#],
            ),
            (
                r#""key": "request.path", "values": ["/a"]"#,
                &[r#"~.key: "request.path": not a key that conditions know; use `paths` of an operation"#],
            ),
            (
                r#""key": "request.host", "values": ["a"]"#,
                &[r#"~.key: "request.host": not a key that conditions know; use `hosts` of an operation"#],
            ),
            (
                r#""key": "experimental.envoy.filters.network.mysql_proxy[db.table]", "values": ["a"]"#,
                &[
                    r#"~.key: "experimental.envoy.filters.network.mysql_proxy[db.table]": metadata of other filters is not part of this language; use `request.auth.claims[NAME]` for a token's claims, `request.headers[NAME]` for headers"#,
                ],
            ),
            (
                r#""key": "request.headers[host]", "values": ["a.example"]"#,
                &[
                    r#"~.key: "request.headers[host]": as a header the host is compared with its case and port; use `hosts`"#,
                ],
            ),
            (
                r#""key": "request.headers[Host]", "values": ["a.example"]"#,
                &[
                    r#"~.key: "request.headers[Host]": as a header the host is compared with its case and port; use `hosts`"#,
                ],
            ),
            (
                r#""key": "request.headers[:authority]", "values": ["a.example"]"#,
                &[
                    r#"~.key: "request.headers[:authority]": as a header the host is compared with its case and port; use `hosts`"#,
                ],
            ),
            (
                r#""key": "request.headers[:method]", "values": ["GET"]"#,
                &[r#"~.key: "request.headers[:method]": a pseudo-header; use `methods`"#],
            ),
            (
                r#""key": "request.headers[:path]", "values": ["/"]"#,
                &[r#"~.key: "request.headers[:path]": a pseudo-header; use `paths`"#],
            ),
            (
                r#""key": "request.headers[:scheme]", "values": ["https"]"#,
                &[r#"~.key: "request.headers[:scheme]": not a header name"#],
            ),
            (
                r#""key": "request.headers", "values": ["a"]"#,
                &[r#"~.key: "request.headers": a header stands in brackets; write `request.headers[NAME]`"#],
            ),
            (
                r#""key": "request.headers[]", "values": ["a"]"#,
                &[
                    r#"~.key: "request.headers[]": a header stands in brackets; write `request.headers[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.headers[a b]", "values": ["a"]"#,
                &[r#"~.key: "request.headers[a b]": not a header name"#],
            ),
            (
                r#""key": "request.headers[a][b]", "values": ["a"]"#,
                &[
                    r#"~.key: "request.headers[a][b]": a header stands in brackets; write `request.headers[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.headers[a", "values": ["a"]"#,
                &[
                    r#"~.key: "request.headers[a": a header stands in brackets; write `request.headers[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.headers.a", "values": ["a"]"#,
                &[
                    r#"~.key: "request.headers.a": a header stands in brackets; write `request.headers[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.header[a]", "values": ["a"]"#,
                &[
                    r#"~.key: "request.header[a]": not a key that conditions know; write `request.headers[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.auth.claims", "values": ["a"]"#,
                &[
                    r#"~.key: "request.auth.claims": a claim stands in brackets; write `request.auth.claims[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.auth.claims[]", "values": ["a"]"#,
                &[
                    r#"~.key: "request.auth.claims[]": a claim stands in brackets; write `request.auth.claims[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.auth.claims[a", "values": ["a"]"#,
                &[
                    r#"~.key: "request.auth.claims[a": a claim stands in brackets; write `request.auth.claims[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.auth.claims[a]b", "values": ["a"]"#,
                &[
                    r#"~.key: "request.auth.claims[a]b": a claim stands in brackets; write `request.auth.claims[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.auth.claims.a", "values": ["a"]"#,
                &[
                    r#"~.key: "request.auth.claims.a": a claim stands in brackets; write `request.auth.claims[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.auth.claim[a]", "values": ["a"]"#,
                &[
                    r#"~.key: "request.auth.claim[a]": not a key that conditions know; write `request.auth.claims[NAME]`"#,
                ],
            ),
            (
                r#""key": "request.auth.audience", "values": ["a"]"#,
                &[
                    r#"~.key: "request.auth.audience": not a key that conditions know; write `request.auth.audiences`"#,
                ],
            ),
        ],
    );
}
