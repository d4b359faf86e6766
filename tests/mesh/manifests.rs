//! Every manifest of the repository, as the API server, istiod and `istioctl` see it; and what they say of broken ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context as _, Result, bail, ensure};
use egress_lab::client::http::Ask;
use egress_lab::client::{Stream, Tls};
use egress_lab::paths::repo_dir;
use egress_mesh::manifests::{egressctl, parse};
use egress_mesh::mesh::{Mesh, Options};
use egress_mesh::netns::within;
use egress_mesh::place::HUB;
use egress_mesh_tests::{authority, rendered, scratch};
use egress_tests::tests;
use serde_json::{Value, json};

/// istiod's port for the webhooks that an API server calls.
const WEBHOOK: ([u8; 4], u16) = ([127, 0, 0, 1], 15017);

fn main() -> ExitCode {
    egress_mesh_tests::run(
        start,
        tests![
            the_api_server_takes_every_manifest,
            istiods_webhook_takes_every_manifest,
            istioctl_validate_takes_every_manifest,
            istioctl_analyze_finds_nothing,
            broken_manifests_are_refused,
            istio_takes_what_is_rendered_of_any_hosts,
            kubectl_reads_every_string_as_it_was_written,
        ],
    )
}

fn start() -> Result<Mesh> {
    let mesh = Mesh::start(&Options::with_workloads(&[])?)?;
    let crds = gateway_api()?.join("config/crd/standard");
    mesh.kubectl().run(&[
        "apply",
        "--server-side",
        "-f",
        crds.to_str().context("a path that is no text")?,
    ])?;
    mesh.kubectl().run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
    // A dry run creates nothing, the namespaces neither in which the rest of it would be.
    let mut namespaces = Vec::new();
    for (_, documents) in manifests()? {
        for document in documents {
            let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
            let place = if kind == "Namespace" { "/metadata/name" } else { "/metadata/namespace" };
            if let Some(name) = document.pointer(place) {
                namespaces.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
            }
        }
    }
    mesh.kubectl().apply_by_server(&namespaces)?;
    Ok(mesh)
}

/// The module of the Gateway API, whose resources Istio's own files do not have.
fn gateway_api() -> Result<PathBuf> {
    let mut command = Command::new("go");
    command.args(["mod", "download", "-json", "sigs.k8s.io/gateway-api"]);
    let output = command.current_dir(repo_dir()?.join("lab/mesh/programs/istio")).output()?;
    let json: Value = serde_json::from_slice(&output.stdout)?;
    json.get("Dir").and_then(Value::as_str).map(PathBuf::from).context("go names no folder")
}

/// The folder of what the gateway files of the examples come to.
const RENDERED: &str = "rendered-examples";

/// Renders the gateway files of the examples. Returns the files.
fn rendered_examples() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RENDERED);
    fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(repo_dir()?.join("examples/egress"))? {
        let gateway_file = entry?.path();
        let output = Command::new(egressctl()?)
            .args(["render", "--workload", "mytest/app=sleep-a:sleep-a"])
            .arg(&gateway_file)
            .output()?;
        ensure!(output.status.success(), "{}: {}", gateway_file.display(), said(&output));
        let file = folder.join(gateway_file.file_name().context("a file's name")?);
        fs::write(&file, output.stdout)?;
        files.push(file);
    }
    Ok(files)
}

/// Every manifest of the repository, and what the examples come to, by its file; a kustomization is none, nor are the gateway files of `egressctl render` and
/// the rules of Prometheus.
fn manifests() -> Result<Vec<(PathBuf, Vec<Value>)>> {
    let repository = repo_dir()?;
    let mut files = vec![repository.join("wasmplugin.yaml")];
    for dir in ["deploy", "deploy/istio", "deploy/ambient", "tests/istio"] {
        for entry in fs::read_dir(repository.join(dir))? {
            files.push(entry?.path());
        }
    }
    files.extend(rendered_examples()?);
    files.sort();
    let mut manifests = Vec::new();
    for file in files {
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let documents = parse(&fs::read_to_string(&file)?).with_context(|| file.display().to_string())?;
        let own = |document: &Value| {
            let version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
            !version.is_empty() && !version.starts_with("kustomize.")
        };
        // A `List`, as `kubectl get` writes it, is what it holds.
        let documents: Vec<Value> = documents
            .into_iter()
            .flat_map(|document| match document.get("items").and_then(Value::as_array) {
                Some(items) => items.clone(),
                None => vec![document],
            })
            .collect();
        if !documents.is_empty() && documents.iter().all(own) {
            manifests.push((file, documents));
        }
    }
    ensure!(manifests.len() >= 25, "{} manifests", manifests.len());
    Ok(manifests)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// As `kubectl apply` would, without doing it: schemas, admission and unknown fields.
fn apply_in_dry_run(mesh: &Mesh, documents: &[Value]) -> Result<Output> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string();
    let arguments =
        ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"];
    mesh.kubectl().output(&arguments, &list)
}

