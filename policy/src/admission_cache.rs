//! What was admitted before and may be admitted again without a decision: most traffic of a gateway is a few workloads
//! asking for a few hosts.
//!
//! An admission is kept where peer, authority and server name were all that was read to come to it. A request with the
//! same three, byte for byte, is then admitted by the same configuration without being decided anew. A cache belongs to
//! one configuration and ends with it; nothing that read the clock is kept, and no refusal is.

use crate::attributes::{Attributes, Claim, Read, Unreadable};
use crate::time::Timestamp;
use crate::verdict::Decision;
use rustc_hash::FxHasher;
use std::cell::{Cell, OnceCell};
use std::hash::Hasher as _;

/// Longer names than this are decided each time, so that a cache is bounded. A host name has at most 253 bytes.
const MAX_NAME: usize = 300;

/// Requests that one configuration admitted.
#[derive(Debug, Default)]
pub struct AdmissionCache {
    /// Empty until the first is inserted.
    slots: Vec<Option<Admission>>,
}

/// The place of an admission in its cache, from 0 to [`AdmissionCache::SLOTS`] − 1: whoever keeps something beside an
/// admission keeps it by this. A newer admission may take over the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionId(usize);

#[derive(Debug)]
struct Admission {
    peer: Box<[u8]>,
    authority: Box<[u8]>,
    /// The server name, where it was asked for: it may be absent.
    server_name: Option<Option<Box<[u8]>>>,
}

/// The attributes of one request, each read once, and what of them a decision has asked for.
pub struct RecordingAttributes<'a> {
    host: &'a dyn Attributes,
    peer: OnceCell<Read<Vec<u8>>>,
    authority: OnceCell<Read<Vec<u8>>>,
    server_name: OnceCell<Read<Vec<u8>>>,
    /// Whether anything else was asked for.
    beyond: Cell<bool>,
}

// === impl AdmissionCache ===

impl AdmissionCache {
    /// How many admissions are kept; a newer one takes the place of an older one of the same hash.
    pub const SLOTS: usize = 1_024;

    /// The admission of an identical request; `None` where the request has to be decided.
    pub fn get(&self, request: &RecordingAttributes<'_>) -> Option<AdmissionId> {
        if self.slots.is_empty() {
            return None;
        }
        let (peer, authority) = request.who_and_what()?;
        let slot = slot(peer, authority);
        let admission = self.slots.get(slot)?.as_ref()?;
        if *admission.peer != *peer || *admission.authority != *authority {
            return None;
        }
        if let Some(kept) = &admission.server_name {
            let now = request.server_name.get_or_init(|| request.host.server_name()).as_ref().ok()?;
            if kept.as_deref() != now.as_deref() {
                return None;
            }
        }
        Some(AdmissionId(slot))
    }

    /// Keeps the admission of a request, unless the decision is not [cacheable](Decision::is_cacheable) or read more than the
    /// cache compares. `decision` must be the engine's answer to this very request.
    pub fn insert(
        &mut self,
        request: &RecordingAttributes<'_>,
        decision: &Decision<'_>,
    ) -> Option<AdmissionId> {
        if !decision.is_cacheable || request.beyond.get() {
            return None;
        }
        let (peer, authority) = request.who_and_what()?;
        let server_name = match request.server_name.get() {
            None => None,
            Some(Ok(None)) => Some(None),
            Some(Ok(Some(name))) if is_short(name) => Some(Some(name.as_slice().into())),
            Some(_) => return None,
        };
        if self.slots.is_empty() {
            self.slots.resize_with(Self::SLOTS, || None);
        }
        let slot = slot(peer, authority);
        *self.slots.get_mut(slot)? =
            Some(Admission { peer: peer.into(), authority: authority.into(), server_name });
        Some(AdmissionId(slot))
    }
}

impl AdmissionId {
    /// The number of the place.
    #[must_use]
    pub fn slot(self) -> usize {
        self.0
    }
}

/// Whether a name may be kept.
fn is_short(name: &[u8]) -> bool {
    name.len() <= MAX_NAME
}

fn slot(peer: &[u8], authority: &[u8]) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write(peer);
    hasher.write(authority);
    // FxHasher puts its well-mixed bits last, so the rest of a small division is spread.
    hasher.finish() as usize % AdmissionCache::SLOTS
}

// === impl RecordingAttributes ===

impl<'a> RecordingAttributes<'a> {
    /// The attributes of a request.
    pub fn of(host: &'a dyn Attributes) -> Self {
        Self {
            host,
            peer: OnceCell::new(),
            authority: OnceCell::new(),
            server_name: OnceCell::new(),
            beyond: Cell::new(false),
        }
    }

    /// The certificate's name and the authority, where both are there and of a length to be kept.
    fn who_and_what(&self) -> Option<(&[u8], &[u8])> {
        let peer = self.peer.get_or_init(|| self.host.peer_certificate());
        let authority = self.authority.get_or_init(|| self.host.authority());
        match (peer, authority) {
            (Ok(Some(peer)), Ok(Some(authority))) if is_short(peer) && is_short(authority) => {
                Some((peer, authority))
            }
            _ => None,
        }
    }

    fn beyond(&self) -> &'a dyn Attributes {
        self.beyond.set(true);
        self.host
    }
}

impl Attributes for RecordingAttributes<'_> {
    fn peer_certificate(&self) -> Read<Vec<u8>> {
        self.peer.get_or_init(|| self.host.peer_certificate()).clone()
    }

    fn authority(&self) -> Read<Vec<u8>> {
        self.authority.get_or_init(|| self.host.authority()).clone()
    }

    fn server_name(&self) -> Read<Vec<u8>> {
        self.server_name.get_or_init(|| self.host.server_name()).clone()
    }

    fn presents_certificate(&self) -> Result<bool, Unreadable> {
        self.beyond().presents_certificate()
    }

    fn peer_filter_state(&self) -> Read<Vec<u8>> {
        self.beyond().peer_filter_state()
    }

    fn source_address(&self) -> Read<Vec<u8>> {
        self.beyond().source_address()
    }

    fn destination_address(&self) -> Read<Vec<u8>> {
        self.beyond().destination_address()
    }

    fn destination_port(&self) -> Read<u16> {
        self.beyond().destination_port()
    }

    fn cluster_name(&self) -> Read<Vec<u8>> {
        self.beyond().cluster_name()
    }

    fn upstream_address(&self) -> Read<Vec<u8>> {
        self.beyond().upstream_address()
    }

    fn method(&self) -> Read<Vec<u8>> {
        self.beyond().method()
    }

    fn path(&self) -> Read<Vec<u8>> {
        self.beyond().path()
    }

    fn header(&self, name: &str) -> Read<Vec<u8>> {
        self.beyond().header(name)
    }

    fn claim(&self, path: &[Box<str>]) -> Read<Claim> {
        self.beyond().claim(path)
    }

    fn now(&self) -> Result<Timestamp, Unreadable> {
        self.beyond().now()
    }
}
