//! Who is asking: the peer of the connection, by its certificate or by what a waypoint carries.

use crate::attributes::{Attributes, Unreadable};
use crate::names::SpiffeId;
use crate::patterns::TrustDomains;

/// The peer, as far as its identity could be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A workload of this mesh.
    Workload(SpiffeId),
    /// No certificate at all.
    Nobody,
    /// A name that is not a workload identity, or a certificate without one.
    Invalid,
    /// A workload of a trust domain that is not listed.
    Foreign(SpiffeId),
}

impl Peer {
    /// Reads the peer: the certificate's first URI SAN, or else the filter state of a waypoint.
    ///
    /// # Errors
    /// [`Unreadable`] where Envoy has no answer.
    pub fn read(attributes: &dyn Attributes, domains: &TrustDomains) -> Result<Self, Unreadable> {
        if let Some(name) = non_empty(attributes.peer_certificate()?) {
            return Ok(Self::from_name(&name, domains));
        }
        // A certificate without a URI SAN is a peer with a bad name, and no reason to look elsewhere.
        if attributes.presents_certificate()? {
            return Ok(Self::Invalid);
        }
        Ok(match non_empty(attributes.peer_filter_state()?) {
            Some(name) => Self::from_name(&name, domains),
            None => Self::Nobody,
        })
    }

    fn from_name(name: &[u8], domains: &TrustDomains) -> Self {
        match SpiffeId::parse(name) {
            Ok(id) if domains.contains(id.trust_domain()) => Self::Workload(id),
            Ok(id) => Self::Foreign(id),
            Err(_) => Self::Invalid,
        }
    }

    /// The identity, where it is one of this mesh.
    #[must_use]
    pub fn workload(&self) -> Option<&SpiffeId> {
        match self {
            Self::Workload(id) => Some(id),
            Self::Nobody | Self::Invalid | Self::Foreign(_) => None,
        }
    }

    /// The namespace whose policies apply.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.workload().map(SpiffeId::namespace)
    }
}

fn non_empty(name: Option<Vec<u8>>) -> Option<Vec<u8>> {
    name.filter(|name| !name.is_empty())
}
