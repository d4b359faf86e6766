//! Several errors in one configuration: all of them, in order.

use crate::refused;

#[test]
fn all_are_reported_in_order() {
    refused(
        "%s",
        "",
        &[
            (
                r#"{"typ": "HTTP", "mode": "DRYRUN", "trustDomains": [], "reportAllowed": 1, "denyResponse": {"status": 200, "headers": {"te": "x"}}, "hostSets": {"s": ["*a"]}, "policies": [{"nam": "p"}]}"#,
                &[
                    "typ: unknown key; write `type`",
                    r#"mode: "DRYRUN" is not one of ENFORCE, DRY_RUN; write `DRY_RUN`"#,
                    "trustDomains: the list is empty; leave it out, or fill it",
                    "reportAllowed: true or false is wanted here, not a number",
                    r#"denyResponse.status: "200": a refusal's status is a whole number from 400 to 599"#,
                    r#"denyResponse.headers.te: "te": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                    r#"hostSets.s[0]: "*a": a `*` stands for whole labels, first or last, and only once; write `*.a`"#,
                    "policies[0].nam: unknown key; write `name`",
                    "policies[0]: `name` is missing",
                ],
            ),
            (
                r#"{"policies": [{"name": "p", "action": "AUDIT", "mode": "DRY_RUN"}, {"name": "p", "namespace": "n", "expires": "soon", "rules": [{"from": [{"source": {"principals": ["spiffe://a/ns/b/sa/c"], "namespaces": ["B"], "serviceAccounts": ["sleep", "*"]}}]}]}]}"#,
                &[
                    r#"policies[0].mode: "DRY_RUN": an AUDIT policy changes no verdict, so it has no dry run; leave `mode` out"#,
                    "policies[0].rules: a DENY or AUDIT without rules never matches; write the rule `{}` if it is to match everything",
                    r#"policies[1].expires: "soon": not a time in RFC 3339, such as `2026-12-31T00:00:00Z`"#,
                    r#"policies[1].rules[0].from[0].source.principals[0]: "spiffe://a/ns/b/sa/c": principals are written without `spiffe://`; write `a/ns/b/sa/c`"#,
                    r#"policies[1].rules[0].from[0].source.namespaces[0]: "B": a namespace has no 'B': it is lower-case letters, digits and dashes; write `b`"#,
                    r#"policies[1].rules[0].from[0].source.serviceAccounts[1]: "*": a service account takes no wildcard; use `principals` or `namespaces`"#,
                ],
            ),
            (
                r#"{"policies": [{"name": "p", "rules": [{"to": [{"operation": {"hosts": ["*example.com", "@s", "a.example", "10.*"], "ports": [0, 443, 4.5], "methods": ["get", "POST"], "paths": ["a", "/b"]}}], "when": [{"key": "request.headers[host]", "values": ["a"]}, {"key": "source.ip"}, {"key": "connection.sni", "values": ["a:1"], "notValues": [""]}]}]}]}"#,
                &[
                    r#"policies[0].rules[0].to[0].operation.hosts[0]: "*example.com": a `*` stands for whole labels, first or last, and only once; write `*.example.com`"#,
                    r#"policies[0].rules[0].to[0].operation.hosts[1]: "@s": no host set has this name"#,
                    r#"policies[0].rules[0].to[0].operation.hosts[3]: "10.*": only the bare `*` and the literal itself match an IP address; name the address, or use `ports`"#,
                    r#"policies[0].rules[0].to[0].operation.ports[0]: "0": a port is a whole number from 1 to 65535"#,
                    r#"policies[0].rules[0].to[0].operation.ports[2]: "4.5": a port is a whole number from 1 to 65535"#,
                    r#"policies[0].rules[0].to[0].operation.methods[0]: "get": methods are compared with their case and clients write them in capitals; write `GET`"#,
                    r#"policies[0].rules[0].to[0].operation.paths[0]: "a": a path begins with `/`; write `/a`"#,
                    r#"policies[0].rules[0].when[0].key: "request.headers[host]": as a header the host is compared with its case and port; use `hosts`"#,
                    "policies[0].rules[0].when[1]: a condition without `values` and `notValues` says nothing; write one of them",
                    r#"policies[0].rules[0].when[2].values[0]: "a:1": a server name has no ':': it is letters, digits, `-`, `_` and dots, without a port"#,
                    r#"policies[0].rules[0].when[2].notValues[0]: "": the string is empty; leave it out, or fill it"#,
                ],
            ),
            (
                r#"{"policies": [{"name": "a", "action": "DENY"}, {"name": "a", "action": "DENY", "rules": []}, {"name": "a", "rules": [{"from": [], "to": [{}]}]}]}"#,
                &[
                    "policies[0].rules: a DENY or AUDIT without rules never matches; write the rule `{}` if it is to match everything",
                    "policies[1].rules: a DENY or AUDIT without rules never matches; write the rule `{}` if it is to match everything",
                    r#"policies[1].name: "a": policies[0] has this name in the same namespace; rename one of them"#,
                    "policies[2].rules[0].from: the list is empty; leave it out, or fill it",
                    "policies[2].rules[0].to[0]: the object is empty; leave it out, or fill it",
                    r#"policies[2].name: "a": policies[0] has this name in the same namespace; rename one of them"#,
                ],
            ),
            (
                r#"{"policies": [null, {"name": "p", "rules": [null, {"from": [null], "when": [{"values": [null]}]}]}]}"#,
                &[
                    "policies[0]: null is not a value; leave it out, or write a value",
                    "policies[1].rules[0]: null is not a value; leave it out, or write a value",
                    "policies[1].rules[1].from[0]: null is not a value; leave it out, or write a value",
                    "policies[1].rules[1].when[0]: `key` is missing",
                ],
            ),
            (
                r#"{"hostSets": {"s": []}, "policies": [{"name": "p", "rules": [{"to": [{"operation": {"hosts": ["@s", "@t"]}}]}]}]}"#,
                &[
                    "hostSets.s: the list is empty; leave it out, or fill it",
                    r#"policies[0].rules[0].to[0].operation.hosts[1]: "@t": no host set has this name"#,
                ],
            ),
            (
                r#"{"mode": null, "mode": "OFF", "policies": {}}"#,
                &[
                    "mode: the key is written twice; keep one",
                    "mode: null is not a value; leave it out, or write a value",
                    "policies: a list is wanted here, not an object",
                ],
            ),
        ],
    );
}
