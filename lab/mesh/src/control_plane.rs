//! etcd, the API server and istiod, as a cluster runs them, without nodes and controllers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use egress_lab::certs::{Authority, Leaf};
use egress_lab::client::http::plain_get;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::kubectl::{Kubectl, in_hub};
use crate::netns::{Netns, within};
use crate::place::{API_PORT, HUB, HUB_ADDRESS, ISTIOD_HTTP, SERVICE_NETWORK, hub, loopback, run_dir};
use crate::programs::Programs;

/// The administrator's token. Whoever reaches the API server is root on this machine already.
const TOKEN: &str = "egress-mesh-administrator";

/// How long a part may take to be ready; seconds are usual.
const PATIENCE: Duration = Duration::from_secs(60);

/// The line that the gateway writes for a request: the fields by which the scenarios are checked, with the filter's own state.
fn access_log_format() -> Value {
    json!({
        "start_time": "%START_TIME%",
        "listener_port": "%DOWNSTREAM_LOCAL_PORT%",
        "method": "%REQ(:METHOD)%",
        "authority": "%REQ(:AUTHORITY)%",
        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "protocol": "%PROTOCOL%",
        "response_code": "%RESPONSE_CODE%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%",
        "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
        "response_flags": "%RESPONSE_FLAGS%",
        "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "egress_authz": "%FILTER_STATE(wasm.egress_authz:PLAIN)%",
        "requested_server_name": "%REQUESTED_SERVER_NAME%",
        "downstream_peer_uri_san": "%DOWNSTREAM_PEER_URI_SAN%",
        "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
        "upstream_host": "%UPSTREAM_HOST%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "duration": "%DURATION%",
        "request_id": "%REQ(X-REQUEST-ID)%",
    })
}

/// The running control plane.
pub struct ControlPlane {
    // Ended in this order: without its etcd the API server would linger.
    istiod: Option<Daemon>,
    api: Daemon,
    etcd: Daemon,
    programs: Programs,
    kubectl: Kubectl,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts etcd and the API server, and gives it Istio's resources; istiod is started apart.
    pub(crate) fn start(netns: &Netns, programs: &Programs) -> Result<Self> {
        let dir = run_dir("kubernetes");
        fs::create_dir_all(&dir)?;
        let etcd = etcd(netns, programs)?;
        let api = api_server(netns, programs, &dir)?;
        let kubectl = Kubectl::new(programs.kubectl(), dir.join("kubeconfig"));
        let mut plane = Self { istiod: None, api, etcd, programs: programs.clone(), kubectl };
        let probe = plane.kubectl.clone();
        plane.api.ready(PATIENCE, || probe.run(&["get", "--raw", "/readyz"]).is_ok())?;
        let crds = programs.crds();
        plane
            .kubectl
            .run(&["create", "-f", crds.to_str().context("a path that is no text")?])
            .context("Istio's CustomResourceDefinitions")?;
        plane.kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
        Ok(plane)
    }

    /// Starts istiod and waits until it is ready.
    ///
    /// # Errors
    /// When it is not.
    pub fn start_istiod(&mut self) -> Result<()> {
        let dir = run_dir("istiod");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("mesh.yaml"), mesh_config().to_string())?;
        let mut command = in_hub(
            &self.programs.istiod(),
            self.kubectl.kubeconfig(),
            &["discovery", "--domain", "cluster.local", "--log_output_level", "default:info"],
        );
        command.arg("--kubeconfig").arg(self.kubectl.kubeconfig());
        command.arg("--meshConfig").arg(dir.join("mesh.yaml")).current_dir(&dir);
        command.envs([
            ("POD_NAME", "istiod"),
            ("POD_NAMESPACE", "istio-system"),
            // Envoy as it is published lacks Istio's own filters.
            ("PILOT_ENABLE_ALPN_FILTER", "false"),
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
        ]);
        let mut istiod = Daemon::start("istiod", &mut command)?;
        istiod.ready(PATIENCE, || {
            within(HUB, || plain_get(loopback(ISTIOD_HTTP), "/ready")).is_ok()
                && self.kubectl.run(&["-n", "istio-system", "get", "secret", "istio-ca-secret"]).is_ok()
        })?;
        self.istiod = Some(istiod);
        Ok(())
    }

    /// Ends istiod at once; the gateway and the sidecars go on with what they have.
    pub fn stop_istiod(&mut self) {
        self.istiod = None;
    }

    /// istiod, to look at its log.
    ///
    /// # Errors
    /// When it was ended.
    pub fn istiod(&self) -> Result<&Daemon> {
        self.istiod.as_ref().context("istiod is not running")
    }

    /// A page of istiod's debug interface, such as `/debug/syncz`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn istiod_page(&self, path: &str) -> Result<String> {
        within(HUB, || plain_get(loopback(ISTIOD_HTTP), path))
    }

    /// `kubectl`
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The API server and its etcd, to look at their logs.
    #[must_use]
    pub fn api_server(&self) -> (&Daemon, &Daemon) {
        (&self.api, &self.etcd)
    }

    /// The mesh's root certificate, as istiod keeps it.
    pub(crate) fn root_certificate(&self) -> Result<String> {
        let template = r"go-template={{index .data `ca-cert.pem` | base64decode}}";
        let pem =
            self.kubectl.run(&["-n", "istio-system", "get", "secret", "istio-ca-secret", "-o", template])?;
        if !pem.contains("BEGIN CERTIFICATE") {
            bail!("istiod's secret holds no certificate");
        }
        Ok(pem)
    }
}