fn the_api_server_takes_every_manifest(mesh: &mut Mesh) -> Result<()> {
    let mut kinds = BTreeSet::new();
    for (file, documents) in manifests()? {
        let output = apply_in_dry_run(mesh, &documents)?;
        ensure!(output.status.success(), "{}: {}", file.display(), said(&output));
        kinds.extend(
            documents.iter().filter_map(|document| document.get("kind")?.as_str().map(ToOwned::to_owned)),
        );
    }
    for kind in
        ["WasmPlugin", "TrafficExtension", "EnvoyFilter", "NetworkPolicy", "AuthorizationPolicy", "Gateway"]
    {
        ensure!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
    Ok(())
}

/// What istiod's admission webhook says to a document; none where it is content.
fn istiod_refuses(mesh: &Mesh, document: &Value) -> Result<Option<String>> {
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE",
            "kind": {"group": group, "version": version, "kind": kind},
            "namespace": document.pointer("/metadata/namespace"), "name": document.pointer("/metadata/name"),
            "object": document,
        },
    });
    let ca = authority::of_mesh(mesh)?;
    let answer = within(HUB, || {
        let tls = Tls::mesh(&ca, None, Some("istiod.istio-system.svc"))?;
        let ask = Ask::parse("POST https://istiod.istio-system.svc/validate")?
            .header("content-type", "application/json")
            .with_body(review.to_string());
        Stream::connect(WEBHOOK.into())?.tls(&tls)?.http1(&ask)
    })?;
    ensure!(answer.status == 200, "istiod answers {}: {}", answer.status, answer.text());
    let response = answer.json();
    match response.pointer("/response/allowed").and_then(Value::as_bool) {
        Some(true) => Ok(None),
        Some(false) => {
            Ok(Some(response.pointer("/response/status/message").map(Value::to_string).unwrap_or_default()))
        }
        None => bail!("istiod says neither: {response}"),
    }
}

fn is_istios(document: &Value) -> bool {
    document.get("apiVersion").and_then(Value::as_str).is_some_and(|version| version.contains(".istio.io/"))
}

fn istiods_webhook_takes_every_manifest(mesh: &mut Mesh) -> Result<()> {
    let mut asked = 0;
    for (file, documents) in manifests()? {
        for document in documents.iter().filter(|document| is_istios(document)) {
            let refused = istiod_refuses(mesh, document)?;
            ensure!(refused.is_none(), "{}: {}", file.display(), refused.unwrap_or_default());
            asked += 1;
        }
    }
    ensure!(asked >= 50, "{asked} documents");
    Ok(())
}

/// What is said of each EnvoyFilter, whatever is in it.
const OF_EVERY_ENVOY_FILTER: &str = "EnvoyFilter exposes internal implementation details";

fn istioctl(mesh: &Mesh, arguments: &[&str], files: &[&Path]) -> Result<Output> {
    Ok(Command::new(mesh.programs().istioctl())
        .args(arguments)
        .args(files)
        .env("HOME", scratch()?)
        .output()?)
}

fn istioctl_validate_takes_every_manifest(mesh: &mut Mesh) -> Result<()> {
    for (file, _) in manifests()? {
        let output = istioctl(mesh, &["validate", "-f"], &[&file])?;
        let said = said(&output);
        ensure!(output.status.success(), "{}: {said}", file.display());
        let warnings =
            said.lines().filter(|line| line.contains("* ") && !line.contains(OF_EVERY_ENVOY_FILTER));
        let warnings: Vec<&str> = warnings.collect();
        // Istio advises against a DENY by host, as TCP servers refuse everything by it: `tests/istio/` has them to be imported.
        let shipped = !file.parent().is_some_and(|dir| dir.ends_with("tests/istio"));
        ensure!(warnings.is_empty() || !shipped, "{}: {warnings:?}", file.display());
    }
    Ok(())
}

