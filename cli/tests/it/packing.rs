//! `egressctl pack` and `unpack`: what stands beside a configuration comes back byte for byte.

use crate::common::{egressctl, text};
use std::io::Write as _;
use std::process::Stdio;

/// What a command makes of a text; `Err` where it fails.
fn run(arguments: &[&str], file: &str) -> Result<String, String> {
    let mut command = egressctl(arguments);
    let mut child =
        command.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A manifest in pieces: before, the configuration, behind. Everything that readers of YAML take for something else stands beside it.
const MANIFESTS: [(&str, &str, &str); 6] = [
    (
        "# A comment.\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata:\n  name: a\n  namespace: istio-system\n  labels: {on: yes, \"off\": 'no', n: y}\n  annotations:\n    number: 9007199254740993\n    octal: 0755\n    date: 2026-12-31\n    text: |+\n      kept\n\n\nspec:\n  url:   oci://x   # spaces\n  pluginConfig:",
        "\n    policies:\n    - name: a\n      rules: [{to: [{operation: {hosts: [a.example]}}]}]",
        "\n\n  # Behind it.\n  type: HTTP\n  priority: 12345678901234567\n",
    ),
    (
        "kind: TrafficExtension\napiVersion: extensions.istio.io/v1alpha1\nmetadata: {name: a}\nspec:\n  wasm:\n    pluginConfig:",
        "\n      denyResponse:\n        body: |\n          no\n      policies: [{name: a}]",
        "   # the end\n    url: oci://x\n",
    ),
    (
        "{\"apiVersion\": \"extensions.istio.io/v1alpha1\", \"kind\": \"WasmPlugin\",\n\t\"metadata\": {\"name\": \"a\", \"generation\": 18014398509481985},\n\t\"spec\": {\"pluginConfig\":",
        " {\"policies\": [{\"name\": \"a\"}]}",
        ", \"url\": \"oci://\\u0085x\"}}",
    ),
    (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  data: {a: 0o17, b: 1_000}\n- apiVersion: extensions.istio.io/v1alpha1\n  kind: WasmPlugin\n  metadata: {name: a}\n  spec:\n    pluginConfig:",
        " {policies: [{name: a}]}",
        "\n",
    ),
    (
        "kind: WasmPlugin\r\napiVersion: extensions.istio.io/v1alpha1\r\nspec:\r\n  pluginConfig:",
        "\r\n    policies: [{name: a}]",
        "\r\n  url: x\r\n",
    ),
    (
        "kind: WasmPlugin\napiVersion: extensions.istio.io/v1alpha1\nmetadata: {labels: &l {a: b}, annotations: {<<: *l}}\nspec:\n  \"pluginConfig\" :",
        "\n    hostSets: &s {x: [x.example]}\n    policies:\n    - {name: a, rules: [{to: [{operation: {hosts: ['@x']}}]}]}",
        "\n---\n# Nothing of ours.\nkind: Service\napiVersion: v1\nspec: {ports: [{port: 0443}]}\n",
    ),
];

#[test]
fn what_stands_beside_it_stays_byte_for_byte() {
    for (before, config, behind) in MANIFESTS {
        let whole = format!("{before}{config}{behind}");
        let packed = run(&["pack"], &whole).unwrap();
        let inner = packed.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
        let inner = inner.unwrap_or_else(|| panic!("something else changed:\n{whole}\n{packed}"));
        assert!(inner.contains("bundle") && !inner.contains("policies"), "{inner}");
        let unpacked = run(&["unpack"], &packed).unwrap();
        assert!(unpacked.starts_with(before) && unpacked.ends_with(behind), "{unpacked}");
        // The same configuration packs to the same bytes, and again.
        assert_eq!(run(&["pack"], &unpacked).unwrap(), packed);
        assert_eq!(run(&["pack"], &packed).unwrap(), packed);
        // What is not packed is not touched by unpacking.
        assert_eq!(run(&["unpack"], &whole).unwrap(), whole);
    }
}

#[test]
fn what_cannot_be_changed_alone_is_an_error() {
    let shared = "\
kind: WasmPlugin
apiVersion: extensions.istio.io/v1alpha1
spec:
  pluginConfig: &config {policies: [{name: a}]}
";
    // An anchor that nobody uses is no obstacle.
    run(&["pack"], shared).unwrap();
    let used = "\
kind: WasmPlugin
apiVersion: extensions.istio.io/v1alpha1
spec:
  pluginConfig: {policies: &p [{name: a}]}
  url: {copy: *p}
";
    let refused = run(&["pack"], used).unwrap_err();
    assert!(refused.contains("cannot be changed alone") && refused.contains(":4:"), "{refused}");
}

#[test]
fn json_keeps_every_number_or_is_refused() {
    let (before, config, behind) = MANIFESTS[0];
    let refused = run(&["pack", "--format", "json"], &format!("{before}{config}{behind}")).unwrap_err();
    assert!(refused.is_empty(), "findings of --format json are the result: {refused}");
    let (before, config, behind) = MANIFESTS[3];
    let json = run(&["pack", "--format", "json"], &format!("{before}{config}{behind}")).unwrap();
    assert!(json.contains("\"bundle\""), "{json}");
}
