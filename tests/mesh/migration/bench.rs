//! Two gateways of one mesh: Istio's own policies on the first, what was imported of them on the second.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use egress_lab::certs::{Authority, Identity, Principal};
use egress_lab::client::http::Ask;
use egress_lab::client::{Stream, Tls};
use egress_mesh::manifests::{read, with_image};
use egress_mesh::mesh::{GATEWAY, Mesh, Options};
use egress_mesh_tests::{authority, eventually, set};
use serde_json::{Value, json};

use crate::generate::Request;
use crate::import::{Notes, import};

const WHO: &str = "a/x";
const SECOND: &str = "second-egressgateway";
/// A header by which a set is told from the one before.
const MARK: &str = "x-set";
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    mesh: Mesh,
    authority: Authority,
    identities: BTreeMap<String, Identity>,
    plugin: Value,
}

/// What a gateway says to a request.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    /// `%RESPONSE_CODE_DETAILS%`, where the two disagree.
    details: String,
}

// === impl Verdict ===

impl Verdict {
    /// The policy that is said to have refused.
    pub(crate) fn policy(&self) -> Option<String> {
        let name = self.details.split_once("policy[")?.1.split(']').next()?;
        // Native RBAC's details begin with `rbac_access_denied_matched_policy[ns[…]-policy[…]`.
        let name = if name.starts_with("ns[") {
            self.details.split("-policy[").nth(1)?.split(']').next()?
        } else {
            name
        };
        // Where no ALLOW matches, native RBAC names `none`.
        (name != "none").then(|| name.strip_prefix("istio-system.").unwrap_or(name).to_owned())
    }
}

// === impl Bench ===

impl Bench {
    pub(crate) fn start() -> Result<Self> {
        let mut mesh = Mesh::start(&Options::with_workloads(&[WHO])?)?;
        mesh.add_gateway(SECOND, "second")?;
        for name in [GATEWAY, SECOND] {
            authority::past_the_sidecar(mesh.pod(WHO)?, mesh.pod(name)?.address())?;
        }
        mesh.apply(&foundation())?;
        let mut plugin = with_image(read("wasmplugin.yaml")?, mesh.image()).remove(0);
        set(&mut plugin, "/spec/selector/matchLabels/istio", json!("second"))?;
        let authority = authority::of_mesh(&mesh)?;
        Ok(Self { mesh, authority, identities: BTreeMap::new(), plugin })
    }

    /// Puts a set of policies in force on both gateways.
    pub(crate) fn apply(&mut self, number: u64, policies: &[Value]) -> Result<Notes> {
        let mark = format!("set-{number}");
        let mut documents = policies.to_vec();
        // The last that is applied, so that who knows it knows the others.
        documents.push(json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"name": "a-mark", "namespace": "istio-system"},
            "spec": {
                "selector": {"matchLabels": {"istio": "egressgateway"}}, "action": "DENY",
                "rules": [{"when": [{"key": format!("request.headers[{MARK}]"), "values": [mark]}]}],
            },
        }));
        self.mesh.kubectl().apply(&documents)?;
        let (config, notes) = import(self.mesh.kubectl())?;
        set(&mut self.plugin, "/spec/pluginConfig", config)?;
        self.mesh.kubectl().apply_by_server(std::slice::from_ref(&self.plugin))?;
        for gateway in [GATEWAY, SECOND] {
            eventually(&format!("{gateway} has {mark}"), PATIENCE, || {
                let ask = Ask::parse("GET http://www.example.com/")?.header(MARK, &mark);
                let details = self.refused_by_mark(gateway, &ask)?;
                ensure!(details, "{mark} is not in force");
                Ok(())
            })?;
        }
        Ok(notes)
    }

    /// Whether the mark's own policy refuses: the line of the access log names it.
    fn refused_by_mark(&self, gateway: &str, ask: &Ask) -> Result<bool> {
        let pod = self.mesh.pod(gateway)?;
        let log = pod.access_log();
        let before = log.mark();
        let identity = self.authority.workload(&Principal::new("shop/frontend"))?;
        self.send(gateway, identity, "www.example.com", ask)?;
        let entry = log.wait(before, |_| true)?;
        Ok(entry.details().contains("a-mark"))
    }

    fn send(&self, gateway: &str, identity: Identity, sni: &str, ask: &Ask) -> Result<u16> {
        let tls = Tls::mesh(&self.authority, Some(identity), Some(sni))?.with_alpn(&["http/1.1"]);
        let address = authority::at(self.mesh.pod(gateway)?, 8080);
        self.mesh.pod(WHO)?.netns().within(|| Ok(Stream::connect(address)?.tls(&tls)?.http1(ask)?.status))
    }

    /// The same request to both.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<(Verdict, Verdict)> {
        let who = format!("{}/{}", request.namespace, request.account);
        let identity = match self.identities.get(&who) {
            Some(identity) => identity.clone(),
            None => {
                let identity = self.authority.workload(&Principal::new(&who))?;
                self.identities.insert(who, identity.clone());
                identity
            }
        };
        let mut ask = Ask::parse(&format!(
            "{} http://{}{}{}",
            request.method, request.host, request.port, request.path
        ))?;
        if let Some(team) = &request.team {
            ask = ask.header("x-team", team);
        }
        let marks = [GATEWAY, SECOND].map(|name| self.mesh.pod(name).map(|pod| pod.access_log().mark()));
        let mut verdicts = Vec::new();
        for gateway in [GATEWAY, SECOND] {
            let allowed = match self.send(gateway, identity.clone(), request.sni, &ask)? {
                200 => true,
                403 => false,
                other => bail!("{gateway} answers {other} to {request:?}"),
            };
            verdicts.push(Verdict { allowed, details: String::new() });
        }
        if verdicts[0].allowed != verdicts[1].allowed {
            for ((gateway, mark), verdict) in [GATEWAY, SECOND].into_iter().zip(marks).zip(&mut verdicts) {
                verdict.details = self.mesh.pod(gateway)?.access_log().wait(mark?, |_| true)?.details();
            }
        }
        let ours = verdicts.remove(1);
        Ok((verdicts.remove(0), ours))
    }
}

/// Both gateways carry any host to the one site that there is.
fn foundation() -> Vec<Value> {
    let gateway = |name: &str, label: &str| {
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": {"name": name, "namespace": "istio-system"},
            "spec": {"selector": {"istio": label}, "servers": [{
                "port": {"number": 80, "name": "https-mutual", "protocol": "HTTPS"},
                "hosts": ["*"], "tls": {"mode": "ISTIO_MUTUAL"},
            }]},
        })
    };
    vec![
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": SECOND, "namespace": "istio-system"},
            "spec": {"selector": {"istio": "second"}, "ports": [{"name": "https-mutual", "port": 80, "targetPort": 8080}]},
        }),
        gateway("first", "egressgateway"),
        gateway("second", "second"),
        // For the reasons.
        json!({
            "apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry",
            "metadata": {"name": "access-log", "namespace": "istio-system"},
            "spec": {"accessLogging": [{"providers": [{"name": "envoy"}]}]},
        }),
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
            "metadata": {"name": "site", "namespace": "istio-system"},
            "spec": {"hosts": ["www.example.com"], "location": "MESH_EXTERNAL", "resolution": "DNS",
                     "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]},
        }),
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "site", "namespace": "istio-system"},
            "spec": {"hosts": ["*"], "gateways": ["first", "second"], "http": [{"route": [
                {"destination": {"host": "www.example.com", "port": {"number": 80}}},
            ]}]},
        }),
    ]
}