fn istioctl_analyze_finds_nothing(mesh: &mut Mesh) -> Result<()> {
    let all = manifests()?;
    let of = |dir: &str| -> Vec<&Path> {
        all.iter()
            .map(|(file, _)| file.as_path())
            .filter(|file| file.parent().is_some_and(|own| own.ends_with(dir)))
            .collect()
    };
    // What is applied together is looked at together; the rendered examples are wholes of their own.
    let mut sets = vec![of("deploy/istio"), of("deploy/ambient")];
    sets.extend(of(RENDERED).into_iter().map(|file| vec![file]));
    for files in sets {
        ensure!(!files.is_empty(), "an empty set");
        let mut arguments = vec![
            "analyze",
            "--use-kube=false",
            "--namespace",
            "istio-system",
            "--failure-threshold",
            "Warning",
        ];
        // What is said of each EnvoyFilter, whatever is in it.
        arguments.extend(["--suppress", "IST0133=EnvoyFilter *"]);
        let output = istioctl(mesh, &arguments, &files)?;
        ensure!(output.status.success(), "{files:?}: {}", said(&output));
    }
    Ok(())
}

/// Who refuses a broken manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The API server, by its schemas.
    ApiServer,
    /// What only Istio knows: its webhook, and `istioctl validate`.
    Istio,
}

/// File, what is in it, what is put in its place, who refuses it.
const BROKEN: [(&str, &str, &str, By); 8] = [
    ("deploy/istio/wasm-plugins.yaml", "failStrategy: FAIL_CLOSE", "failStrategy: FAIL_SHUT", By::ApiServer),
    ("deploy/istio/wasm-plugins.yaml", "imagePullPolicy:", "imagePolicy:", By::ApiServer),
    ("deploy/istio/traffic-extensions.yaml", "phase: AUTHZ", "phaze: AUTHZ", By::ApiServer),
    ("deploy/istio/gateway.yaml", "mode: PASSTHROUGH", "mode: PASSTHRU", By::ApiServer),
    ("deploy/istio/network-policies.yaml", "policyTypes: [Egress]", "policyTypes: Egress", By::ApiServer),
    ("deploy/istio/wasm-plugins.yaml", "url: \"oci://", "url: \"ftp://", By::Istio),
    ("deploy/istio/service-entries.yaml", "hosts: [httpbin.org]", "hosts: [\"*\"]", By::Istio),
    (
        "deploy/istio/virtual-services.yaml",
        "sniHosts: [www.httpbin.org]",
        "sniHosts: [www.other.org]",
        By::Istio,
    ),
];

