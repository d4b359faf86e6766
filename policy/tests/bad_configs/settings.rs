//! The settings: what stands at the top of a configuration.

use crate::refused;

#[test]
fn the_whole() {
    refused(
        "%s",
        "",
        &[
            ("[1]", &["an object is wanted here, not a list"]),
            (r#""x""#, &["an object is wanted here, not a string"]),
            ("null", &["null is not a value; leave it out, or write a value"]),
            ("7", &["an object is wanted here, not a number"]),
            ("true", &["an object is wanted here, not a boolean"]),
            ("{", &["not JSON: EOF while parsing an object at line 1 column 1"]),
            (r#"{"type": }"#, &["not JSON: expected value at line 1 column 10"]),
            ("{} {}", &["not JSON: trailing characters at line 1 column 4"]),
            (r#"{"a": 1e999}"#, &["not JSON: number out of range at line 1 column 11"]),
            (&"[".repeat(200), &["not JSON: recursion limit exceeded at line 1 column 128"]),
            (r#"{"polices": []}"#, &["polices: unknown key; write `policies`"]),
            (r#"{"Type": "HTTP"}"#, &["Type: unknown key; write `type`"]),
            (r#"{"denyresponse": {"status": 403}}"#, &["denyresponse: unknown key; write `denyResponse`"]),
            (r#"{"frobnicate": 1}"#, &["frobnicate: unknown key"]),
            (r#"{"": 1}"#, &[r#""": unknown key"#]),
            (r#"{"type": "HTTP", "type": "NETWORK"}"#, &["type: the key is written twice; keep one"]),
            (
                r#"{"type": "HTTP", "type": "HTTP", "type": "HTTP"}"#,
                &["type: the key is written twice; keep one", "type: the key is written twice; keep one"],
            ),
            (r#"{"spec": {"pluginConfig": {}}}"#, &["spec: unknown key"]),
            (r#"{"hosts": ["a.example"]}"#, &["hosts: unknown key"]),
        ],
    );
}

#[test]
fn words() {
    refused(
        "%s",
        "",
        &[
            (r#"{"type": "http"}"#, &[r#"type: "http" is not one of HTTP, NETWORK; write `HTTP`"#]),
            (r#"{"type": "TCP"}"#, &[r#"type: "TCP" is not one of HTTP, NETWORK"#]),
            (r#"{"type": 7}"#, &["type: a string is wanted here, not a number"]),
            (r#"{"type": null}"#, &["type: null is not a value; leave it out, or write a value"]),
            (r#"{"type": ""}"#, &[r#"type: "" is not one of HTTP, NETWORK"#]),
            (r#"{"mode": "DRYRUN"}"#, &[r#"mode: "DRYRUN" is not one of ENFORCE, DRY_RUN; write `DRY_RUN`"#]),
            (
                r#"{"mode": "dry_run"}"#,
                &[r#"mode: "dry_run" is not one of ENFORCE, DRY_RUN; write `DRY_RUN`"#],
            ),
            (r#"{"mode": "OFF"}"#, &[r#"mode: "OFF" is not one of ENFORCE, DRY_RUN"#]),
            (r#"{"defaultAction": "DRY_RUN"}"#, &[r#"defaultAction: "DRY_RUN" is not one of ALLOW, DENY"#]),
            (r#"{"defaultAction": "AUDIT"}"#, &[r#"defaultAction: "AUDIT" is not one of ALLOW, DENY"#]),
            (
                r#"{"unauthenticated": "ALLOW"}"#,
                &[r#"unauthenticated: "ALLOW" is not one of DENY, EVALUATE"#],
            ),
            (r#"{"unauthenticated": "EVAL"}"#, &[r#"unauthenticated: "EVAL" is not one of DENY, EVALUATE"#]),
            (
                r#"{"sniMismatch": "ENFORCE"}"#,
                &[r#"sniMismatch: "ENFORCE" is not one of DENY, DRY_RUN, ALLOW"#],
            ),
            (
                r#"{"pathReadings": "literal"}"#,
                &[r#"pathReadings: "literal" is not one of ALL, LITERAL; write `LITERAL`"#],
            ),
            (r#"{"pathReadings": "NONE"}"#, &[r#"pathReadings: "NONE" is not one of ALL, LITERAL"#]),
            (
                r#"{"encryptedClientHello": "DRY_RUN"}"#,
                &[r#"encryptedClientHello: "DRY_RUN" is not one of ALLOW, DENY"#],
            ),
            (
                r#"{"privateAddresses": "Deny"}"#,
                &[r#"privateAddresses: "Deny" is not one of ALLOW, DENY; write `DENY`"#],
            ),
            (r#"{"privateUpstreams": ["DENY"]}"#, &["privateUpstreams: a string is wanted here, not a list"]),
            (r#"{"routeMismatch": "OFF"}"#, &[r#"routeMismatch: "OFF" is not one of DENY, DRY_RUN, ALLOW"#]),
            (r#"{"routeMismatch": false}"#, &["routeMismatch: a string is wanted here, not a boolean"]),
        ],
    );
}

#[test]
fn flags_and_domains() {
    refused(
        "%s",
        "",
        &[
            (
                r#"{"reportAllowed": "true"}"#,
                &["reportAllowed: true or false is wanted here, not a string; write `true` without quotes"],
            ),
            (r#"{"reportAllowed": 1}"#, &["reportAllowed: true or false is wanted here, not a number"]),
            (
                r#"{"reportAllowed": null}"#,
                &["reportAllowed: null is not a value; leave it out, or write a value"],
            ),
            (
                r#"{"recheckConnections": "no"}"#,
                &["recheckConnections: true or false is wanted here, not a string"],
            ),
            (r#"{"trustDomains": []}"#, &["trustDomains: the list is empty; leave it out, or fill it"]),
            (
                r#"{"trustDomains": "cluster.local"}"#,
                &[r#"trustDomains: a list is wanted here, not a string; write `["cluster.local"]`"#],
            ),
            (
                r#"{"trustDomains": [""]}"#,
                &[r#"trustDomains[0]: "": the string is empty; leave it out, or fill it"#],
            ),
            (
                r#"{"trustDomains": ["Cluster.local"]}"#,
                &[
                    r#"trustDomains[0]: "Cluster.local": not a trust domain: lower-case letters, digits, `.`, `-` and `_`"#,
                ],
            ),
            (
                r#"{"trustDomains": ["spiffe://td.one"]}"#,
                &[
                    r#"trustDomains[0]: "spiffe://td.one": not a trust domain: lower-case letters, digits, `.`, `-` and `_`; write `td.one`"#,
                ],
            ),
            (
                r#"{"trustDomains": ["a/b", "*"]}"#,
                &[
                    r#"trustDomains[0]: "a/b": not a trust domain: lower-case letters, digits, `.`, `-` and `_`"#,
                    r#"trustDomains[1]: "*": not a trust domain: lower-case letters, digits, `.`, `-` and `_`"#,
                ],
            ),
            (r#"{"trustDomains": [7]}"#, &["trustDomains[0]: a string is wanted here, not a number"]),
            (
                r#"{"trustDomains": null}"#,
                &["trustDomains: null is not a value; leave it out, or write a value"],
            ),
            (
                r#"{"trustDomains": [null]}"#,
                &["trustDomains[0]: null is not a value; leave it out, or write a value"],
            ),
        ],
    );
}

#[test]
fn the_refusal() {
    refused(
        r#"{"denyResponse": %s}"#,
        "denyResponse",
        &[
            ("{}", &["~: the object is empty; leave it out, or fill it"]),
            ("[]", &["~: an object is wanted here, not a list"]),
            ("null", &["~: null is not a value; leave it out, or write a value"]),
            (r#"{"code": 403}"#, &["~.code: unknown key"]),
            (
                r#"{"status": 200}"#,
                &[r#"~.status: "200": a refusal's status is a whole number from 400 to 599"#],
            ),
            (
                r#"{"status": 399}"#,
                &[r#"~.status: "399": a refusal's status is a whole number from 400 to 599"#],
            ),
            (
                r#"{"status": 600}"#,
                &[r#"~.status: "600": a refusal's status is a whole number from 400 to 599"#],
            ),
            (
                r#"{"status": 403.5}"#,
                &[r#"~.status: "403.5": a refusal's status is a whole number from 400 to 599"#],
            ),
            (
                r#"{"status": "403"}"#,
                &["~.status: a number is wanted here, not a string; write `403` without quotes"],
            ),
            (r#"{"status": "teapot"}"#, &["~.status: a number is wanted here, not a string"]),
            (r#"{"status": null}"#, &["~.status: null is not a value; leave it out, or write a value"]),
            (r#"{"body": 7}"#, &["~.body: a string is wanted here, not a number"]),
            (r#"{"body": null}"#, &["~.body: null is not a value; leave it out, or write a value"]),
            (r#"{"contentType": 7}"#, &["~.contentType: a string is wanted here, not a number"]),
            (
                r#"{"contentType": null}"#,
                &["~.contentType: null is not a value; leave it out, or write a value"],
            ),
            (
                r#"{"contentType": "json"}"#,
                &[r#"~.contentType: "json": not a media type; write one like `application/problem+json`"#],
            ),
            (
                r#"{"contentType": "text/plain\r\nx-a: b"}"#,
                &[
                    r#"~.contentType: "text/plain\r\nx-a: b": not a media type; write one like `application/problem+json`"#,
                ],
            ),
            (
                r#"{"contentType": "text/html", "headers": {"Content-Type": "text/html"}}"#,
                &[r#"~.contentType: "text/html": the header `content-type` says it, too; write one of them"#],
            ),
            (
                r#"{"contentType": "application/json"}"#,
                &[
                    r#"~.body: "RBAC: access denied": the content type says JSON, and from line 1, column 1 on this is none"#,
                ],
            ),
            (
                r#"{"contentType": "application/problem+json; charset=utf-8", "body": "{\"rule\": {rule}}"}"#,
                &[
                    r#"~.body: "{\"rule\": }": in JSON a placeholder stands within the quotes of a string; write `"{reason}"`"#,
                ],
            ),
            (
                r#"{"headers": {"content-type": "Application/JSON"}, "body": "{\"a\": \"{host}\""}"#,
                &[
                    r#"~.body: "{\"a\": \"\"": the content type says JSON, and from line 1, column 8 on this is none"#,
                ],
            ),
            (r#"{"headers": {}}"#, &["~.headers: the object is empty; leave it out, or fill it"]),
            (r#"{"headers": []}"#, &["~.headers: an object is wanted here, not a list"]),
            (r#"{"headers": null}"#, &["~.headers: null is not a value; leave it out, or write a value"]),
            (r#"{"headers": {"bad name": "x"}}"#, &[r#"~.headers.bad name: "bad name": not a header name"#]),
            (r#"{"headers": {"": "x"}}"#, &[r#"~.headers."": "": not a header name"#]),
            (
                r#"{"headers": {":status": "200"}}"#,
                &[
                    r#"~.headers.:status: ":status": a pseudo-header cannot be set here; use `status` and `body`"#,
                ],
            ),
            (
                r#"{"headers": {"Content-Length": "3"}}"#,
                &[
                    r#"~.headers.Content-Length: "Content-Length": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                ],
            ),
            (
                r#"{"headers": {"connection": "close"}}"#,
                &[
                    r#"~.headers.connection: "connection": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                ],
            ),
            (
                r#"{"headers": {"Transfer-Encoding": "chunked"}}"#,
                &[
                    r#"~.headers.Transfer-Encoding: "Transfer-Encoding": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                ],
            ),
            (
                r#"{"headers": {"te": "x"}}"#,
                &[
                    r#"~.headers.te: "te": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                ],
            ),
            (
                r#"{"headers": {"upgrade": "x"}}"#,
                &[
                    r#"~.headers.upgrade: "upgrade": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                ],
            ),
            (
                r#"{"headers": {"keep-alive": "x"}}"#,
                &[
                    r#"~.headers.keep-alive: "keep-alive": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                ],
            ),
            (
                r#"{"headers": {"proxy-connection": "x"}}"#,
                &[
                    r#"~.headers.proxy-connection: "proxy-connection": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                ],
            ),
            (
                r#"{"headers": {"trailer": "x"}}"#,
                &[
                    r#"~.headers.trailer: "trailer": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                ],
            ),
            (
                r#"{"headers": {"host": "x"}}"#,
                &[
                    r#"~.headers.host: "host": HTTP keeps this header for the connection or the framing of the message; leave it out"#,
                ],
            ),
            (r#"{"headers": {"x-a": 7}}"#, &["~.headers.x-a: a string is wanted here, not a number"]),
            (
                r#"{"headers": {"x-a": null}}"#,
                &["~.headers.x-a: null is not a value; leave it out, or write a value"],
            ),
            (
                r#"{"headers": {"x-a": "a\nb"}}"#,
                &[r#"~.headers.x-a: "a\nb": a header value has no control characters"#],
            ),
            (
                r#"{"headers": {"x-a": "1", "X-A": "2"}}"#,
                &[r#"~.headers.X-A: "X-A": the header is written twice; case does not count"#],
            ),
            (
                r#"{"headers": {"x-a": "1", "x-a": "2"}}"#,
                &["~.headers.x-a: the key is written twice; keep one"],
            ),
        ],
    );
}

#[test]
fn host_sets() {
    refused(
        r#"{"hostSets": %s}"#,
        "hostSets",
        &[
            ("{}", &["~: the object is empty; leave it out, or fill it"]),
            ("[]", &["~: an object is wanted here, not a list"]),
            ("null", &["~: null is not a value; leave it out, or write a value"]),
            (r#"{"s": []}"#, &["~.s: the list is empty; leave it out, or fill it"]),
            (r#"{"s": {}}"#, &["~.s: a list is wanted here, not an object"]),
            (r#"{"s": null}"#, &["~.s: null is not a value; leave it out, or write a value"]),
            (
                r#"{"s": "a.example"}"#,
                &[r#"~.s: a list is wanted here, not a string; write `["a.example"]`"#],
            ),
            (r#"{"s": [""]}"#, &[r#"~.s[0]: "": the string is empty; leave it out, or fill it"#]),
            (r#"{"s": [null]}"#, &["~.s[0]: null is not a value; leave it out, or write a value"]),
            (r#"{"s": [7]}"#, &["~.s[0]: a string is wanted here, not a number"]),
            (
                r#"{"s": ["@t"], "t": ["a.example"]}"#,
                &[r#"~.s[0]: "@t": host sets do not nest; write the patterns of that set here"#],
            ),
            (
                r#"{"s": ["*example.com"]}"#,
                &[
                    r#"~.s[0]: "*example.com": a `*` stands for whole labels, first or last, and only once; write `*.example.com`"#,
                ],
            ),
            (
                r#"{"Search": ["a.example"]}"#,
                &[
                    r#"~.Search: "Search": a set's name is lower-case letters, digits, dashes and dots (DNS-1123)"#,
                ],
            ),
            (
                r#"{"": ["a.example"]}"#,
                &[r#"~."": "": a set's name is lower-case letters, digits, dashes and dots (DNS-1123)"#],
            ),
            (r#"{"s": ["a.example"], "s": ["b.example"]}"#, &["~.s: the key is written twice; keep one"]),
        ],
    );
}
