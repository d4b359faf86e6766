//! `diff` and `test` never say "nothing" of something: what is compared is said, and what cannot be compared is an error.

use crate::logs::{Answer, Log, access, run};
use std::fs;
use tempfile::TempDir;

const POLICY: &str =
    "policies: [{name: p, namespace: ops, rules: [{to: [{operation: {hosts: [a.example]}}]}]}]";

fn plugin(name: &str, kind: &str, more: &str) -> String {
    format!(
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: {name}, namespace: istio-system}}\nspec:\n  type: {kind}\n  selector: {{matchLabels: {{istio: egressgateway}}}}\n{more}  pluginConfig: {{type: {kind}, {POLICY}}}\n"
    )
}

fn diff(old: &str, new: &str, requests: Option<&str>) -> Answer {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (old, new) = (file("old.yaml", old), file("new.yaml", new));
    let requests = requests.map(|content| file("requests", content));
    let mut arguments = vec!["diff", &old, &new];
    arguments.extend(requests.as_deref());
    run(&arguments)
}

#[test]
fn the_manifest_is_compared() {
    let base =
        plugin("e", "HTTP", "  url: oci://r.example/e:1\n  failStrategy: FAIL_CLOSE\n  phase: AUTHZ\n");
    for (from, to, wanted) in [
        ("failStrategy: FAIL_CLOSE", "failStrategy: FAIL_OPEN", "spec.failStrategy: FAIL_CLOSE -> FAIL_OPEN"),
        ("  failStrategy: FAIL_CLOSE\n", "", "spec.failStrategy: FAIL_CLOSE -> (none)"),
        ("istio: egressgateway", "istio: other", "spec.selector.matchLabels.istio: egressgateway -> other"),
        ("e:1", "e:2", "spec.url: oci://r.example/e:1 -> oci://r.example/e:2"),
        ("phase: AUTHZ", "phase: AUTHN", "spec.phase: AUTHZ -> AUTHN"),
        (
            "  phase: AUTHZ\n",
            "  phase: AUTHZ\n  match: [{ports: [{number: 443}]}]\n",
            "spec.match[0].ports[0].number: (none) -> 443",
        ),
        ("namespace: istio-system", "namespace: other", "metadata.namespace: istio-system -> other"),
    ] {
        let answer = diff(&base, &base.replacen(from, to, 1), None);
        assert!(
            answer.out.contains(&format!("~ WasmPlugin istio-system/e {wanted}")),
            "{to}: {}",
            answer.out
        );
        assert!(!answer.out.contains("nothing"), "{}", answer.out);
        assert!(answer.err.contains("no requests are given"), "{}", answer.err);
    }
    let noise = base.replace("metadata: {", "metadata: {uid: x, resourceVersion: \"7\", generation: 2, ")
        + "status: {}\n";
    assert_eq!(
        diff(&base, &noise, None).out,
        "nothing changed in policies, host sets, settings and manifest\n"
    );
    assert!(diff(POLICY, &base, None).out.contains("~ manifest: (none) -> WasmPlugin istio-system/e"));
}

#[test]
fn a_plugin_that_disappears_is_told() {
    let http = plugin("h", "HTTP", "");
    let both = format!("{http}---\n{}", plugin("n", "NETWORK", ""));
    let answer = diff(&both, &http, None);
    assert!(answer.out.contains("- plugin NETWORK WasmPlugin istio-system/n"), "{}", answer.out);
    assert!(answer.out.contains("- policy NETWORK ns[ops]-policy[p]"), "{}", answer.out);
    let answer = diff(&http, &both, None);
    assert!(answer.out.contains("+ plugin NETWORK WasmPlugin istio-system/n"), "{}", answer.out);
    // What is asked of the one that is gone cannot be compared.
    let cases = "cases: [{network: true, host: a.example}]";
    let answer = diff(&both, &http, Some(cases));
    assert_eq!(answer.code, Some(1), "{}", answer.out);
    assert!(answer.err.contains("NEW has no plugin of type NETWORK"), "{}", answer.err);
    // Which of two belongs to which is not known.
    let twice = format!("{http}---\n{}", plugin("h2", "HTTP", ""));
    for (old, new) in [(&twice, &http), (&http, &twice)] {
        let answer = diff(old, new, None);
        assert_eq!(answer.code, Some(1), "{}", answer.out);
        assert!(answer.err.contains("several plugins of type HTTP"), "{}", answer.err);
    }
    // What is no plugin is named.
    let beside = format!("{http}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\n");
    assert!(
        diff(&http, &beside, None).err.contains("not compared, in")
            && diff(&http, &beside, None).err.contains("ConfigMap default/c")
    );
    // A second document of a bare configuration.
    assert_eq!(diff(POLICY, &format!("{POLICY}\n---\n{POLICY}\n"), None).code, Some(1));
}