fn broken_manifests_are_refused(mesh: &mut Mesh) -> Result<()> {
    let mut wrong = Vec::new();
    for (file, right, broken, by) in BROKEN {
        let text = fs::read_to_string(repo_dir()?.join(file))?;
        ensure!(text.contains(right), "{file} has no {right}");
        let text = text.replacen(right, broken, 1);
        let documents = parse(&text)?;
        let path = scratch()?.join("broken.yaml");
        fs::write(&path, &text)?;
        let by_api = !apply_in_dry_run(mesh, &documents)?.status.success();
        let by_istioctl = !istioctl(mesh, &["validate", "-f"], &[&path])?.status.success();
        let mut by_istiod = false;
        for document in documents.iter().filter(|document| is_istios(document)) {
            by_istiod |= istiod_refuses(mesh, document)?.is_some();
        }
        let seen = match by {
            By::ApiServer => by_api,
            By::Istio => by_istioctl && by_istiod,
        };
        eprintln!(
            "{broken}: API server {by_api}, istioctl validate {by_istioctl}, istiod's webhook {by_istiod}"
        );
        if !seen {
            wrong.push(format!("{file} with {broken} is not refused by {by:?}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A generator that needs no seed from outside: a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % sides
    }

    fn text(&mut self, alphabet: &[&str], longest: usize) -> String {
        (0..=self.roll(longest)).filter_map(|_| alphabet.get(self.roll(alphabet.len())).copied()).collect()
    }
}

/// Hosts of every length, with dashes and underscores where they may and may not be: what `render` takes, Istio takes.
fn istio_takes_what_is_rendered_of_any_hosts(mesh: &mut Mesh) -> Result<()> {
    const ALPHABET: [&str; 8] = ["a", "b", "0", "-", "a", "b", "1", "_"];
    let mut dice = Dice(11);
    let mut sites: Vec<Value> = Vec::new();
    let mut hosts = BTreeSet::new();
    while sites.len() < 150 {
        let longest = if dice.roll(4) == 0 { 70 } else { 4 };
        let labels: Vec<String> = (0..=dice.roll(4)).map(|_| dice.text(&ALPHABET, longest)).collect();
        let host = labels.join(".");
        let over = ["HTTP", "TLS", "PASSTHROUGH"].get(dice.roll(3)).copied().unwrap_or("TLS");
        let site = json!({"hosts": [host], "over": over});
        if rendered(mesh, &json!({"sites": [site]})).is_ok() && hosts.insert(host) {
            sites.push(site);
        }
    }
    let documents = rendered(mesh, &json!({"sites": sites}))?;
    let path = scratch()?.join("hosts.json");
    fs::write(&path, json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string())?;
    let output = istioctl(mesh, &["validate", "-f"], &[&path])?;
    ensure!(output.status.success(), "{}", said(&output));
    for document in documents.iter().filter(|document| is_istios(document)) {
        let refused = istiod_refuses(mesh, document)?;
        ensure!(refused.is_none(), "{}: {document}", refused.unwrap_or_default());
    }
    Ok(())
}

/// What `egressctl` writes, kubectl's parser (sigs.k8s.io/yaml, which speaks YAML 1.1) reads as the same strings.
/// A JSON text with every character beyond printable ASCII escaped: what YAML does not take as it is.
fn in_ascii(json: &str) -> String {
    let mut text = String::new();
    for unit in json.encode_utf16() {
        match char::from_u32(u32::from(unit)).filter(|c| c.is_ascii_graphic() || *c == ' ') {
            Some(c) => text.push(c),
            None => text.push_str(&format!("\\u{unit:04x}")),
        }
    }
    text
}

fn kubectl_reads_every_string_as_it_was_written(mesh: &mut Mesh) -> Result<()> {
    const ALPHABET: [&str; 24] = [
        "a",
        "0",
        "1",
        "_",
        "-",
        ".",
        ":",
        " ",
        "#",
        "'",
        "\"",
        "\\",
        "\n",
        "\t",
        "\u{7f}",
        "\u{85}",
        "\u{1b}",
        "\u{2028}",
        "\u{feff}",
        "\u{e9}",
        "\u{1f600}",
        "{",
        "%",
        "&",
    ];
    let mut strings: Vec<String> = [
        "yes",
        "No",
        "on",
        "010",
        "0o17",
        "1_000",
        "1e3",
        "0x1F",
        "~",
        "null",
        ".inf",
        "=",
        "<<",
        "2026-12-31",
        "12:30:45",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    let mut dice = Dice(13);
    strings.extend((0..300).map(|_| dice.text(&ALPHABET, 12)));
    // That is a template's, and an error of its own.
    strings.retain(|text| !text.contains("{{"));
    let policies: Vec<Value> = strings
        .iter()
        .enumerate()
        .map(|(at, owner)| json!({"name": format!("p{at}"), "owner": owner, "rules": [{"to": [{"operation": {"ports": [443]}}]}]}))
        .collect();
    let file = json!({"sites": [{"hosts": ["a.example"], "over": "HTTP"}], "config": {"policies": policies}});
    let path = scratch()?.join("strings.json");
    fs::write(&path, in_ascii(&file.to_string()))?;
    let output = Command::new(egressctl()?).arg("render").arg(&path).output()?;
    ensure!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout)?;
    let plugin =
        text.split("---\n").find(|document| document.contains("kind: WasmPlugin")).context("no plugin")?;
    let read =
        mesh.kubectl().output(&["annotate", "--local", "-f", "-", "-o", "json", "read=back"], plugin)?;
    ensure!(read.status.success(), "{}", said(&read));
    let read: Value = serde_json::from_slice(&read.stdout)?;
    let read =
        read.pointer("/spec/pluginConfig/policies").and_then(Value::as_array).context("no policies")?;
    let owners: Vec<&str> = read.iter().filter_map(|policy| policy.get("owner")?.as_str()).collect();
    ensure!(owners == strings, "kubectl reads other strings:\n{owners:?}\n{strings:?}");
    Ok(())
}
