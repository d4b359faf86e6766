//! `egressctl render`: what is committed is what it writes, and mistakes are named.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn egressctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_egressctl")).args(arguments).current_dir(repository()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a gateway file given on standard input comes to.
fn render(short: &str) -> Result<String, String> {
    with_input(&["render", "-"], short)
}

/// What a command writes of its standard input.
fn with_input(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_egressctl"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The gateway files of the scenarios, by name.
fn scenarios() -> Vec<String> {
    let files = fs::read_dir(repository().join("examples/egress")).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().path()).filter(|path| path.is_file()).map(stem).collect();
    names.sort();
    names
}

fn stem(path: PathBuf) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// What a gateway file of the scenarios comes to.
fn rendered(name: &str) -> String {
    let file = format!("examples/egress/{name}.yaml");
    let output = egressctl(&["render", "--workload", "mytest/app=sleep-a:sleep-a", &file]);
    assert!(output.status.success(), "{file}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Alibaba's form of `egress-traffic-policy` says what ours says.
#[test]
fn the_egress_traffic_policy_of_asm_is_ours() {
    let documents = |name: &str| {
        let text = rendered(name);
        let documents = text.split("---\n").map(|document| {
            // Its rules have no names of their own, and it confines only who is named.
            let lines = document.lines().filter(|line| !line.starts_with('#'));
            lines.map(|line| line.replace("httpbin-0-", "httpbin-")).collect::<Vec<_>>().join("\n")
        });
        documents.filter(|document| !document.contains("NetworkPolicy")).collect::<Vec<_>>().join("\n---\n")
    };
    assert_eq!(documents("asm-egress-traffic-policy"), documents("egress-traffic-policy"));
}

#[test]
fn the_folders_in_deploy_are_as_committed() {
    for (short, dir) in [("deploy/egress.yaml", "deploy/istio"), ("deploy/ambient.yaml", "deploy/ambient")] {
        let output = egressctl(&["render", short, "--check", dir]);
        assert!(output.status.success(), "{}`make manifests` writes it anew", text(&output.stderr));
    }
    let output = egressctl(&["render", "deploy/egress.yaml", "--carrier", "traffic-extension"]);
    let committed = fs::read_to_string(repository().join("deploy/istio/traffic-extensions.yaml")).unwrap();
    assert!(text(&output.stdout).contains(&committed), "deploy/istio/traffic-extensions.yaml is another");
}

#[test]
fn check_finds_nothing_in_what_render_writes() {
    let mut manifests: Vec<String> = ["deploy/istio/wasm-plugins.yaml", "deploy/ambient/wasm-plugins.yaml"]
        .map(ToOwned::to_owned)
        .to_vec();
    manifests.extend(["wasmplugin.yaml", "deploy/istio/traffic-extensions.yaml"].map(ToOwned::to_owned));
    let folder = tempfile::tempdir().unwrap();
    assert!(scenarios().len() >= 9, "{:?}", scenarios());
    for name in scenarios() {
        let manifest = folder.path().join(format!("{name}.yaml"));
        fs::write(&manifest, rendered(&name)).unwrap();
        manifests.push(manifest.to_str().unwrap().to_owned());
    }
    for manifest in manifests {
        let gateway =
            if manifest.starts_with("deploy/istio") { "deploy/istio/gateway.yaml" } else { &manifest };
        let output = egressctl(&["check", &manifest, gateway]);
        assert!(output.status.success(), "{manifest}: {}", text(&output.stdout));
        let found = text(&output.stdout);
        assert!(found.contains("0 errors, 0 warnings"), "{manifest}: {found}");
    }
}

#[test]
fn a_folder_that_differs_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    assert!(
        egressctl(&["render", "examples/egress/egress-traffic-policy.yaml", "--out", dir]).status.success()
    );
    assert!(
        egressctl(&["render", "examples/egress/egress-traffic-policy.yaml", "--check", dir]).status.success()
    );
    let plugins = Path::new(dir).join("wasm-plugins.yaml");
    let loosened = fs::read_to_string(&plugins).unwrap().replace("FAIL_CLOSE", "FAIL_OPEN");
    fs::write(&plugins, loosened).unwrap();
    fs::remove_file(Path::new(dir).join("gateway.yaml")).unwrap();
    let output = egressctl(&["render", "examples/egress/egress-traffic-policy.yaml", "--check", dir]);
    assert_eq!(output.status.code(), Some(1));
    let differences = text(&output.stderr);
    assert!(differences.contains("wasm-plugins.yaml: differs from line"), "{differences}");
    assert!(differences.contains("gateway.yaml: is not there"), "{differences}");
}

#[test]
fn each_tls_host_has_a_server_of_its_own() {
    let rendered = render("sites: [{hosts: [a.example.com, b.example.com], over: TLS}]").unwrap();
    let gateway = rendered.split("---\n").find(|document| document.contains("kind: Gateway")).unwrap();
    assert_eq!(gateway.matches("protocol: TLS").count(), 2);
    assert!(gateway.contains("hosts: [a.example.com]") && gateway.contains("hosts: [b.example.com]"));
}

#[test]
fn a_network_plugin_is_on_the_ports_of_tls_only() {
    let rendered = render(
        "sites: [{hosts: [a.example.com], over: TLS}, {hosts: [b.example.com], over: PASSTHROUGH}, {hosts: [a.example.com], over: HTTP}]",
    )
    .unwrap();
    let plugin =
        rendered.split("---\n").find(|document| document.contains("name: egress-authz-network")).unwrap();
    let ports = plugin.split("match:").nth(1).unwrap().split("pluginConfig").next().unwrap();
    assert!(ports.contains("mode: CLIENT"), "{ports}");
    assert!(ports.contains("443") && ports.contains("444") && !ports.contains("number: 80\n"), "{ports}");
}

#[test]
fn json_is_a_list_of_the_same_resources() {
    let output = egressctl(&["render", "examples/egress/egress-traffic-policy.yaml", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let resources = text(&egressctl(&["render", "examples/egress/egress-traffic-policy.yaml"]).stdout)
        .matches("kind: ")
        .count();
    assert_eq!(list["kind"], "List");
    assert!(
        list["items"].as_array().unwrap().len() > 10 && list["items"].as_array().unwrap().len() <= resources
    );
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("{}", "the object is empty"),
        ("confine: [a]", "nothing to route"),
        ("sites: [{hosts: [a.example.com], over: UDP}]", "sites[0].over"),
        ("sites: [{hosts: [a.example.com], ovre: TLS}]", "ovre"),
        ("sites: [{hosts: [], over: TLS}]", "sites[0].hosts"),
        ("sites: [{hosts: ['*.example.com'], over: TLS}]", "config.policies"),
        ("sites: [{hosts: [192.0.2.1], over: TLS}]", "an address"),
        ("sites: [{hosts: [A.example.com], over: TLS}]", "write a.example.com"),
        ("sites: [{hosts: [a.example.com], over: TLS, port: 0}]", "from 1 to 65535"),
        ("sites: [{hosts: [a.example.com], over: TLS, originateTls: true}]", "speaks TLS already"),
        (
            "sites: [{hosts: [a.example.com], over: HTTP}, {hosts: [a.example.com], over: HTTP, port: 8080}]",
            "another port",
        ),
        (
            "sites: [{hosts: [a.example.com], over: TLS}, {hosts: [a.example.com], over: PASSTHROUGH}]",
            "on one port",
        ),
        (
            "sites: [{hosts: [a.example.com], over: HTTP, port: 443}, {hosts: [a.example.com], over: TLS}]",
            "both HTTP and TLS",
        ),
        (
            "rules: [{name: r, from: [{namespace: a}], to: [{hosts: [a.example.com], over: PASSTHROUGH}]}]",
            "no identity",
        ),
        (
            "rules: [{name: r, to: [{hosts: [a.example.com], over: TLS, methods: [GET]}]}]",
            "TLS shows no methods",
        ),
        ("rules: [{name: R, to: [{hosts: [a.example.com], over: TLS}]}]", "rules[0].name"),
        ("rules: [{name: r, to: []}]", "rules[0].to: the list is empty"),
        (
            "{sites: [{hosts: [a.example.com], over: TLS}], config: {defaultAction: MAYBE}}",
            "config.defaultAction",
        ),
        ("{sites: [{hosts: [a.example.com], over: TLS}], config: {type: HTTP}}", "config.type"),
        (
            "rules: [{name: r, from: [{namespace: a, serviceAccounts: ['*']}], to: [{hosts: [a.example.com], over: TLS}]}]",
            "leave `serviceAccounts` out to mean all",
        ),
        (
            "rules: [{name: r, from: [{namespace: a, serviceAccounts: [b/c]}], to: [{hosts: [a.example.com], over: TLS}]}]",
            "rules[0].from[0].serviceAccounts[0]",
        ),
        (
            "rules: [{name: r, to: [{hosts: [b.example.com], over: TLS}, {hosts: [a.example.com], over: HTTP, methods: [get]}]}]",
            "rules[0].to[1].methods[0]",
        ),
        ("sites: [{hosts: 'a.example, b.example', over: TLS}]", r#"write ["a.example", "b.example"]"#),
        ("sites: [{hosts: [my_db.example.com], over: TLS}]", "Istio takes no underscore in a host"),
        ("sites: [{hosts: [intranet], over: HTTP}]", "Istio takes no short name"),
        ("sites: [{hosts: [-a.example.com], over: HTTP}]", "begins and ends with a letter or digit"),
        ("sites: [{hosts: [bücher.example], over: HTTP}]", "write `xn--bcher-kva.example`"),
        ("sites: [{hosts: ['a.example.com:8080'], over: HTTP}]", "the port goes under `port`"),
        ("{gateway: {name: My_Gateway}, sites: [{hosts: [a.example.com], over: HTTP}]}", "gateway.name"),
        ("{gateway: {namespace: a.b}, sites: [{hosts: [a.example.com], over: HTTP}]}", "gateway.namespace"),
        (
            "{gateway: {selector: {istio: 'a b'}}, sites: [{hosts: [a.example.com], over: HTTP}]}",
            "no pod can have",
        ),
        ("{gateway: {image: 'docker://x'}, sites: [{hosts: [a.example.com], over: HTTP}]}", "write oci://"),
        (
            "{gateway: {kind: WAYPOINT, selector: {a: b}}, sites: [{hosts: [a.example.com], over: HTTP}]}",
            "not used for a waypoint",
        ),
        (
            "{gateway: {kind: WAYPOINT}, sites: [{hosts: [a.example.com], over: PASSTHROUGH}]}",
            "a waypoint knows who is asking",
        ),
    ];
    for (short, wanted) in cases {
        let refused = render(short).unwrap_err();
        assert!(refused.contains(wanted), "{short}: {refused}");
    }
}

/// What would say "everybody" or lose a policy by a slip is an error, with its line and the repair; all at once.
#[test]
fn a_slip_never_widens_a_gateway_file() {
    const SITE: &str = "to: [{hosts: [a.example], over: HTTP}]";
    let rule = |from: &str| format!("rules: [{{name: r, {from}, {SITE}}}]");
    let config = |config: &str| format!("{{sites: [{{hosts: [a.example], over: HTTP}}], config: {config}}}");
    let cases = [
        (rule("from: []"), "rules[0].from: the list is empty"),
        (rule("from: ~"), "rules[0].from: null is not a value"),
        (rule("from: {namespace: shop}"), "begin each entry with `- `"),
        (rule("from: [{namespace: shop, serviceAccounts: []}]"), "rules[0].from[0].serviceAccounts"),
        (rule("from: [{namespace: shop, serviceAccounts: cart}]"), "write [\"cart\"]"),
        (rule("form: [{namespace: shop}]"), "write `from`"),
        (rule("from: [{namespace: shop}], from: [{namespace: cart}]"), "written twice"),
        (rule("from: [{namespace: no}]"), "kubectl reads no as a boolean"),
        (rule("from: [{namespace: \"{{ .Release.Namespace }}\"}]"), "template that was not rendered"),
        (config("~"), "config: null is not a value"),
        (config("[]"), "config: an object is wanted here"),
        (config("{policies: {name: a, action: DENY}}"), "config.policies: a list is wanted here"),
        (config("{policies: a}"), "config.policies: a list is wanted here"),
        (
            config("{policies: [{name: a}], policies: [{name: b, action: DENY, rules: [{}]}]}"),
            "config.policies: the key is written",
        ),
        (config("{hostSets: {x: []}}"), "config.hostSets.x: the list is empty"),
        (
            "sites: [{hosts: [a.example], over: HTTP}]\n---\nsites: [{hosts: [b.example], over: HTTP}]"
                .to_owned(),
            "begins another",
        ),
        (
            "{{- if .Values.egress }}\nsites: []\n{{- end }}".to_owned(),
            "{{- if .Values.egress }}: this is a template",
        ),
    ];
    for (file, wanted) in cases {
        let refused = render(&file).unwrap_err();
        assert!(refused.contains(wanted), "{file}: {refused}");
        assert!(refused.contains("<stdin>:"), "no line in: {refused}");
    }
    let two = render(
        "{sites: [{hosts: [], over: HTTP}], rules: [{name: r, from: [], to: [{hosts: a, over: TSL}]}]}",
    );
    let refused = two.unwrap_err();
    for wanted in ["sites[0].hosts", "rules[0].from", "rules[0].to[0].hosts", "write TLS"] {
        assert!(refused.contains(wanted), "{wanted} is not among: {refused}");
    }
}

/// A DENY of `config` is in what is rendered, whatever stands beside it; so is what a merge key brings.
#[test]
fn a_deny_is_never_lost() {
    let file = "
x: &deny {action: DENY, rules: [{from: [{source: {namespaces: [shop]}}]}]}
";
    assert!(render(file).unwrap_err().contains("unknown key"));
    let file = "
rules:
- &base
  name: one
  from: [{namespace: shop}]
  to: [{hosts: [a.example], over: HTTP}]
- <<: *base
  name: two
  to: [{hosts: [b.example], over: HTTP}]
config:
  policies:
  - &deny {name: no-cart, action: DENY, rules: [{from: [{source: {namespaces: [cart]}}]}]}
  - {<<: *deny, name: no-blog}
";
    let rendered = render(file).unwrap();
    assert_eq!(rendered.matches("action: DENY").count(), 2);
    let two = rendered.split("name: two-http").nth(1).unwrap();
    assert!(two.trim_start().starts_with("namespace: shop"), "the second rule is for everybody");
}

/// What selects the pods follows the gateway's name: routes to one gateway and a filter on another would let everything pass.
#[test]
fn the_filter_is_on_the_gateway_that_is_named() {
    let rendered = render("{gateway: {name: egress-b}, sites: [{hosts: [a.example], over: TLS}]}").unwrap();
    assert!(rendered.contains("host: egress-b.istio-system.svc.cluster.local"));
    assert!(rendered.contains("istio: egress-b") && !rendered.contains("istio: egressgateway"), "{rendered}");
    let asm = asm("{name: gateway-7}", "istio-egress", "{number: 80, protocol: HTTP}", 80);
    let rendered = render(&asm).unwrap();
    assert!(
        rendered.contains("istio: gateway-7") && !rendered.contains("istio: egressgateway"),
        "{rendered}"
    );
    // Where that product wants the object says nothing of the gateway: there is a warning until somebody says it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asm.yaml");
    fs::write(&path, &asm).unwrap();
    let path = path.to_str().unwrap();
    let told = text(&egressctl(&["render", path]).stderr);
    assert!(told.contains("metadata.namespace") && told.contains("--gateway-namespace"), "{told}");
    let output = egressctl(&["render", path, "--gateway-namespace", "istio-egress"]);
    assert!(
        output.stderr.is_empty() && text(&output.stdout).contains("host: gateway-7.istio-egress.svc"),
        "{output:?}"
    );
}

fn asm(gateway: &str, namespace: &str, port: &str, gateway_port: u16) -> String {
    format!(
        "apiVersion: istio.alibabacloud.com/v1beta1
kind: ASMEgressTrafficPolicy
metadata: {{name: g, namespace: {namespace}}}
spec:
  byEgressGateway: {gateway}
  egressRules:
  - from: [{{namespace: shop}}]
    to: [{{hosts: [pay.example], port: {port}, byEgressGateway: {{port: {gateway_port}}}}}]
"
    )
}

/// What is not used of an ASMEgressTrafficPolicy is an error with its line.
#[test]
fn nothing_of_an_egress_traffic_policy_is_passed_over() {
    const GATEWAY: &str = "{name: istio-egressgateway}";
    const PORT: &str = "{number: 80, protocol: HTTP}";
    let good = asm(GATEWAY, "istio-system", PORT, 80);
    render(&good).unwrap();
    let cases = [
        (asm("{}", "istio-system", PORT, 80), "the object is empty"),
        (
            asm("{name: a, labels: {x: y}}", "istio-system", PORT, 80),
            "spec.byEgressGateway.labels: unknown key",
        ),
        (asm(GATEWAY, "payments", PORT, 80), "metadata.namespace"),
        (asm(GATEWAY, "istio-system", PORT, 8080), "write 80"),
        (asm(GATEWAY, "istio-system", "{number: 443, protocol: TLS}", 80), "write 443"),
        (asm(GATEWAY, "istio-system", "{number: 5432, protocol: TCP}", 443), "no name to go by"),
        (
            good.replace("namespace: shop", "namespace: shop, workloadSelector: {}"),
            "workloadSelector: the object is empty",
        ),
        (good.replace("namespace: shop", "namespace: shop, workloadSelector: ~"), "workloadSelector: null"),
        (good.replace("from: [{namespace: shop}]", "from: []"), "from: the list is empty"),
        (good.replace("spec:", "spce:"), "write `spec`"),
        (good.replace("number: 80", "number: 80, targetPort: 81"), "port.targetPort: unknown key"),
    ];
    for (file, wanted) in cases {
        let refused = render(&file).unwrap_err();
        assert!(refused.contains(wanted), "{file}: {refused}");
    }
}

/// Labels are no identity: nothing is guessed, and nobody is let in by a guess.
#[test]
fn a_workload_selector_needs_to_be_told() {
    let output = egressctl(&["render", "examples/egress/asm-egress-traffic-policy.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let refused = text(&output.stderr);
    assert!(
        refused.contains("app=sleep-a") && refused.contains("--workload mytest/app=sleep-a:"),
        "{refused}"
    );
    assert!(text(&output.stdout).is_empty());
}

/// One switch, and refusals are those that docs/language.md shows; without it nothing is said of them.
#[test]
fn problem_details_are_one_switch() {
    let file = |more: &str| format!("rules: [{{name: a, to: [{{hosts: [a.example], over: HTTP}}]}}]\n{more}");
    let plain = render(&file("")).unwrap();
    assert!(!plain.contains("denyResponse"), "{plain}");
    assert_eq!(render(&file("problemDetails: false")).unwrap(), plain);

    let page = fs::read_to_string(repository().join("docs/language.md")).unwrap();
    let shown = page.split("```yaml\n").find(|block| block.contains("contentType: application/problem+json"));
    let shown = shown.unwrap().split("```").next().unwrap();
    let body = |arguments: &[&str], input: &str, pointer: &str| -> serde_json::Value {
        let json: serde_json::Value = serde_json::from_str(&with_input(arguments, input).unwrap()).unwrap();
        let items = json["items"].as_array().cloned().unwrap_or_else(|| vec![json.clone()]);
        let mut bodies = items.iter().filter_map(|item| item.pointer(pointer)?.as_str());
        serde_json::from_str(bodies.next().unwrap()).unwrap()
    };
    let input = file("problemDetails: true");
    let written = body(&["render", "-", "--format", "json"], &input, "/spec/pluginConfig/denyResponse/body");
    assert_eq!(written, body(&["unpack", "-", "--format", "json"], shown, "/denyResponse/body"));
    let said = render(&file("problemDetails: true\nconfig: {denyResponse: {status: 451}}")).unwrap_err();
    assert!(said.contains("keep one of them") && said.contains("<stdin>:2:"), "{said}");
    let said = render(&file("problemDetails: yes please")).unwrap_err();
    assert!(said.contains("problemDetails: true or false is wanted"), "{said}");
}
