//! The mesh as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use egress_lab::certs::Authority;
use egress_lab::provision::EnvoyBinary;
use egress_lab::world::World;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::daemon::Daemon;
use crate::guard::Guard;
use crate::kubectl::Kubectl;
use crate::manifests::{self, Key};
use crate::netns::Netns;
use crate::place::{self, HUB, WORLD, WORLD_ADDRESS, run_dir};
use crate::pod::{Base, Pod, Role, Spec};
use crate::programs::Programs;
use crate::services;
use crate::settle::{Expected, revision};

/// The gateway of the repository's manifests.
pub const GATEWAY: &str = "istio-egressgateway";

/// The workloads of the scenarios.
pub const WORKLOADS: [&str; 11] = [
    "demo-frontend/sleep",
    "default/sleep",
    "otherns/sleep",
    "otherns/sleep-google",
    "otherns/sleep-yahoo",
    "mytest/sleep-a",
    "default/nginx",
    "bookinfo/bookinfo-productpage",
    "bookinfo/bookinfo-reviews",
    "a/x",
    "b/y",
];

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Workloads as `namespace/service-account`.
    pub workloads: Vec<String>,
    /// The image's layout, as `make image` leaves it.
    pub image: PathBuf,
}

// === impl Options ===

impl Options {
    /// The scenarios' workloads, and the image that `make image` left.
    ///
    /// # Errors
    /// Outside of the repository.
    pub fn scenarios() -> Result<Self> {
        Self::with_workloads(&WORKLOADS)
    }

    /// Certain workloads.
    ///
    /// # Errors
    /// Outside of the repository.
    pub fn with_workloads(workloads: &[&str]) -> Result<Self> {
        let workloads = workloads.iter().map(|&who| who.to_owned()).collect();
        Ok(Self { workloads, image: manifests::target_dir()?.join("image") })
    }
}

/// A running mesh; dropping it ends all of it.
pub struct Mesh {
    // Ended from the clients' side to the site's, and the guard last.
    pods: BTreeMap<String, Pod>,
    world: World,
    registry: Option<Daemon>,
    _dns: Daemon,
    control_plane: ControlPlane,
    hub: Netns,
    _world_netns: Netns,
    programs: Programs,
    envoy: EnvoyBinary,
    public: Authority,
    root_certificate: String,
    image: String,
    /// What the mesh itself has applied, and keeps: the gateway's Service and what goes with it.
    own: Vec<Value>,
    /// What `put` has applied.
    replaced: Vec<Value>,
    revision: u64,
    next_pod: u16,
    _guard: Guard,
}

// === impl Mesh ===

impl Mesh {
    /// Builds what is not built, and starts everything: the control plane, the gateway of the repository's manifests
    /// (with the Service that they write), the workloads.
    ///
    /// # Errors
    /// When something is missing or does not start; the text says what.
    pub fn start(options: &Options) -> Result<Self> {
        require_root()?;
        let envoy = EnvoyBinary::find()?;
        if !envoy.has_connect_modes() {
            bail!("Envoy {} cannot take `late-dial.yaml`: the mesh needs 1.37 or later", envoy.version);
        }
        let programs = Programs::provide()?;
        let guard = Guard::take()?;
        let hub = Netns::create(HUB)?;
        hub.bridge()?;
        let world_netns = Netns::create(WORLD)?;
        world_netns.join("world", &[(WORLD_ADDRESS, 32)])?;
        let public = Authority::new("egress-mesh public CA")?;
        fs::write(public_authority_file(), public.certificate())?;
        fs::set_permissions(public_authority_file(), fs::Permissions::from_mode(0o644))?;
        let world = services::world(&world_netns, &public)?;
        let dns = services::dns(&hub)?;
        let registry = services::registry(&hub)?;
        let (control_plane, image) = thread::scope(|scope| {
            let pushed = scope.spawn(|| services::push(&options.image, "lab"));
            let plane = ControlPlane::start(&hub, &programs);
            let image = pushed.join().map_err(|_| anyhow!("pushing the image panicked"))?;
            Ok::<_, anyhow::Error>((plane?, image?))
        })?;
        let mut mesh = Self {
            pods: BTreeMap::new(),
            world,
            registry: Some(registry),
            _dns: dns,
            control_plane,
            hub,
            _world_netns: world_netns,
            programs,
            envoy,
            public,
            root_certificate: String::new(),
            image,
            own: Vec::new(),
            replaced: Vec::new(),
            revision: 0,
            next_pod: 1,
            _guard: guard,
        };
        mesh.populate(&options.workloads)?;
        Ok(mesh)
    }