#[test]
fn dry_run_verdicts_flip_too() {
    let old = format!("mode: DRY_RUN\n{POLICY}");
    let new = old.replace("a.example", "b.example");
    let cases = "cases: [{name: one, principal: cluster.local/ns/ops/sa/x, host: a.example}, {name: two, principal: cluster.local/ns/ops/sa/x, host: c.example}]";
    let answer = diff(&old, &new, Some(cases));
    assert_eq!(answer.code, Some(2), "{}", answer.out);
    let wanted =
        "0 of 2 verdicts flip\n1 of 2 dry-run verdicts flip\n  one: allow -> would_deny[no_allow_matched]\n";
    assert!(answer.out.ends_with(wanted), "{}", answer.out);
    // From enforced to dry run, the verdict flips and what is meant does not.
    let answer = diff(&old.replace("mode: DRY_RUN\n", ""), &old, Some(cases));
    assert!(
        answer.out.contains("1 of 2 verdicts flip") && !answer.out.contains("dry-run verdicts"),
        "{}",
        answer.out
    );
    // One policy's dry run.
    let old = POLICY.replace("[{name: p,", "[{name: all, rules: [{}]}, {name: q, action: DENY, mode: DRY_RUN, rules: [{to: [{operation: {hosts: [a.example]}}]}]}, {name: p,");
    let answer = diff(&old, &old.replacen("a.example", "z.example", 1), Some(cases));
    assert!(
        answer
            .out
            .contains("1 of 2 dry-run verdicts flip\n  one: would_deny[ns[*]-policy[q]-rule[0]] -> allow"),
        "{}",
        answer.out
    );
}

/// A table that cannot be read is never a log without requests.
#[test]
fn a_broken_table_is_a_table() {
    for (table, wanted) in [
        ("cases:\n- {name: a, host: \"b\n", "error"),
        ("casses: [{host: a.example}]", "write `cases`"),
        ("case:\n- {host: a.example}\n", "write `cases`"),
        ("cases: {host: a.example}", "begin each entry with `- `"),
        ("cases:\n- {host: a.example, hots: b}\n", "write `host`"),
        ("cases:\n- {host: a.example, port: \"443\"}\n", "write 443"),
        ("cases:\n- {host: ~}\n", "null"),
        ("cases:\n- {host: \"{{ .Values.host }}\"}\n", "template"),
        ("cases:\n- {host: a.example, expect: Allow}\n", "write allow"),
        ("cases: []\n", "empty"),
        ("cases:\n- {host: a.example}\n---\n", ""),
        ("cases:\n- {host: a.example}\n---\nmore: 1\n", "unknown key"),
        ("cases:\n- {host: a.example}\n---\ncases: []\n", "empty"),
        ("cases:\n- {host: a.example, headers: {x: 1}, claims: {a: {b: 1, b: 2}}}\n", "written twice"),
    ] {
        if wanted.is_empty() {
            continue;
        }
        for answer in [diff(POLICY, POLICY, Some(table)), Log::new(table).test(POLICY)] {
            assert_eq!(answer.code, Some(1), "{table}: {}", answer.out);
            assert!(answer.err.contains(wanted), "{table}: {}", answer.err);
            assert!(!answer.err.contains("nor a log"), "{table}: {}", answer.err);
        }
    }
    // Several errors come at once.
    let several = Log::new("cases:\n- {hots: a}\n- {port: x}\n- {expect: 1}\n").test(POLICY);
    assert_eq!(several.err.matches("error:").count(), 3, "{}", several.err);
}

#[test]
fn test_says_what_of_a_log_it_did_not_compare() {
    let refused = access("bot", "no.example", "").replace("via_upstream", "ext_authz_denied");
    let log =
        Log::new([access("bot", "a.example", ""), access("bot", "lost.example", ""), refused].join("\n"));
    let answer = log.test(POLICY);
    assert_eq!(answer.code, Some(1));
    assert!(
        answer.out.contains("FAILED line 2: ")
            && answer.out.ends_with("1 passed, 1 failed, 1 not compared\n"),
        "{}",
        answer.out
    );
    assert!(
        answer.err.contains("3 lines: 3 access log lines")
            && answer.err.contains("not compared, refused by another filter (ext_authz_denied): 1"),
        "{}",
        answer.err
    );
}
