//! World, gateway and sidecars together.

use anyhow::Result;

use crate::certs::{Authority, Identity, Principal};
use crate::client::http::{Answer, Ask};
use crate::client::{Stream, Tls};
use crate::envoy::Options;
use crate::gateway::Gateway;
use crate::provision::EnvoyBinary;
use crate::shape::{Kind, Shape};
use crate::sidecar::{Sidecars, Workload};
use crate::world::World;

/// A running mesh; dropping it ends all of it.
pub struct Mesh {
    // Dropped in this order: from the client's side to the site's.
    sidecars: Option<Sidecars>,
    gateway: Gateway,
    world: World,
    authority: Authority,
    public: Authority,
}

// === impl Mesh ===

impl Mesh {
    /// Starts a mesh with the Envoy of [`EnvoyBinary::find`].
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start(shape: &Shape, workloads: &[Workload]) -> Result<Self> {
        Self::start_with(&EnvoyBinary::find()?, shape, workloads, &Options::default())
    }

    /// Starts a mesh.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start_with(
        binary: &EnvoyBinary,
        shape: &Shape,
        workloads: &[Workload],
        options: &Options,
    ) -> Result<Self> {
        let (authority, public, world) = foundation()?;
        let gateway = Gateway::start(binary, &authority, &public, world.ports(), shape, options)?;
        let sidecars = Self::sidecars_for(binary, &authority, &gateway, shape, workloads)?;
        Ok(Self { sidecars, gateway, world, authority, public })
    }

    /// Starts world and gateway only and does not wait for the gateway's listeners: for configurations that Envoy refuses.
    ///
    /// # Errors
    /// When Envoy does not start at all.
    pub fn launch(binary: &EnvoyBinary, shape: &Shape, options: &Options) -> Result<Self> {
        let (authority, public, world) = foundation()?;
        let gateway = Gateway::launch(binary, &authority, &public, world.ports(), shape, options)?;
        Ok(Self { sidecars: None, gateway, world, authority, public })
    }

    fn sidecars_for(
        binary: &EnvoyBinary,
        authority: &Authority,
        gateway: &Gateway,
        shape: &Shape,
        workloads: &[Workload],
    ) -> Result<Option<Sidecars>> {
        let named = |kind| {
            shape
                .listeners
                .iter()
                .filter(move |listener| listener.kind == kind)
                .map(|listener| listener.name.as_str())
        };
        let tcp: Vec<&str> = named(Kind::Mtls443).collect();
        let Some(http) = named(Kind::Mtls80).next().filter(|_| !workloads.is_empty()) else {
            return Ok(None);
        };
        Sidecars::start(binary, authority, gateway, http, &tcp, workloads, &Options::default()).map(Some)
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The gateway, to change it. After a restart of it the sidecars still point to its old ports.
    pub fn gateway_mut(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    /// The external world.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The mesh's certificate authority.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The external world's certificate authority.
    #[must_use]
    pub fn public(&self) -> &Authority {
        &self.public
    }

    /// The sidecars.
    ///
    /// # Errors
    /// When the mesh was started without any.
    pub fn sidecars(&self) -> Result<&Sidecars> {
        self.sidecars.as_ref().ok_or_else(|| anyhow::anyhow!("this mesh has no sidecars"))
    }

    /// What a workload gets that asks by HTTP through its sidecar.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn http(&self, workload: &str, ask: &Ask) -> Result<Answer> {
        Stream::connect(self.sidecars()?.http(workload)?)?.http1(ask)
    }

    /// A workload's certificate.
    ///
    /// # Errors
    /// When it cannot be issued.
    pub fn identity(&self, who: &str) -> Result<Identity> {
        self.authority.workload(&Principal::new(who))
    }

    /// A direct mTLS connection to a listener, without a sidecar: any principal, any server name or none, any ALPN.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn direct(
        &self,
        listener: &str,
        identity: Option<Identity>,
        server_name: Option<&str>,
        alpn: &[&str],
    ) -> Result<Stream> {
        let tls = Tls::mesh(&self.authority, identity, server_name)?.with_alpn(alpn);
        Stream::connect(self.gateway.address(listener)?)?.tls(&tls)
    }
}

fn foundation() -> Result<(Authority, Authority, World)> {
    let authority = Authority::new("egress-lab mesh CA")?;
    let public = Authority::new("egress-lab public CA")?;
    let world = World::start(&public)?;
    Ok((authority, public, world))
}
