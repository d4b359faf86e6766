//! A client with a certificate of its own, which asks the gateway without a sidecar in between.

use anyhow::{Result, ensure};
use egress_lab::certs::{Identity, Principal};
use egress_lab::client::http::Ask;
use egress_lab::client::{Stream, Tls};
use egress_mesh_tests::authority;

use crate::{Bench, STEADY, WHO};

// === impl Bench ===

impl Bench {
    pub(crate) fn identity(&self) -> Result<Identity> {
        self.authority.workload(&Principal::new(WHO))
    }

    /// The status of a host over HTTP, on a connection of its own.
    pub(crate) fn status(&self, identity: &Identity, host: &str) -> Result<u16> {
        let tls = Tls::mesh(&self.authority, Some(identity.clone()), Some(host))?.with_alpn(&["http/1.1"]);
        let ask = Ask::parse(&format!("GET http://{host}/"))?;
        let address = authority::at(self.mesh.gateway()?, 8080);
        self.mesh.pod(WHO)?.netns().within(|| Ok(Stream::connect(address)?.tls(&tls)?.http1(&ask)?.status))
    }

    /// A live TLS connection to a site through the gateway.
    pub(crate) fn connect(&self, identity: &Identity, host: &str) -> Result<Live> {
        let outer = Tls::mesh(&self.authority, Some(identity.clone()), Some(host))?.with_alpn(&["istio"]);
        let inner = Tls::public(self.mesh.public(), host)?;
        let address = authority::at(self.mesh.gateway()?, 8443);
        let netns = self.mesh.pod(WHO)?.netns();
        let stream = netns.within(|| Stream::connect(address)?.tls(&outer)?.tls(&inner))?;
        let mut live = Live { stream, host: host.to_owned() };
        ensure!(live.is_alive(), "{host} does not answer on a new connection");
        Ok(live)
    }
}

/// A connection that is kept.
pub(crate) struct Live {
    stream: Stream,
    host: String,
}

// === impl Live ===

impl Live {
    /// Whether the site still answers on it.
    pub(crate) fn is_alive(&mut self) -> bool {
        let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.send(request.as_bytes()).is_ok() && self.stream.receive_until(b"HTTP/1.1 200").is_ok()
    }

    pub(crate) fn is_steady(&self) -> bool {
        self.host == STEADY
    }
}
