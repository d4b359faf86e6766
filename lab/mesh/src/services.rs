//! What stands around the mesh: the OCI registry, the DNS server, the external world.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};
use egress_image::layout::Layout;
use egress_image::registry::Registry as Client;
use egress_lab::certs::Authority;
use egress_lab::world::{Ports, World};

use crate::daemon::Daemon;
use crate::netns::{Netns, within};
use crate::place::{
    HUB, HUB_ADDRESS, ISTIOD, REGISTRY_PORT, WORLD_ADDRESS, WORLD_BANNER, WORLD_HTTP, WORLD_TLS, hub,
    image_repository, run_dir,
};

/// A real registry without users.
pub(crate) fn registry(netns: &Netns) -> Result<Daemon> {
    let dir = run_dir("registry");
    fs::create_dir_all(&dir)?;
    let config = dir.join("config.yml");
    let storage = dir.join("storage");
    fs::write(
        &config,
        format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: {}}}\n",
            storage.display(),
            hub(REGISTRY_PORT)
        ),
    )?;
    let mut command = netns.command("docker-registry");
    let mut registry = Daemon::start("registry", command.arg("serve").arg(&config))?;
    registry.ready(Duration::from_secs(20), || {
        within(HUB, || Ok(TcpStream::connect(hub(REGISTRY_PORT))?)).is_ok()
    })?;
    Ok(registry)
}

/// A DNS server that knows the world's address for every name.
pub(crate) fn dns(netns: &Netns) -> Result<Daemon> {
    let mut command = netns.command("dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
    ]);
    command.args(["--user=root", "--bind-interfaces", "--cache-size=0"]);
    command.arg(format!("--listen-address={HUB_ADDRESS}")).arg(format!("--address=/#/{WORLD_ADDRESS}"));
    // What belongs to the cluster is none of the world's.
    command.arg(format!("--address=/{ISTIOD}/{HUB_ADDRESS}")).arg("--local=/cluster.local/");
    let mut dns = Daemon::start("dns", &mut command)?;
    dns.ready(Duration::from_secs(20), || within(HUB, || Ok(TcpStream::connect(hub(53))?)).is_ok())?;
    Ok(dns)
}

/// The external world, in its own namespace; it lives in this process, so that what it has seen can be asked at once.
pub(crate) fn world(netns: &Netns, public: &Authority) -> Result<World> {
    let ports =
        Ports { http: WORLD_HTTP, tls: WORLD_TLS, banner: WORLD_BANNER, http_detour: 0, tls_detour: 0 };
    netns.within(|| World::start_at(public, WORLD_ADDRESS, ports))
}

/// Pushes the image of a layout (what `make image` built) under a tag; gives the reference by digest, with `oci://`.
pub(crate) fn push(layout: &std::path::Path, tag: &str) -> Result<String> {
    let image = Layout::open(layout)
        .and_then(|layout| layout.read())
        .with_context(|| format!("{}: run `make image`", layout.display()))?;
    let digest = within(HUB, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let registry = Client::of(&format!("{}:{tag}", image_repository()), true)?;
        runtime.block_on(registry.push(&image))
    })?;
    Ok(format!("oci://{}@{digest}", image_repository()))
}
