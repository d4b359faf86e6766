//! What a TLS client of the lab presents and insists on.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use tokio_rustls::TlsConnector;

use crate::certs::{Authority, Identity};

/// A TLS client.
#[derive(Debug, Clone)]
pub struct Tls {
    roots: Arc<RootCertStore>,
    identity: Option<Identity>,
    server_name: Option<String>,
    alpn: Vec<Vec<u8>>,
    any_name: bool,
    fragments: Option<usize>,
}

// === impl Tls ===

impl Tls {
    /// A client for the external world: the server must be who the server name says.
    ///
    /// # Errors
    /// When the authority's certificate is refused.
    pub fn public(authority: &Authority, server_name: &str) -> Result<Self> {
        let server_name = Some(server_name.to_owned());
        Ok(Self {
            roots: authority.roots()?,
            identity: None,
            server_name,
            alpn: vec![b"http/1.1".to_vec()],
            any_name: false,
            fragments: None,
        })
    }

    /// A workload for the gateway: any server of the mesh's authority, and any server name or none.
    ///
    /// # Errors
    /// When the authority's certificate is refused.
    pub fn mesh(
        authority: &Authority,
        identity: Option<Identity>,
        server_name: Option<&str>,
    ) -> Result<Self> {
        let server_name = server_name.map(ToOwned::to_owned);
        Ok(Self {
            roots: authority.roots()?,
            identity,
            server_name,
            alpn: Vec::new(),
            any_name: true,
            fragments: None,
        })
    }

    /// With these application protocols, in this order.
    #[must_use]
    pub fn with_alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// With TLS records of at most this size, so that a ClientHello takes several (32 at least).
    #[must_use]
    pub fn with_records_of(mut self, bytes: usize) -> Self {
        self.fragments = Some(bytes);
        self
    }

    /// The first flight, as it would be sent: a real ClientHello, the post-quantum key share included.
    ///
    /// # Errors
    /// As [`Tls::config`].
    pub fn client_hello(&self) -> Result<Vec<u8>> {
        let (config, name) = self.config()?;
        let mut connection = ClientConnection::new(Arc::new(config), name)?;
        let mut hello = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut hello)?;
        }
        Ok(hello)
    }

    /// The rustls form.
    ///
    /// # Errors
    /// When a certificate is refused or the server name is none.
    pub fn config(&self) -> Result<(ClientConfig, ServerName<'static>)> {
        let builder = ClientConfig::builder();
        let builder = if self.any_name {
            let inner = WebPkiServerVerifier::builder(self.roots.clone()).build()?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(inner)))
        } else {
            builder.with_root_certificates(self.roots.clone())
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.to_rustls()?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.max_fragment_size = self.fragments;
        config.enable_sni = self.server_name.is_some();
        let name = self.server_name.clone().unwrap_or_else(|| "no-server-name.example".to_owned());
        let name = ServerName::try_from(name.clone())
            .with_context(|| format!("{name:?} cannot be a server name"))?;
        Ok((config, name))
    }

    pub(crate) fn connector(&self) -> Result<(TlsConnector, ServerName<'static>)> {
        let (config, name) = self.config()?;
        Ok((TlsConnector::from(Arc::new(config)), name))
    }
}

/// The chain must lead to the mesh's root; the name is a SPIFFE ID and not the server name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