fn etcd(netns: &Netns, programs: &Programs) -> Result<Daemon> {
    let program = programs.etcd();
    let mut command = netns.command(program.to_str().context("a path that is no text")?);
    command.arg("--data-dir").arg(run_dir("etcd"));
    command.args([
        "--listen-client-urls",
        "http://127.0.0.1:2379",
        "--advertise-client-urls",
        "http://127.0.0.1:2379",
    ]);
    command.args(["--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "warn", "--unsafe-no-fsync"]);
    Daemon::start("etcd", &mut command)
}

fn api_server(netns: &Netns, programs: &Programs, dir: &Path) -> Result<Daemon> {
    let authority = Authority::new("egress-mesh API server")?;
    let names = [HUB_ADDRESS.to_string(), "127.0.0.1".to_owned(), "kubernetes.default.svc".to_owned()];
    let own = authority.issue(&Leaf { dns: names.to_vec(), ..Leaf::default() })?;
    let accounts = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    for (name, text) in [
        ("ca.crt", authority.certificate()),
        ("api.crt", &own.certificate),
        ("api.key", &own.key),
        ("accounts.key", &accounts.serialize_pem()),
        ("accounts.pub", &accounts.public_key_pem()),
        ("tokens.csv", &format!("{TOKEN},admin,admin,system:masters\n")),
        ("kubeconfig", &kubeconfig(&dir.join("ca.crt").display().to_string()).to_string()),
    ] {
        fs::write(dir.join(name), text)?;
    }
    let program = programs.api_server();
    let mut command: Command = netns.command(program.to_str().context("a path that is no text")?);
    for (flag, file) in [
        ("--tls-cert-file", "api.crt"),
        ("--tls-private-key-file", "api.key"),
        ("--token-auth-file", "tokens.csv"),
        ("--service-account-key-file", "accounts.pub"),
        ("--service-account-signing-key-file", "accounts.key"),
        ("--cert-dir", ""),
    ] {
        command.arg(flag).arg(dir.join(file));
    }
    command.args([
        "--etcd-servers=http://127.0.0.1:2379",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=RBAC",
        // Who would do these things is not there.
        "--endpoint-reconciler-type=none",
        "--disable-admission-plugins=ServiceAccount",
        &format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
        &format!("--advertise-address={HUB_ADDRESS}"),
        &format!("--secure-port={API_PORT}"),
    ]);
    Daemon::start("kube-apiserver", &mut command)
}

fn kubeconfig(authority: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "mesh",
        "clusters": [{"name": "mesh", "cluster": {"server": format!("https://{}", hub(API_PORT)), "certificate-authority": authority}}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "mesh", "context": {"cluster": "mesh", "user": "admin"}}],
    })
}

fn mesh_config() -> Value {
    json!({
        "trustDomain": "cluster.local",
        "rootNamespace": "istio-system",
        "accessLogEncoding": "JSON",
        "accessLogFormat": access_log_format().to_string(),
        // No telemetry provider: Istio's own metrics come from a filter that the published Envoy lacks.
        "defaultProviders": {},
    })
}
