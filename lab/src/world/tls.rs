//! HTTPS for any server name: the certificate is made when the name is asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::{Counters, http};
use crate::certs::{Authority, Leaf};

/// The name of a certificate for clients that ask for none.
const NAMELESS: &str = "nameless.example";

/// Server configurations by server name.
#[derive(Clone)]
pub(super) struct Certificates {
    authority: Authority,
    made: Arc<Mutex<HashMap<String, Arc<ServerConfig>>>>,
}

// === impl Certificates ===

impl Certificates {
    pub(super) fn new(authority: Authority) -> Self {
        Self { authority, made: Arc::default() }
    }

    fn config(&self, name: &str) -> Result<Arc<ServerConfig>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = made.get(name) {
            return Ok(config.clone());
        }
        let identity = self.authority.issue(&Leaf { dns: vec![name.to_owned()], ..Leaf::default() })?;
        let (chain, key) = identity.to_rustls()?;
        let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        made.insert(name.to_owned(), config.clone());
        Ok(config)
    }
}

pub(super) async fn serve(stream: TcpStream, certificates: Certificates, counters: Counters) {
    let Ok(handshake) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else {
        return;
    };
    let name = handshake.client_hello().server_name().unwrap_or_default().to_ascii_lowercase();
    counters.update(|seen| *seen.hellos.entry(name.clone()).or_default() += 1);
    let Ok(config) = certificates.config(if name.is_empty() { NAMELESS } else { &name }) else {
        return;
    };
    if let Ok(stream) = handshake.into_stream(config).await {
        http::serve(stream, Some(name), counters).await;
    }
}