    fn populate(&mut self, workloads: &[String]) -> Result<()> {
        // The manifests speak of the scenarios' namespaces, whether a pod is in them or not.
        let scenarios = WORKLOADS.iter().filter_map(|who| Some(who.split_once('/')?.0));
        let namespaces: BTreeSet<&str> = scenarios.chain(["istio-system"]).collect();
        self.create_namespaces(namespaces)?;
        self.control_plane.start_istiod()?;
        self.root_certificate = self.control_plane.root_certificate()?;
        let mut specs = vec![Spec::gateway(GATEWAY, "egressgateway")?];
        for who in workloads {
            specs.push(Spec::workload(who)?);
        }
        self.add_pods(&specs)?;
        // The gateway's Service is the repository's own.
        self.own = manifests::read("deploy/istio/workload.yaml")?;
        self.apply(&self.own)
    }

    fn create_namespaces<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
        let documents: Vec<Value> = names
            .into_iter()
            .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .collect();
        self.kubectl().apply_by_server(&documents).map(|_| ())
    }

    /// Starts pods, all at once, and waits until they are ready.
    fn add_pods(&mut self, specs: &[Spec]) -> Result<()> {
        let namespaces: BTreeSet<&str> = specs.iter().map(|spec| spec.namespace.as_str()).collect();
        self.create_namespaces(namespaces)?;
        let mut numbered = Vec::new();
        let (mut objects, mut statuses) = (Vec::new(), Vec::new());
        for spec in specs {
            let number = self.next_pod;
            self.next_pod = number.checked_add(1).context("too many pods")?;
            let (own, status) = spec.objects(place::pod_address(number));
            objects.extend(own);
            statuses.push(status);
            numbered.push((spec, number));
        }
        self.kubectl().apply_by_server(&objects)?;
        let by_kubelet = ["apply", "--server-side", "--force-conflicts", "--subresource=status", "-f", "-"];
        let list = json!({"apiVersion": "v1", "kind": "List", "items": statuses}).to_string();
        self.kubectl().run_with(&by_kubelet, &list).context("the pods' status")?;
        let authority = public_authority_file();
        let base = Base {
            programs: &self.programs,
            envoy: &self.envoy.path,
            kubectl: self.control_plane.kubectl(),
            root_certificate: &self.root_certificate,
            public_authority: &authority,
        };
        let started: Vec<Result<Pod>> = thread::scope(|scope| {
            let starts: Vec<_> = numbered
                .into_iter()
                .map(|(spec, number)| {
                    scope.spawn(move || {
                        let mut pod = Pod::start(base, spec, number)?;
                        pod.ready()?;
                        Ok(pod)
                    })
                })
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().map_err(|_| anyhow!("starting a pod panicked"))?)
                .collect()
        });
        for pod in started {
            let pod = pod?;
            self.pods.insert(key(pod.spec()), pod);
        }
        Ok(())
    }

    /// One more workload, as `namespace/service-account`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn add_workload(&mut self, who: &str) -> Result<()> {
        self.add_pods(&[Spec::workload(who)?])
    }

    /// One more gateway: a pod `name` in `istio-system` with the label `istio: LABEL`. Its Service is for the caller to apply.
    ///
    /// # Errors
    /// When it does not start.
    pub fn add_gateway(&mut self, name: &str, label: &str) -> Result<()> {
        self.add_pods(&[Spec::gateway(name, label)?])
    }

    /// `kubectl` on the mesh's API server.
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        self.control_plane.kubectl()
    }

    /// API server and istiod.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The same, to end istiod and start it again.
    pub fn control_plane_mut(&mut self) -> &mut ControlPlane {
        &mut self.control_plane
    }

    /// The programs: `kubectl`, `istioctl` and the others.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The namespace of bridge, control plane, registry and DNS.
    #[must_use]
    pub fn hub(&self) -> &Netns {
        &self.hub
    }

    /// The external world, which counts who reached it.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The authority of the world's certificates.
    #[must_use]
    pub fn public(&self) -> &Authority {
        &self.public
    }

    /// The filter's image in the lab's registry, by digest: what a manifest's `url` is.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Pushes another image of a layout; gives its reference by digest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn push(&self, layout: &Path, tag: &str) -> Result<String> {
        services::push(layout, tag)
    }

    /// Ends the registry at once.
    pub fn stop_registry(&mut self) {
        self.registry = None;
    }

    /// Starts it again, with what it held.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_registry(&mut self) -> Result<()> {
        self.registry = Some(services::registry(&self.hub)?);
        Ok(())
    }

    /// The pod of a workload.
    ///
    /// # Errors
    /// When there is none.
    pub fn pod(&self, who: &str) -> Result<&Pod> {
        self.pods.get(who).with_context(|| format!("no pod {who}; there are {:?}", self.pods.keys()))
    }

    /// The same, to restart it.
    ///
    /// # Errors
    /// When there is none.
    pub fn pod_mut(&mut self, who: &str) -> Result<&mut Pod> {
        self.pods.get_mut(who).with_context(|| format!("no pod {who}"))
    }

    /// All pods.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// The egress gateway of the repository's manifests.
    ///
    /// # Errors
    /// When it is not there.
    pub fn gateway(&self) -> Result<&Pod> {
        self.pod(GATEWAY)
    }

    /// The same, to restart it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn gateway_mut(&mut self) -> Result<&mut Pod> {
        self.pod_mut(GATEWAY)
    }

    /// Applies documents; where a Service is among them, also the EndpointSlice that a controller would write.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub fn apply(&self, documents: &[Value]) -> Result<()> {
        let mut all = documents.to_vec();
        for service in documents.iter().filter(|document| Key::of(document).kind == "Service") {
            all.push(self.endpoints(service));
        }
        self.kubectl().apply(&all).map(|_| ())
    }

    /// Makes these documents what is applied in place of what the last `put` applied, and waits until the gateway and every
    /// sidecar has them.
    ///
    /// # Errors
    /// When the API server refuses one, or a proxy does not have them in time.
    pub fn replace(&mut self, documents: &[Value]) -> Result<()> {
        self.replace_awaiting(documents, documents)
    }

    /// The same, but of other documents it is looked for in particular.
    ///
    /// # Errors
    /// As [`Mesh::replace`].
    pub fn replace_awaiting(&mut self, documents: &[Value], awaited: &[Value]) -> Result<()> {
        self.prune(documents)?;
        self.revision += 1;
        // In one go, and last, so that istiod pushes it with the others or after them.
        let mut all = documents.to_vec();
        all.push(revision(self.revision));
        self.apply(&all)?;
        self.replaced = documents.to_vec();
        self.await_revision(awaited)
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub fn put(&mut self, documents: &[Value]) -> Result<()> {
        self.prune(documents)?;
        self.apply(documents)?;
        self.replaced = documents.to_vec();
        Ok(())
    }

    /// Deletes what was put before and is not among these documents.
    fn prune(&self, documents: &[Value]) -> Result<()> {
        let kept: Vec<Key> = documents.iter().chain(&self.own).map(Key::of).collect();
        let stale: Vec<Value> =
            self.replaced.iter().filter(|old| !kept.contains(&Key::of(old))).cloned().collect();
        if !stale.is_empty() {
            self.kubectl().delete(&stale)?;
        }
        Ok(())
    }

    /// Waits until the gateway and every sidecar has what was applied up to now; of `documents` it is looked for in particular.
    ///
    /// # Errors
    /// When a proxy does not have it in time; the text says what is missing.
    pub fn settle(&mut self, documents: &[Value]) -> Result<()> {
        self.revision += 1;
        self.apply(&[revision(self.revision)])?;
        self.await_revision(documents)
    }

    fn await_revision(&self, documents: &[Value]) -> Result<()> {
        let expected = Expected::of(documents, self.revision);
        let answers: Vec<Result<()>> = thread::scope(|scope| {
            let asked: Vec<_> = self
                .pods
                .values()
                .map(|pod| {
                    let expected = &expected;
                    scope.spawn(move || match pod.spec().role {
                        Role::Workload => expected.sidecar(pod),
                        Role::Gateway if pod.spec().name == GATEWAY => expected.gateway(pod),
                        // What another gateway must have, its caller knows.
                        Role::Gateway => Ok(()),
                    })
                })
                .collect();
            asked.into_iter().map(|one| one.join().map_err(|_| anyhow!("a thread panicked"))?).collect()
        });
        answers.into_iter().collect()
    }

    fn endpoints(&self, service: &Value) -> Value {
        let key = Key::of(service);
        let selector: BTreeMap<String, String> = service
            .pointer("/spec/selector")
            .and_then(|selector| serde_json::from_value(selector.clone()).ok())
            .unwrap_or_default();
        let chosen = |pod: &&Pod| {
            let spec = pod.spec();
            let has =
                |(name, value): (&String, &String)| spec.labels.contains(&(name.clone(), value.clone()));
            spec.namespace == key.namespace && !selector.is_empty() && selector.iter().all(has)
        };
        let endpoints: Vec<Value> = self
            .pods
            .values()
            .filter(chosen)
            .map(|pod| {
                let target =
                    json!({"kind": "Pod", "name": pod.spec().name, "namespace": pod.spec().namespace});
                json!({"addresses": [pod.address()], "conditions": {"ready": true}, "targetRef": target})
            })
            .collect();
        let ports: Vec<Value> = service
            .pointer("/spec/ports")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|port| {
                let number = port.get("targetPort").or_else(|| port.get("port"));
                json!({"name": port.get("name"), "port": number, "protocol": "TCP"})
            })
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{}-lab", key.name), "namespace": key.namespace,
                "labels": {"kubernetes.io/service-name": key.name},
            },
            "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
        })
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // Kept for whoever wants to know why; the next run writes others.
        let _ = keep_logs();
    }
}

fn key(spec: &Spec) -> String {
    match spec.role {
        Role::Workload => format!("{}/{}", spec.namespace, spec.account),
        Role::Gateway => spec.name.clone(),
    }
}

/// The authority of the sites' certificates, as the pods have it.
#[must_use]
pub fn public_authority_file() -> PathBuf {
    run_dir("public-ca.crt")
}

fn require_root() -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the mesh needs Linux: it is made of network namespaces");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("the mesh needs root, for network namespaces of its own");
    }
    Ok(())
}

fn keep_logs() -> Result<()> {
    let to = manifests::target_dir()?.join("mesh-logs");
    // What is not there need not be removed.
    let _ = fs::remove_dir_all(&to);
    fs::create_dir_all(&to)?;
    for log in fs::read_dir(run_dir("logs"))? {
        let log = log?;
        fs::copy(log.path(), to.join(log.file_name()))?;
    }
    for pod in fs::read_dir(run_dir("pods"))? {
        let pod = pod?;
        let name = format!("{}.access.jsonl", pod.file_name().to_string_lossy());
        fs::copy(pod.path().join("access.jsonl"), to.join(name))?;
    }
    Ok(())
}
