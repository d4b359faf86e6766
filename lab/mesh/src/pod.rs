//! A pod: a namespace, an agent, its Envoy, and, for a workload, the rules that carry its traffic through them.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use egress_lab::access_log::AccessLog;
use egress_lab::client::http::plain_get;
use serde_json::{Value, json};

use crate::curl::Curl;
use crate::daemon::{Daemon, read};
use crate::kubectl::Kubectl;
use crate::manifests;
use crate::netns::{Netns, kill, run};
use crate::place::{
    ADMIN_PORT, HUB_ADDRESS, ISTIOD, ISTIOD_PORT, PREFIX_LENGTH, PROXY_USER, REGISTRY_PORT, loopback,
    pod_address, run_dir,
};
use crate::programs::Programs;

/// How long an agent and its Envoy may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Run in a mount namespace of its own, as root, in the pod's folder; its arguments are Envoy, the agent, the public
/// authorities, and then the program to become. What the agent stores under `/var/lib/istio` goes to memory and is seen by
/// nobody else; programs are put where the proxy's user reaches them, wherever this repository lies.
const ENTER: &str = r#"set -e
umask 022
mount -t tmpfs -o mode=755 tmpfs data
mkdir data/upper data/work
mount -t overlay overlay -o "lowerdir=/var/lib,upperdir=$PWD/data/upper,workdir=$PWD/data/work" /var/lib
mkdir -p /var/lib/istio/data && chown 1337:1337 /var/lib/istio/data
mount --bind "$1" bin/envoy
mount --bind "$2" bin/pilot-agent
mount --bind "$3" /etc/ssl/certs/ca-certificates.crt
shift 3
exec setpriv --reuid 1337 --regid 1337 --clear-groups -- "$@""#;

/// What a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An application behind its sidecar.
    Workload,
    /// An egress gateway.
    Gateway,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The pod's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub account: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// What it is.
    pub role: Role,
    /// More of Istio's ProxyConfig, as the annotation `proxy.istio.io/config` says it.
    pub proxy_config: Value,
}

// === impl Spec ===

impl Spec {
    /// The workload `namespace/service-account`.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn workload(who: &str) -> Result<Self> {
        let (namespace, account) =
            who.split_once('/').with_context(|| format!("{who} is not namespace/service-account"))?;
        Ok(Self {
            name: account.to_owned(),
            namespace: namespace.to_owned(),
            account: account.to_owned(),
            labels: vec![("app".to_owned(), account.to_owned())],
            role: Role::Workload,
            proxy_config: json!({}),
        })
    }

    /// A gateway of a name, with the labels and the service account that `egressctl render` gives it, and what the repository's
    /// own Deployment of one says of its proxy.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn gateway(name: &str, label: &str) -> Result<Self> {
        let shipped = manifests::read("deploy/istio/workload.yaml")?;
        let annotation = shipped
            .iter()
            .find_map(|document| {
                document.pointer("/spec/template/metadata/annotations/proxy.istio.io~1config")?.as_str()
            })
            .unwrap_or("{}");
        Ok(Self {
            name: name.to_owned(),
            namespace: "istio-system".to_owned(),
            account: format!("{name}-service-account"),
            labels: vec![("istio".to_owned(), label.to_owned())],
            role: Role::Gateway,
            proxy_config: yaml_serde::from_str(annotation).context("the annotation proxy.istio.io/config")?,
        })
    }

    /// The name of the pod's network namespace.
    #[must_use]
    pub fn netns(&self) -> String {
        match self.role {
            Role::Workload => format!("{}{}-{}", crate::place::PREFIX, self.namespace, self.name),
            Role::Gateway => format!("{}{}", crate::place::PREFIX, self.name),
        }
    }

    fn all_labels(&self) -> Value {
        let mut labels: serde_json::Map<String, Value> =
            self.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        labels.insert("service.istio.io/canonical-name".to_owned(), json!(self.name));
        if self.role == Role::Workload {
            labels.insert("security.istio.io/tlsMode".to_owned(), json!("istio"));
        }
        Value::Object(labels)
    }

    /// The objects that a cluster would have for it: account, Pod, and the Pod's status, which no kubelet writes here.
    pub(crate) fn objects(&self, address: Ipv4Addr) -> (Vec<Value>, Value) {
        let meta = json!({"name": self.name, "namespace": self.namespace, "labels": self.all_labels()});
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": self.account, "namespace": self.namespace},
        });
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": meta,
            "spec": {
                "serviceAccountName": self.account, "nodeName": "this-machine",
                "containers": [{"name": "istio-proxy", "image": "none"}],
            },
        });
        let status = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "status": {
                "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        (vec![account, pod], status)
    }
}

