//! The local mesh in containers: what `envoy/docker-compose.yaml` mounts, from the templates that `make up` uses.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::certs::{Authority, Leaf, Principal};
use crate::filter::{Filter, Slot, Wasm};
use crate::gateway::{GATEWAY_PRINCIPAL, deliver};
use crate::shape::{ConnectMode, Kind, Listener, Shape};
use crate::template::{self, Place};
use crate::world::Ports;

/// Where the containers see the folder; the compose file says the same.
pub const MOUNT: &str = "/etc/egress-authz";

/// The workloads, each the name of its container's file.
pub const WORKLOADS: [(&str, &str); 2] =
    [("sidecar-frontend", "demo-frontend/sleep"), ("sidecar-default", "default/sleep")];

/// Inside the containers every port is fixed: they collide with nobody.
const WORLD: Ports = Ports { http: 8080, tls: 8443, banner: 8025, http_detour: 0, tls_detour: 0 };
const SIDECAR_HTTP: u16 = 8080;
const SIDECAR_TCP: u16 = 8443;
const ADMIN: u16 = 9901;

/// Hosts in the world's certificate.
const HOSTS: [&str; 4] = ["www.aliyun.com", "*.aliyun.com", "www.example.com", "*.example.com"];

/// Writes all files: configurations, certificates, the filter, and the policy as the gateway reads it.
///
/// # Errors
/// When the folder cannot be written or the filter cannot be read.
pub fn write(dir: &Path, wasm: &Path, policy: &Value) -> Result<()> {
    let mesh = Authority::new("egress-lab mesh CA")?;
    let public = Authority::new("egress-lab public CA")?;
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    fs::copy(wasm, dir.join("plugin.wasm")).with_context(|| format!("reading {}", wasm.display()))?;

    let own = mesh.issue(&Leaf { uris: vec![GATEWAY_PRINCIPAL.to_owned()], ..Leaf::default() })?;
    let save = |name: &str, text: &str| {
        fs::write(dir.join(name), text).with_context(|| format!("writing {}", dir.join(name).display()))
    };
    save("gateway.crt", &own.certificate)?;
    save("gateway.key", &own.key)?;
    save("mesh-ca.crt", mesh.certificate())?;
    save("public-ca.crt", public.certificate())?;
    save("gateway.yaml", &gateway(dir, policy)?)?;
    for (file, who) in WORKLOADS {
        save(&format!("{file}.yaml"), &sidecar(&mesh, who)?)?;
    }
    let dns = HOSTS.map(ToOwned::to_owned).to_vec();
    let site = public.issue(&Leaf { dns, ..Leaf::default() })?;
    save(
        "world.yaml",
        &template::world(&json!({
            "address": "0.0.0.0", "http_port": WORLD.http, "tls_port": WORLD.tls,
            "certificate": site.certificate, "key": site.key,
        }))?,
    )
}

fn gateway(dir: &Path, policy: &Value) -> Result<String> {
    let filter = Filter::Wasm(Wasm::new(Path::new(MOUNT).join("plugin.wasm"), policy));
    let listener = |kind, port| Listener { port, ..Listener::new(kind, filter.clone()) };
    let tcp = listener(Kind::Mtls443, 443).connecting(ConnectMode::OnDownstreamTlsHandshake);
    let shape = Shape::new(
        vec![listener(Kind::Mtls80, 80), tcp, listener(Kind::Pass444, 444)]
            .into_iter()
            .map(unprivileged)
            .collect(),
    );
    let mut listeners = Vec::new();
    for listener in &shape.listeners {
        let mut slot = Slot::new(dir, &listener.name, 0, listener.kind.protocol())?;
        deliver(listener, std::slice::from_ref(&slot), 1)?;
        slot.path = inside(dir, &slot.path)?;
        slot.dir = inside(dir, &slot.dir)?;
        listeners.push((listener.clone(), vec![slot]));
    }
    let place = Place {
        dir: Path::new(MOUNT),
        address: "0.0.0.0",
        admin_port: ADMIN,
        access_log: Path::new("/dev/stdout"),
        world: "world",
    };
    template::gateway(&shape, &listeners, WORLD, &place)
}

/// The gateway's container runs without privileges: 80 is 8080 there, as in Istio's.
fn unprivileged(listener: Listener) -> Listener {
    Listener { port: listener.port.saturating_add(8000), ..listener }
}

/// A path of the folder as the container sees it.
fn inside(dir: &Path, path: &Path) -> Result<std::path::PathBuf> {
    Ok(Path::new(MOUNT).join(path.strip_prefix(dir)?))
}

fn sidecar(mesh: &Authority, who: &str) -> Result<String> {
    let identity = mesh.workload(&Principal::new(who))?;
    template::sidecar(&json!({
        "address": "0.0.0.0",
        "admin_address": "127.0.0.1",
        "admin_port": 0,
        "gateway_address": "gateway",
        "gateway_discovery": "STRICT_DNS",
        "gateway_principal": GATEWAY_PRINCIPAL,
        "mesh_ca": mesh.certificate(),
        "workloads": [{
            "name": who,
            "sni": null,
            "http_port": SIDECAR_HTTP,
            "tcp_port": SIDECAR_TCP,
            "gateway_http_port": 8080,
            "tcp": [{"gateway": "mtls443", "port": 8443}],
            "certificate": identity.certificate,
            "key": identity.key,
        }],
    }))
}
