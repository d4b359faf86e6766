//! Policies and their keys, without their rules.

use crate::refused;

#[test]
fn the_list() {
    refused(
        r#"{"policies": %s}"#,
        "",
        &[
            ("{}", &["policies: a list is wanted here, not an object"]),
            ("null", &["policies: null is not a value; leave it out, or write a value"]),
            (r#""x""#, &["policies: a list is wanted here, not a string"]),
            ("[null]", &["policies[0]: null is not a value; leave it out, or write a value"]),
            ("[7]", &["policies[0]: an object is wanted here, not a number"]),
            ("[[]]", &["policies[0]: an object is wanted here, not a list"]),
            ("[{}]", &["policies[0]: `name` is missing"]),
            (
                r#"[{"name": "a"}, {"name": "a"}]"#,
                &[
                    r#"policies[1].name: "a": policies[0] has this name in the same namespace; rename one of them"#,
                ],
            ),
            (
                r#"[{"name": "a", "namespace": "n"}, {"name": "a", "namespace": "m"}, {"name": "a", "namespace": "n"}]"#,
                &[
                    r#"policies[2].name: "a": policies[0] has this name in the same namespace; rename one of them"#,
                ],
            ),
            (
                r#"[{"name": "a"}, {"name": "a"}, {"name": "a"}]"#,
                &[
                    r#"policies[1].name: "a": policies[0] has this name in the same namespace; rename one of them"#,
                    r#"policies[2].name: "a": policies[0] has this name in the same namespace; rename one of them"#,
                ],
            ),
            (r#"[{"name": "a", "name": "b"}]"#, &["policies[0].name: the key is written twice; keep one"]),
        ],
    );
}

#[test]
fn names() {
    refused(
        r#"{"policies": [%s]}"#,
        "",
        &[
            (r#"{"namespace": "n"}"#, &["policies[0]: `name` is missing"]),
            (r#"{"name": 7}"#, &["policies[0].name: a string is wanted here, not a number"]),
            (r#"{"name": null}"#, &["policies[0].name: null is not a value; leave it out, or write a value"]),
            (
                r#"{"name": ""}"#,
                &[
                    r#"policies[0].name: "": a policy's name is lower-case letters, digits, dashes and dots (DNS-1123)"#,
                ],
            ),
            (
                r#"{"name": "Front_end"}"#,
                &[
                    r#"policies[0].name: "Front_end": a policy's name is lower-case letters, digits, dashes and dots (DNS-1123)"#,
                ],
            ),
            (
                r#"{"name": "-a"}"#,
                &[
                    r#"policies[0].name: "-a": a policy's name is lower-case letters, digits, dashes and dots (DNS-1123)"#,
                ],
            ),
            (
                r#"{"name": "a..b"}"#,
                &[
                    r#"policies[0].name: "a..b": a policy's name is lower-case letters, digits, dashes and dots (DNS-1123)"#,
                ],
            ),
            (
                r#"{"name": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
                &[
                    r#"policies[0].name: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": a policy's name is lower-case letters, digits, dashes and dots (DNS-1123)"#,
                ],
            ),
            (
                r#"{"name": "p", "namespace": ""}"#,
                &[
                    r#"policies[0].namespace: "": a namespace is lower-case letters, digits and dashes (DNS-1123)"#,
                ],
            ),
            (
                r#"{"name": "p", "namespace": "*"}"#,
                &[
                    r#"policies[0].namespace: "*": a namespace is lower-case letters, digits and dashes (DNS-1123); leave `namespace` out for the whole mesh"#,
                ],
            ),
            (
                r#"{"name": "p", "namespace": "Team"}"#,
                &[
                    r#"policies[0].namespace: "Team": a namespace is lower-case letters, digits and dashes (DNS-1123)"#,
                ],
            ),
            (
                r#"{"name": "p", "namespace": "a.b"}"#,
                &[
                    r#"policies[0].namespace: "a.b": a namespace is lower-case letters, digits and dashes (DNS-1123)"#,
                ],
            ),
            (
                r#"{"name": "p", "namespace": null}"#,
                &["policies[0].namespace: null is not a value; leave it out, or write a value"],
            ),
            (
                r#"{"name": "p", "namespace": 7}"#,
                &["policies[0].namespace: a string is wanted here, not a number"],
            ),
            (
                r#"{"name": "p", "namespace": "Team", "rules": [{"from": [{"source": {"serviceAccounts": ["sleep"]}}]}]}"#,
                &[
                    r#"policies[0].namespace: "Team": a namespace is lower-case letters, digits and dashes (DNS-1123)"#,
                ],
            ),
            (
                r#"{"name": "p"}, {"name": "p", "namespace": "Team"}"#,
                &[
                    r#"policies[1].namespace: "Team": a namespace is lower-case letters, digits and dashes (DNS-1123)"#,
                ],
            ),
            (
                r#"{"namespace": "n"}, {"namespace": "n"}"#,
                &["policies[0]: `name` is missing", "policies[1]: `name` is missing"],
            ),
        ],
    );
}

#[test]
fn their_keys() {
    refused(
        r#"{"policies": [{"name": "p", %s}]}"#,
        "policies[0]",
        &[
            (r#""action": "deny""#, &[r#"~.action: "deny" is not one of ALLOW, DENY, AUDIT; write `DENY`"#]),
            (r#""action": "CUSTOM""#, &[r#"~.action: "CUSTOM" is not one of ALLOW, DENY, AUDIT"#]),
            (r#""action": "LOG""#, &[r#"~.action: "LOG" is not one of ALLOW, DENY, AUDIT"#]),
            (r#""action": null"#, &["~.action: null is not a value; leave it out, or write a value"]),
            (
                r#""mode": "DRY-RUN""#,
                &[r#"~.mode: "DRY-RUN" is not one of ENFORCE, DRY_RUN; write `DRY_RUN`"#],
            ),
            (r#""mode": "SHADOW""#, &[r#"~.mode: "SHADOW" is not one of ENFORCE, DRY_RUN"#]),
            (
                r#""action": "AUDIT", "mode": "DRY_RUN", "rules": [{}]"#,
                &[
                    r#"~.mode: "DRY_RUN": an AUDIT policy changes no verdict, so it has no dry run; leave `mode` out"#,
                ],
            ),
            (r#""protocols": []"#, &["~.protocols: the list is empty; leave it out, or fill it"]),
            (
                r#""protocols": "HTTP""#,
                &[r#"~.protocols: a list is wanted here, not a string; write `["HTTP"]`"#],
            ),
            (r#""protocols": ["TCP"]"#, &[r#"~.protocols[0]: "TCP" is not one of HTTP, NETWORK"#]),
            (
                r#""protocols": ["http", null]"#,
                &[
                    r#"~.protocols[0]: "http" is not one of HTTP, NETWORK; write `HTTP`"#,
                    "~.protocols[1]: null is not a value; leave it out, or write a value",
                ],
            ),
            (r#""protocols": null"#, &["~.protocols: null is not a value; leave it out, or write a value"]),
            (
                r#""expires": "2026-12-31""#,
                &[r#"~.expires: "2026-12-31": not a time in RFC 3339, such as `2026-12-31T00:00:00Z`"#],
            ),
            (
                r#""expires": "tomorrow""#,
                &[r#"~.expires: "tomorrow": not a time in RFC 3339, such as `2026-12-31T00:00:00Z`"#],
            ),
            (
                r#""expires": """#,
                &[r#"~.expires: "": not a time in RFC 3339, such as `2026-12-31T00:00:00Z`"#],
            ),
            (r#""expires": 1798675200"#, &["~.expires: a string is wanted here, not a number"]),
            (
                r#""expires": "2026-02-29T00:00:00Z""#,
                &[
                    r#"~.expires: "2026-02-29T00:00:00Z": not a time in RFC 3339, such as `2026-12-31T00:00:00Z`"#,
                ],
            ),
            (
                r#""expires": "2026-12-31T00:00:00""#,
                &[
                    r#"~.expires: "2026-12-31T00:00:00": not a time in RFC 3339, such as `2026-12-31T00:00:00Z`"#,
                ],
            ),
            (r#""expires": null"#, &["~.expires: null is not a value; leave it out, or write a value"]),
            (r#""owner": """#, &[r#"~.owner: "": the string is empty; leave it out, or fill it"#]),
            (r#""owner": 7"#, &["~.owner: a string is wanted here, not a number"]),
            (r#""owner": null"#, &["~.owner: null is not a value; leave it out, or write a value"]),
            (r#""rules": null"#, &["~.rules: null is not a value; leave it out, or write a value"]),
            (r#""rules": {}"#, &["~.rules: a list is wanted here, not an object"]),
            (r#""rules": "all""#, &["~.rules: a list is wanted here, not a string"]),
            (r#""action": "DENY", "rules": "all""#, &["~.rules: a list is wanted here, not a string"]),
            (
                r#""action": "DENY""#,
                &[
                    "~.rules: a DENY or AUDIT without rules never matches; write the rule `{}` if it is to match everything",
                ],
            ),
            (
                r#""action": "DENY", "rules": []"#,
                &[
                    "~.rules: a DENY or AUDIT without rules never matches; write the rule `{}` if it is to match everything",
                ],
            ),
            (
                r#""action": "AUDIT""#,
                &[
                    "~.rules: a DENY or AUDIT without rules never matches; write the rule `{}` if it is to match everything",
                ],
            ),
            (
                r#""action": "AUDIT", "rules": []"#,
                &[
                    "~.rules: a DENY or AUDIT without rules never matches; write the rule `{}` if it is to match everything",
                ],
            ),
            (
                r#""action": "DENY", "rules": [{"to": []}]"#,
                &["~.rules[0].to: the list is empty; leave it out, or fill it"],
            ),
            (r#""rule": [{}]"#, &["~.rule: unknown key; write `rules`"]),
            (r#""selector": {"matchLabels": {"a": "b"}}"#, &["~.selector: unknown key"]),
            (r#""Rules": [{}]"#, &["~.Rules: unknown key; write `rules`"]),
            (r#""when": []"#, &["~.when: unknown key"]),
            (r#""expiry": "2026-12-31T00:00:00Z""#, &["~.expiry: unknown key; write `expires`"]),
            (r#""namespaces": ["a"]"#, &["~.namespaces: unknown key; write `namespace`"]),
        ],
    );
}