/// What all pods need.
#[derive(Clone, Copy)]
pub(crate) struct Base<'m> {
    pub(crate) programs: &'m Programs,
    pub(crate) envoy: &'m Path,
    pub(crate) kubectl: &'m Kubectl,
    pub(crate) root_certificate: &'m str,
    pub(crate) public_authority: &'m Path,
}

/// A running pod; dropping it ends it.
pub struct Pod {
    // Ended before its namespace.
    agent: Daemon,
    netns: Netns,
    spec: Spec,
    address: Ipv4Addr,
    dir: PathBuf,
    enter: Enter,
}

/// How the agent is started, and started again.
struct Enter {
    envoy: PathBuf,
    agent: PathBuf,
    public_authority: PathBuf,
}

// === impl Pod ===

impl Pod {
    /// Starts the pod of a number and does not wait for it.
    pub(crate) fn start(base: Base<'_>, spec: &Spec, number: u16) -> Result<Self> {
        let address = pod_address(number);
        let netns = Netns::create(&spec.netns())?;
        netns.join(&format!("p{number}"), &[(address, PREFIX_LENGTH)])?;
        netns.resolver(HUB_ADDRESS)?;
        let dir = run_dir("pods").join(spec.netns());
        prepare(base, spec, &dir)?;
        if spec.role == Role::Workload {
            capture(&netns, &base.programs.agent())?;
        }
        let enter = Enter {
            envoy: base.envoy.to_owned(),
            agent: base.programs.agent(),
            public_authority: base.public_authority.to_owned(),
        };
        let agent = agent(&netns, spec, address, &dir, &enter)?;
        Ok(Self { agent, netns, spec: spec.clone(), address, dir, enter })
    }

    /// Waits until agent and Envoy are ready, as a kubelet would ask.
    ///
    /// # Errors
    /// When they are not in time; the text has the log's end.
    pub fn ready(&mut self) -> Result<()> {
        let netns = &self.netns;
        self.agent.ready(PATIENCE, || {
            netns.within(|| plain_get(loopback(ADMIN_PORT), "/ready")).is_ok_and(|said| said.trim() == "LIVE")
        })
    }

    /// What it was started as.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its address on the bridge.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its network namespace.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its folder; `etc/istio/proxy` and the agent's credentials are there.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The application: an unmodified curl inside, as another user than the proxy's, trusting the public authorities of the lab.
    #[must_use]
    pub fn curl(&self) -> Curl<'_> {
        Curl::new(&self.netns, &self.enter.public_authority)
    }

    /// A page of its Envoy's admin interface.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn admin(&self, path: &str) -> Result<String> {
        self.netns.within(|| plain_get(loopback(ADMIN_PORT), path))
    }

    /// One counter or gauge of its Envoy; 0 where it does not exist (yet).
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn stat(&self, name: &str) -> Result<u64> {
        let text = self.admin("/stats?usedonly")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(line.and_then(|value| value.trim().parse().ok()).unwrap_or(0))
    }

    /// The access log.
    #[must_use]
    pub fn access_log(&self) -> AccessLog {
        AccessLog::new(self.access_log_path())
    }

    fn access_log_path(&self) -> PathBuf {
        access_log_path(&self.dir)
    }

    /// The agent with its log, in which Envoy's is.
    #[must_use]
    pub fn agent(&self) -> &Daemon {
        &self.agent
    }

    /// The process id of its Envoy.
    ///
    /// # Errors
    /// When it does not run.
    pub fn envoy_pid(&self) -> Result<i32> {
        let comm = |pid: &i32| read(Path::new(&format!("/proc/{pid}/comm"))).trim() == "envoy";
        self.netns.processes()?.into_iter().find(comm).context("no Envoy runs there")
    }

    /// Kills its Envoy; the agent then ends, too, as Istio's container would.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_envoy(&self) -> Result<()> {
        kill(self.envoy_pid()?);
        Ok(())
    }

    /// Ends agent and Envoy, whatever lives of them, and starts them again, as a kubelet would. Does not wait for readiness.
    ///
    /// # Errors
    /// When they cannot be started.
    pub fn restart(&mut self) -> Result<()> {
        self.agent.kill();
        self.netns.kill_all();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.netns.processes()?.is_empty() {
            if Instant::now() > deadline {
                bail!("what ran in {} does not end", self.netns.name());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.agent = agent(&self.netns, &self.spec, self.address, &self.dir, &self.enter)?;
        Ok(())
    }
}

fn access_log_path(dir: &Path) -> PathBuf {
    dir.join("access.jsonl")
}

/// The agent's folder: it looks for everything relative to where it runs.
fn prepare(base: Base<'_>, spec: &Spec, dir: &Path) -> Result<()> {
    for folder in [
        "bin",
        "data",
        "var/run/secrets/tokens",
        "var/run/secrets/istio",
        "var/lib/istio/envoy",
        "etc/istio/proxy",
        "etc/istio/pod",
    ] {
        fs::create_dir_all(dir.join(folder))?;
    }
    let token = base
        .kubectl
        .run(&[
            "-n",
            &spec.namespace,
            "create",
            "token",
            &spec.account,
            "--audience",
            "istio-ca",
            "--duration",
            "168h",
        ])
        .with_context(|| format!("a token for {}/{}", spec.namespace, spec.account))?;
    let labels: String = match spec.all_labels() {
        Value::Object(labels) => labels.iter().map(|(key, value)| format!("{key}={value}\n")).collect(),
        _ => String::new(),
    };
    let template = fs::read(base.programs.bootstrap()).context("Istio's template of Envoy's bootstrap")?;
    for (name, content) in [
        ("var/run/secrets/tokens/istio-token", token.trim().as_bytes()),
        ("var/run/secrets/istio/root-cert.pem", base.root_certificate.as_bytes()),
        ("var/lib/istio/envoy/envoy_bootstrap_tmpl.json", template.as_slice()),
        ("etc/istio/pod/labels", labels.as_bytes()),
        ("bin/envoy", b""),
        ("bin/pilot-agent", b""),
        ("access.jsonl", b""),
    ] {
        fs::write(dir.join(name), content)?;
    }
    if let Some(pods) = dir.parent() {
        fs::set_permissions(pods, fs::Permissions::from_mode(0o755))?;
    }
    give(dir)
}

/// Gives a folder to the proxy's user.
fn give(path: &Path) -> Result<()> {
    chown(path, Some(PROXY_USER), Some(PROXY_USER))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path())?;
        }
    }
    Ok(())
}

