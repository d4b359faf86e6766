//! Values of the other fields, each with its repair.

use crate::refused;

#[test]
fn ports() {
    refused(
        r#"{"hostSets": {"search": ["a.example"]}, "policies": [{"name": "p", "rules": [{"to": [{"operation": {%s}}]}]}]}"#,
        "policies[0].rules[0].to[0].operation",
        &[
            (r#""ports": [0]"#, &[r#"~.ports[0]: "0": a port is a whole number from 1 to 65535"#]),
            (r#""ports": [65536]"#, &[r#"~.ports[0]: "65536": a port is a whole number from 1 to 65535"#]),
            (r#""ports": [4.5]"#, &[r#"~.ports[0]: "4.5": a port is a whole number from 1 to 65535"#]),
            (r#""ports": [-1]"#, &[r#"~.ports[0]: "-1": a port is a whole number from 1 to 65535"#]),
            (r#""ports": [1e9]"#, &[r#"~.ports[0]: "1000000000": a port is a whole number from 1 to 65535"#]),
            (r#""ports": ["http"]"#, &[r#"~.ports[0]: "http": a port is a whole number from 1 to 65535"#]),
            (r#""ports": ["0443"]"#, &[r#"~.ports[0]: "0443": a port is a whole number from 1 to 65535"#]),
            (r#""ports": [""]"#, &[r#"~.ports[0]: "": a port is a whole number from 1 to 65535"#]),
            (r#""ports": ["443 "]"#, &[r#"~.ports[0]: "443 ": a port is a whole number from 1 to 65535"#]),
            (r#""ports": ["0"]"#, &[r#"~.ports[0]: "0": a port is a whole number from 1 to 65535"#]),
            (r#""ports": ["80-90"]"#, &[r#"~.ports[0]: "80-90": a port is a whole number from 1 to 65535"#]),
            (r#""ports": ["*"]"#, &[r#"~.ports[0]: "*": a port is a whole number from 1 to 65535"#]),
            (r#""ports": [true]"#, &["~.ports[0]: a port is wanted here, not a boolean"]),
            (r#""ports": [null]"#, &["~.ports[0]: null is not a value; leave it out, or write a value"]),
            (r#""ports": [[443]]"#, &["~.ports[0]: a port is wanted here, not a list"]),
            (
                r#""notPorts": [0, "x"]"#,
                &[
                    r#"~.notPorts[0]: "0": a port is a whole number from 1 to 65535"#,
                    r#"~.notPorts[1]: "x": a port is a whole number from 1 to 65535"#,
                ],
            ),
        ],
    );
}

#[test]
fn methods() {
    refused(
        r#"{"hostSets": {"search": ["a.example"]}, "policies": [{"name": "p", "rules": [{"to": [{"operation": {%s}}]}]}]}"#,
        "policies[0].rules[0].to[0].operation",
        &[
            (
                r#""methods": ["get"]"#,
                &[
                    r#"~.methods[0]: "get": methods are compared with their case and clients write them in capitals; write `GET`"#,
                ],
            ),
            (
                r#""methods": ["Get"]"#,
                &[
                    r#"~.methods[0]: "Get": methods are compared with their case and clients write them in capitals; write `GET`"#,
                ],
            ),
            (
                r#""methods": ["p*"]"#,
                &[
                    r#"~.methods[0]: "p*": methods are compared with their case and clients write them in capitals; write `P*`"#,
                ],
            ),
            (r#""methods": ["G T"]"#, &[r#"~.methods[0]: "G T": not an HTTP method"#]),
            (
                r#""methods": ["G*T"]"#,
                &[
                    r#"~.methods[0]: "G*T": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (r#""methods": ["GET,POST"]"#, &[r#"~.methods[0]: "GET,POST": not an HTTP method"#]),
            (
                r#""methods": ["**"]"#,
                &[
                    r#"~.methods[0]: "**": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (r#""methods": ["GÄT"]"#, &[r#"~.methods[0]: "GÄT": not an HTTP method"#]),
        ],
    );
}

#[test]
fn paths() {
    refused(
        r#"{"hostSets": {"search": ["a.example"]}, "policies": [{"name": "p", "rules": [{"to": [{"operation": {%s}}]}]}]}"#,
        "policies[0].rules[0].to[0].operation",
        &[
            (r#""paths": ["a"]"#, &[r#"~.paths[0]: "a": a path begins with `/`; write `/a`"#]),
            (r#""paths": ["a*"]"#, &[r#"~.paths[0]: "a*": a path begins with `/`; write `/a*`"#]),
            (
                r#""paths": ["/a?b"]"#,
                &[
                    r#"~.paths[0]: "/a?b": paths are compared without query and fragment; `?` and `#` never match"#,
                ],
            ),
            (
                r#""paths": ["/a#b"]"#,
                &[
                    r#"~.paths[0]: "/a#b": paths are compared without query and fragment; `?` and `#` never match"#,
                ],
            ),
            (
                r#""paths": ["/a*b"]"#,
                &[
                    r#"~.paths[0]: "/a*b": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""paths": ["**"]"#,
                &[
                    r#"~.paths[0]: "**": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""paths": ["/{a}"]"#,
                &[r#"~.paths[0]: "/{a}": `{` and `}` stand only in the operators `{*}` and `{**}`"#],
            ),
            (
                r#""paths": ["/{"]"#,
                &[r#"~.paths[0]: "/{": `{` and `}` stand only in the operators `{*}` and `{**}`"#],
            ),
            (
                r#""paths": ["/a{*}"]"#,
                &[r#"~.paths[0]: "/a{*}": `{*}` and `{**}` stand for whole segments, between slashes"#],
            ),
            (
                r#""paths": ["/{*}b"]"#,
                &[r#"~.paths[0]: "/{*}b": `{*}` and `{**}` stand for whole segments, between slashes"#],
            ),
            (
                r#""paths": ["/{**}b"]"#,
                &[r#"~.paths[0]: "/{**}b": `{*}` and `{**}` stand for whole segments, between slashes"#],
            ),
            (
                r#""paths": ["/a{**}"]"#,
                &[r#"~.paths[0]: "/a{**}": `{*}` and `{**}` stand for whole segments, between slashes"#],
            ),
            (r#""paths": ["{*}"]"#, &[r#"~.paths[0]: "{*}": a path begins with `/`; write `/{*}`"#]),
            (r#""paths": ["{**}"]"#, &[r#"~.paths[0]: "{**}": a path begins with `/`; write `/{**}`"#]),
            (
                r#""paths": ["/{**}/{*}"]"#,
                &[r#"~.paths[0]: "/{**}/{*}": `{**}` is the last operator of a template"#],
            ),
            (
                r#""paths": ["/{**}/{**}"]"#,
                &[r#"~.paths[0]: "/{**}/{**}": `{**}` is the last operator of a template"#],
            ),
            (
                r#""paths": ["/{*}/*"]"#,
                &[r#"~.paths[0]: "/{*}/*": a template has no bare `*`; write `{*}` or `{**}`"#],
            ),
            (
                r#""paths": ["/{*}/a b"]"#,
                &[r#"~.paths[0]: "/{*}/a b": a template's literal is letters, digits and -._~%!$&'()+,;:@="#],
            ),
            (
                r#""paths": ["/{*}/{a}"]"#,
                &[r#"~.paths[0]: "/{*}/{a}": `{` and `}` stand only in the operators `{*}` and `{**}`"#],
            ),
            (
                r#""paths": ["https://a.example/b"]"#,
                &[
                    r#"~.paths[0]: "https://a.example/b": a path has no scheme and no host; write the path alone"#,
                ],
            ),
        ],
    );
}

#[test]
fn sources() {
    refused(
        r#"{"policies": [{"name": "p", "rules": [{"from": [{"source": {%s}}]}]}]}"#,
        "policies[0].rules[0].from[0].source",
        &[
            (
                r#""principals": ["spiffe://cluster.local/ns/a/sa/b"]"#,
                &[
                    r#"~.principals[0]: "spiffe://cluster.local/ns/a/sa/b": principals are written without `spiffe://`; write `cluster.local/ns/a/sa/b`"#,
                ],
            ),
            (
                r#""principals": ["spiffe://cluster.local/ns/a/*"]"#,
                &[
                    r#"~.principals[0]: "spiffe://cluster.local/ns/a/*": principals are written without `spiffe://`; write `cluster.local/ns/a/*`"#,
                ],
            ),
            (
                r#""principals": ["cluster.local"]"#,
                &[
                    r#"~.principals[0]: "cluster.local": not a workload identity; the form is `<trust domain>/ns/<namespace>/sa/<service account>`"#,
                ],
            ),
            (
                r#""principals": ["a/b"]"#,
                &[
                    r#"~.principals[0]: "a/b": not a workload identity; the form is `<trust domain>/ns/<namespace>/sa/<service account>`; write `cluster.local/ns/a/sa/b`, or use `serviceAccounts`"#,
                ],
            ),
            (
                r#""principals": ["a/B"]"#,
                &[
                    r#"~.principals[0]: "a/B": not a workload identity; the form is `<trust domain>/ns/<namespace>/sa/<service account>`"#,
                ],
            ),
            (
                r#""principals": ["b"]"#,
                &[
                    r#"~.principals[0]: "b": not a workload identity; the form is `<trust domain>/ns/<namespace>/sa/<service account>`"#,
                ],
            ),
            (
                r#""principals": ["cluster.local/ns/a"]"#,
                &[
                    r#"~.principals[0]: "cluster.local/ns/a": not a workload identity; the form is `<trust domain>/ns/<namespace>/sa/<service account>`"#,
                ],
            ),
            (
                r#""principals": ["cluster.local/ns/a/sa/b/c"]"#,
                &[
                    r#"~.principals[0]: "cluster.local/ns/a/sa/b/c": not a workload identity; the form is `<trust domain>/ns/<namespace>/sa/<service account>`"#,
                ],
            ),
            (
                r#""principals": ["Cluster.local/ns/a/sa/b"]"#,
                &[
                    r#"~.principals[0]: "Cluster.local/ns/a/sa/b": not a workload identity; the form is `<trust domain>/ns/<namespace>/sa/<service account>`"#,
                ],
            ),
            (
                r#""principals": ["cluster.local/*/b"]"#,
                &[
                    r#"~.principals[0]: "cluster.local/*/b": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character; use `namespaces` or `serviceAccounts`"#,
                ],
            ),
            (
                r#""principals": ["*/ns/a/*"]"#,
                &[
                    r#"~.principals[0]: "*/ns/a/*": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character; use `namespaces` or `serviceAccounts`"#,
                ],
            ),
            (
                r#""requestPrincipals": ["a*b"]"#,
                &[
                    r#"~.requestPrincipals[0]: "a*b": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""requestPrincipals": ["*a*"]"#,
                &[
                    r#"~.requestPrincipals[0]: "*a*": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""namespaces": ["Team-A"]"#,
                &[
                    r#"~.namespaces[0]: "Team-A": a namespace has no 'T': it is lower-case letters, digits and dashes; write `team-a`"#,
                ],
            ),
            (
                r#""namespaces": ["a.b"]"#,
                &[
                    r#"~.namespaces[0]: "a.b": a namespace has no '.': it is lower-case letters, digits and dashes"#,
                ],
            ),
            (
                r#""namespaces": ["a b"]"#,
                &[
                    r#"~.namespaces[0]: "a b": a namespace has no ' ': it is lower-case letters, digits and dashes"#,
                ],
            ),
            (
                r#""namespaces": ["a/b"]"#,
                &[
                    r#"~.namespaces[0]: "a/b": a namespace has no '/': it is lower-case letters, digits and dashes"#,
                ],
            ),
            (
                r#""serviceAccounts": ["sleep"]"#,
                &[
                    r#"~.serviceAccounts[0]: "sleep": a mesh-wide policy has no namespace of its own; write `<namespace>/sleep`"#,
                ],
            ),
            (
                r#""notServiceAccounts": ["sleep"]"#,
                &[
                    r#"~.notServiceAccounts[0]: "sleep": a mesh-wide policy has no namespace of its own; write `<namespace>/sleep`"#,
                ],
            ),
            (
                r#""serviceAccounts": ["a/*"]"#,
                &[
                    r#"~.serviceAccounts[0]: "a/*": a service account takes no wildcard; use `principals` or `namespaces`"#,
                ],
            ),
            (
                r#""serviceAccounts": ["*"]"#,
                &[
                    r#"~.serviceAccounts[0]: "*": a service account takes no wildcard; use `principals` or `namespaces`"#,
                ],
            ),
            (
                r#""serviceAccounts": ["A/b"]"#,
                &[
                    r#"~.serviceAccounts[0]: "A/b": not a service account; the form is `name` or `namespace/name`, lower case"#,
                ],
            ),
            (
                r#""serviceAccounts": ["a/b/c"]"#,
                &[
                    r#"~.serviceAccounts[0]: "a/b/c": not a service account; the form is `name` or `namespace/name`, lower case"#,
                ],
            ),
            (
                r#""serviceAccounts": ["/b"]"#,
                &[
                    r#"~.serviceAccounts[0]: "/b": not a service account; the form is `name` or `namespace/name`, lower case"#,
                ],
            ),
            (
                r#""serviceAccounts": ["a/"]"#,
                &[
                    r#"~.serviceAccounts[0]: "a/": not a service account; the form is `name` or `namespace/name`, lower case"#,
                ],
            ),
            (
                r#""trustDomains": ["a/b"]"#,
                &[
                    r#"~.trustDomains[0]: "a/b": not a trust domain: lower-case letters, digits, `.`, `-` and `_`, without a path"#,
                ],
            ),
            (
                r#""trustDomains": ["A"]"#,
                &[
                    r#"~.trustDomains[0]: "A": not a trust domain: lower-case letters, digits, `.`, `-` and `_`, without a path"#,
                ],
            ),
            (
                r#""trustDomains": ["*a*"]"#,
                &[
                    r#"~.trustDomains[0]: "*a*": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""trustDomains": ["a*b"]"#,
                &[
                    r#"~.trustDomains[0]: "a*b": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""trustDomains": ["spiffe://td.one"]"#,
                &[
                    r#"~.trustDomains[0]: "spiffe://td.one": not a trust domain: lower-case letters, digits, `.`, `-` and `_`, without a path; write `td.one`"#,
                ],
            ),
            (
                r#""ipBlocks": ["10.0.0.0/33"]"#,
                &[
                    r#"~.ipBlocks[0]: "10.0.0.0/33": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""ipBlocks": ["10.0.0"]"#,
                &[
                    r#"~.ipBlocks[0]: "10.0.0": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""ipBlocks": ["a.example"]"#,
                &[
                    r#"~.ipBlocks[0]: "a.example": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""ipBlocks": ["[::1]"]"#,
                &[
                    r#"~.ipBlocks[0]: "[::1]": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""ipBlocks": ["10.0.0.1:80"]"#,
                &[
                    r#"~.ipBlocks[0]: "10.0.0.1:80": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""ipBlocks": ["10.0.0.1-10.0.0.9"]"#,
                &[
                    r#"~.ipBlocks[0]: "10.0.0.1-10.0.0.9": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""remoteIpBlocks": ["::1/129"]"#,
                &[
                    r#"~.remoteIpBlocks[0]: "::1/129": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""notIpBlocks": ["10.0.0.0/"]"#,
                &[
                    r#"~.notIpBlocks[0]: "10.0.0.0/": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""ipBlocks": ["*"]"#,
                &[
                    r#"~.ipBlocks[0]: "*": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
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
            (
                r#""key": "connection.sni", "values": ["a.example:443"]"#,
                &[
                    r#"~.values[0]: "a.example:443": a server name has no ':': it is letters, digits, `-`, `_` and dots, without a port"#,
                ],
            ),
            (
                r#""key": "connection.sni", "values": ["a b"]"#,
                &[
                    r#"~.values[0]: "a b": a server name has no ' ': it is letters, digits, `-`, `_` and dots, without a port"#,
                ],
            ),
            (
                r#""key": "connection.sni", "notValues": ["ä.example"]"#,
                &[
                    r#"~.notValues[0]: "ä.example": a server name has no 'ä': it is letters, digits, `-`, `_` and dots, without a port"#,
                ],
            ),
            (
                r#""key": "connection.sni", "values": ["*.a.*"]"#,
                &[
                    r#"~.values[0]: "*.a.*": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""key": "connection.sni", "values": [""]"#,
                &[r#"~.values[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (
                r#""key": "destination.port", "values": ["http"]"#,
                &[r#"~.values[0]: "http": a port is a whole number from 1 to 65535"#],
            ),
            (
                r#""key": "destination.port", "values": [0]"#,
                &[r#"~.values[0]: "0": a port is a whole number from 1 to 65535"#],
            ),
            (
                r#""key": "destination.ip", "values": ["a.example"]"#,
                &[
                    r#"~.values[0]: "a.example": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""key": "source.ip", "notValues": ["10.0.0.0/33"]"#,
                &[
                    r#"~.notValues[0]: "10.0.0.0/33": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""key": "remote.ip", "values": ["x"]"#,
                &[
                    r#"~.values[0]: "x": not an address or a CIDR range such as `10.0.0.0/8` or `2001:db8::/32`"#,
                ],
            ),
            (
                r#""key": "source.principal", "values": ["spiffe://cluster.local/ns/a/sa/b"]"#,
                &[
                    r#"~.values[0]: "spiffe://cluster.local/ns/a/sa/b": principals are written without `spiffe://`; write `cluster.local/ns/a/sa/b`"#,
                ],
            ),
            (
                r#""key": "source.namespace", "values": ["A"]"#,
                &[
                    r#"~.values[0]: "A": a namespace has no 'A': it is lower-case letters, digits and dashes; write `a`"#,
                ],
            ),
            (
                r#""key": "source.serviceAccount", "values": ["sleep"]"#,
                &[
                    r#"~.values[0]: "sleep": a mesh-wide policy has no namespace of its own; write `<namespace>/sleep`"#,
                ],
            ),
            (
                r#""key": "source.serviceAccount", "notValues": ["a/*"]"#,
                &[
                    r#"~.notValues[0]: "a/*": a service account takes no wildcard; use `principals` or `namespaces`"#,
                ],
            ),
            (
                r#""key": "source.trustDomain", "values": ["a/b"]"#,
                &[
                    r#"~.values[0]: "a/b": not a trust domain: lower-case letters, digits, `.`, `-` and `_`, without a path"#,
                ],
            ),
            (
                r#""key": "request.auth.principal", "values": ["a*b"]"#,
                &[
                    r#"~.values[0]: "a*b": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""key": "request.auth.audiences", "values": ["a*b"]"#,
                &[
                    r#"~.values[0]: "a*b": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""key": "request.auth.presenter", "notValues": [""]"#,
                &[r#"~.notValues[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (
                r#""key": "request.auth.claims[a]", "values": ["*a*"]"#,
                &[
                    r#"~.values[0]: "*a*": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""key": "request.headers[x-a]", "values": ["a*b"]"#,
                &[
                    r#"~.values[0]: "a*b": a `*` stands alone, first or last, and only once: anywhere else Istio takes it for the character"#,
                ],
            ),
            (
                r#""key": "request.headers[x-a]", "values": [7]"#,
                &["~.values[0]: a string is wanted here, not a number"],
            ),
        ],
    );
}
