//! The strict reader at the door of every command that reads manifests and configurations.

use crate::common::{egressctl, text};
use std::io::Write as _;
use std::process::Stdio;

/// What `check` says of a text, and whether it is content.
fn check(file: &str) -> (bool, String) {
    let mut child = egressctl(&["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), text(&output.stdout))
}

const PLUGIN: &str = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: a, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: egressgateway}}
  url: oci://registry.example/egress-authz:1
  phase: AUTHZ
  pluginConfig:
    policies: [{name: p, action: DENY, rules: [{to: [{operation: {hosts: [a.example]}}]}]}]
";

#[test]
fn a_key_written_twice_is_an_error_wherever_it_stands() {
    assert!(check(PLUGIN).0, "{}", check(PLUGIN).1);
    for (damage, path) in [
        ("spec:\n", "metadata"),
        ("  phase: AUTHZ\n", "spec.phase"),
        ("  selector: {matchLabels: {istio: egressgateway}}\n", "spec.selector"),
    ] {
        let doubled = match damage {
            "spec:\n" => PLUGIN.replace(damage, &format!("metadata: {{name: b}}\n{damage}")),
            line => PLUGIN.replace(line, &format!("{line}{line}")),
        };
        let (fine, said) = check(&doubled);
        assert!(!fine && said.contains(&format!("{path}: the key is written twice")), "{path}: {said}");
    }
    // The second of two configurations is not lost.
    let (fine, said) = check(&format!("{PLUGIN}  pluginConfig: {{}}\n"));
    assert!(!fine && said.contains("spec.pluginConfig: the key is written twice"), "{said}");
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a, name: b}\n";
    let (fine, said) = check(&format!("{PLUGIN}---\n{service}"));
    assert!(!fine && said.contains("metadata.name: the key is written twice"), "{said}");
}

#[test]
fn nothing_of_a_list_is_lost() {
    let list = |items: &str| format!("apiVersion: v1\nkind: List\nitems: {items}\n---\n{PLUGIN}");
    assert!(check(&list("[]")).0);
    for (items, wanted) in [
        ("{kind: WasmPlugin}", "items: a list is wanted here"),
        ("~", "items: null is not a value"),
        ("a", "items: a list is wanted here"),
        ("[]\nitems: [{policies: []}]", "items: the key is written twice"),
    ] {
        let (fine, said) = check(&list(items));
        assert!(!fine && said.contains(wanted), "{items}: {said}");
    }
    let (fine, said) = check(&PLUGIN.replace("extensions.istio.io", "extension.istio.io"));
    assert!(!fine && said.contains("write extensions.istio.io/v1alpha1"), "{said}");
}

#[test]
fn a_template_is_named_wherever_it_stands() {
    for (file, template) in [
        ("{{- if .Values.x }}\npolicies: []\n{{- end }}\n", "{{- if .Values.x }}"),
        ("policies:\n- name: {{ .Values.name }}\n", "{{ .Values.name }}"),
        ("policies:\n- name: \"{{ .Release.Name }}-x\"\n", "{{ .Release.Name }}"),
        ("policies: [{name: a, rules: [{to: [{operation: {hosts: [\"${HOST}\"]}}]}]}]\n", "${HOST}"),
        ("# {{ a comment }}\npolicies: [{name: a, namespace: \"$(NS)\", rules: [{}]}]\n", ""),
    ] {
        let (fine, said) = check(file);
        assert!(!fine, "{said}");
        let told = said.contains("template that was not rendered") && said.contains(template);
        assert_eq!(told, !template.is_empty(), "{file}: {said}");
    }
}

/// Two documents, aliases and merge keys are read for every command alike.
#[test]
fn a_deny_by_merge_key_denies() {
    let file = "\
policies:
- &base
  name: a
  action: DENY
  rules: [{to: [{operation: {hosts: [a.example]}}]}]
- <<: *base
  name: b
  rules: [{to: [{operation: {hosts: [b.example]}}]}]
- name: all
  rules: [{}]
";
    for (host, code) in [("a.example", 2), ("b.example", 2), ("c.example", 0)] {
        let mut child =
            egressctl(&["explain", "-", "--host", host, "--principal", "cluster.local/ns/x/sa/y"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
        child.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{host}");
    }
}

/// What is no YAML is said in our words, with a repair.
#[test]
fn no_librarys_words_reach_a_user() {
    for file in
        ["a: b: c", "a:\n\t- b", "a: [1", "a: *x", "a: \"\\q\"", "- a\nb: c", "a: @b", "]", "a: !!binary x"]
    {
        let (fine, said) = check(file);
        assert!(!fine && said.contains("help: "), "{file}: {said}");
        for words in [
            "while parsing",
            "while scanning",
            "did not find",
            "not allowed in this context",
            "scalar",
            "mapping",
            "token",
        ] {
            assert!(!said.contains(words), "{file}: {said}");
        }
    }
}

/// Nobody reads a million errors, and a hostile file has them: of each file so many are shown, and the rest is counted.
#[test]
fn very_many_errors_are_counted() {
    let keys: String = (0..10_050).map(|at| format!("k{at}: 1\n")).collect();
    let (_, said) = check(&keys);
    assert!(
        said.contains("50 more errors are not shown") && said.contains("k9999: unknown key"),
        "{}",
        said.len()
    );
    assert!(!said.contains("k10000: "));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    let wrong: String =
        (0..10_020).map(|at| format!("- {{hosts: [a_{at}.example], over: HTTP}}\n")).collect();
    std::fs::write(&path, format!("sites:\n{wrong}")).unwrap();
    let output = egressctl(&["render", path.to_str().unwrap()]).output().unwrap();
    assert!(text(&output.stderr).contains("20 more errors are not shown"));
    let unknown = wrong.replace("over", "ovre").replace(": HTTP", ": HTTP, x: 1");
    std::fs::write(&path, format!("sites:\n{unknown}")).unwrap();
    let output = egressctl(&["render", path.to_str().unwrap()]).output().unwrap();
    // Three of each: two keys that nobody knows, and one that is missing.
    assert!(text(&output.stderr).contains("20060 more errors are not shown"));
}
