//! Certificates: the mesh's CA with its workloads, and a public CA for the external world.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

/// A certificate with its key, as PEM text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

// === impl Identity ===

impl Identity {
    /// The same in the form that rustls takes.
    ///
    /// # Errors
    /// When the text is not PEM.
    pub fn to_rustls(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .context("reading a certificate")?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).context("reading a private key")?;
        Ok((chain, key))
    }
}

/// What a leaf certificate says.
#[derive(Debug, Clone, Default)]
pub struct Leaf {
    /// URI SANs in this order.
    pub uris: Vec<String>,
    /// DNS SANs.
    pub dns: Vec<String>,
    /// Whether its time is over.
    pub expired: bool,
}

/// A certificate authority.
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

// === impl Authority ===

impl Authority {
    /// A new authority of the given common name.
    ///
    /// # Errors
    /// When the cryptography library gives no key.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        (params.not_before, params.not_after) = validity(false);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { inner: Arc::new(Inner { certificate, issuer: Issuer::new(params, key) }) })
    }

    /// An authority that is there already, such as istiod's.
    ///
    /// # Errors
    /// When the texts are not those of a certificate and its key.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self> {
        let key = KeyPair::from_pem(key).context("the authority's key")?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key).context("the authority's certificate")?;
        Ok(Self { inner: Arc::new(Inner { certificate: certificate.to_owned(), issuer }) })
    }

    /// Its own certificate, as PEM text.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.inner.certificate
    }

    /// A certificate signed by it.
    ///
    /// # Errors
    /// When a name does not fit into a certificate.
    pub fn issue(&self, leaf: &Leaf) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("egress-lab");
        for uri in &leaf.uris {
            params
                .subject_alt_names
                .push(SanType::URI(uri.as_str().try_into().with_context(|| format!("URI SAN {uri}"))?));
        }
        for name in &leaf.dns {
            params.subject_alt_names.push(match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => {
                    SanType::DnsName(name.as_str().try_into().with_context(|| format!("DNS SAN {name}"))?)
                }
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = validity(leaf.expired);
        let certificate = params.signed_by(&key, &self.inner.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }

    /// A workload's certificate, as Istio issues it.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn workload(&self, principal: &Principal) -> Result<Identity> {
        match principal {
            Principal::Nobody => self.issue(&Leaf::default()),
            Principal::Uri(uri) => self.issue(&Leaf { uris: vec![uri.clone()], ..Leaf::default() }),
        }
    }

    /// The authority as the only root of trust.
    ///
    /// # Errors
    /// When its certificate is refused, which would be a bug here.
    pub fn roots(&self) -> Result<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.inner.certificate.as_bytes())?)?;
        Ok(Arc::new(roots))
    }
}

/// Who a workload is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// A certificate without any name.
    Nobody,
    /// A certificate with this URI SAN.
    Uri(String),
}

// === impl Principal ===

impl Principal {
    /// `namespace/service-account` in the trust domain `cluster.local`, or any URI as it stands.
    #[must_use]
    pub fn new(who: &str) -> Self {
        match who.split_once('/') {
            Some((namespace, account)) if !who.contains("://") => {
                Self::Uri(format!("spiffe://cluster.local/ns/{namespace}/sa/{account}"))
            }
            _ => Self::Uri(who.to_owned()),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => Ok(()),
            Self::Uri(uri) => f.write_str(uri),
        }
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From an hour ago for ten days, or over since half an hour.
fn validity(expired: bool) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - Duration::hours(1), if expired { now - Duration::minutes(30) } else { now + Duration::days(10) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_a_spiffe_id() {
        assert_eq!(
            Principal::new("demo/sleep"),
            Principal::Uri("spiffe://cluster.local/ns/demo/sa/sleep".to_owned())
        );
        assert_eq!(
            Principal::new("spiffe://other/ns/a/sa/b"),
            Principal::Uri("spiffe://other/ns/a/sa/b".to_owned())
        );
    }
}