/// The rules by which an application's traffic goes through its sidecar, written by Istio's own program.
fn capture(netns: &Netns, agent: &Path) -> Result<()> {
    let mut command: Command = netns.command(agent.to_str().context("a path that is no text")?);
    command.args(["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT"]);
    command.args(["-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020"]);
    run(&mut command).context("pilot-agent istio-iptables").map(|_| ())
}

fn agent(netns: &Netns, spec: &Spec, address: Ipv4Addr, dir: &Path, enter: &Enter) -> Result<Daemon> {
    // Envoy opens its standard output by name, as the proxy's user.
    let output = File::options().append(true).open(access_log_path(dir))?;
    let mut proxy = json!({
        "binaryPath": dir.join("bin/envoy"),
        "discoveryAddress": format!("{ISTIOD}:{ISTIOD_PORT}"),
        "concurrency": 1,
        "fileFlushInterval": "0.02s",
    });
    if let (Some(proxy), Some(more)) = (proxy.as_object_mut(), spec.proxy_config.as_object()) {
        proxy.extend(more.clone());
    }
    let domain = format!("{}.svc.cluster.local", spec.namespace);
    let role = match spec.role {
        Role::Workload => "sidecar",
        Role::Gateway => "router",
    };
    let mut command = netns.command("sh");
    command.args(["-c", ENTER, "pod"]).arg(&enter.envoy).arg(&enter.agent).arg(&enter.public_authority);
    command.arg(dir.join("bin/pilot-agent")).args(["proxy", role, "--domain", &domain]);
    command.args([
        "--proxyLogLevel=warning",
        "--proxyComponentLogLevel=misc:error",
        "--log_output_level=default:info",
    ]);
    command.current_dir(dir).stdout(output).env_remove("EGRESS_AUTHZ_WASM").envs([
        ("POD_NAME", spec.name.as_str()),
        ("POD_NAMESPACE", &spec.namespace),
        ("SERVICE_ACCOUNT", &spec.account),
        ("INSTANCE_IP", &address.to_string()),
        ("ISTIO_META_CLUSTER_ID", "Kubernetes"),
        ("ISTIO_METAJSON_LABELS", &spec.all_labels().to_string()),
        ("PROXY_CONFIG", &proxy.to_string()),
        ("CA_ADDR", &format!("{ISTIOD}:{ISTIOD_PORT}")),
        ("TRUST_DOMAIN", "cluster.local"),
        ("WASM_INSECURE_REGISTRIES", &format!("{HUB_ADDRESS}:{REGISTRY_PORT}")),
    ]);
    Daemon::start_quietly(&spec.netns(), &mut command)
}
