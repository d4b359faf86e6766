//! What was admitted before, and may be again unread: most traffic of a gateway is a few workloads asking for a few hosts.
//!
//! An admission is remembered where peer, authority and server name were all that was asked to come to it. Whoever
//! has the same three, byte for byte, is then admitted by the same configuration without being judged anew. A admission_cache
//! belongs to one configuration and ends with it; nothing that looked at the clock is kept, and no refusal is.

use crate::attributes::{Attributes, Claim, Read, Unreadable};
use crate::time::Timestamp;
use rustc_hash::FxHasher;
use std::cell::{Cell, OnceCell};
use std::hash::Hasher as _;

/// How many admissions are kept; a newer one takes the place of an older one of the same hash.
const SLOTS: usize = 1_024;
/// Longer names than this are judged each time, so that a admission_cache is bounded. A host name has at most 253 bytes.
const MAX_NAME: usize = 300;

/// Admissions of one configuration, each with what the caller wants to know when it is met again.
#[derive(Debug)]
pub struct AdmissionCache<T> {
    /// Empty until there is something to insert.
    slots: Vec<Option<Admission<T>>>,
}

#[derive(Debug)]
struct Admission<T> {
    peer: Box<[u8]>,
    authority: Box<[u8]>,
    /// The server name, where it was asked for: it may be absent.
    server_name: Option<Option<Box<[u8]>>>,
    kept: T,
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

impl<T> Default for AdmissionCache<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T: Copy> AdmissionCache<T> {
    /// What was kept with the admission of a request like this; none where it has to be judged.
    pub fn get(&self, asking: &RecordingAttributes<'_>) -> Option<T> {
        if self.slots.is_empty() {
            return None;
        }
        let (peer, authority) = asking.who_and_what()?;
        let admission = self.slots.get(slot(peer, authority))?.as_ref()?;
        if *admission.peer != *peer || *admission.authority != *authority {
            return None;
        }
        if let Some(kept) = &admission.server_name {
            let now = asking.server_name.get_or_init(|| asking.host.server_name()).as_ref().ok()?;
            if kept.as_deref() != now.as_deref() {
                return None;
            }
        }
        Some(admission.kept)
    }

    /// Keeps an admission, where nothing but what a admission_cache compares was asked for. The caller sees to it that it is
    /// an admission, and that there is nothing else to say of it.
    pub fn insert(&mut self, asking: &RecordingAttributes<'_>, kept: T) {
        let Some((peer, authority)) = asking.who_and_what().filter(|_| !asking.beyond.get()) else {
            return;
        };
        let server_name = match asking.server_name.get() {
            None => None,
            Some(Ok(None)) => Some(None),
            Some(Ok(Some(name))) if is_short(name) => Some(Some(name.as_slice().into())),
            Some(_) => return,
        };
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        if let Some(slot) = self.slots.get_mut(slot(peer, authority)) {
            *slot = Some(Admission { peer: peer.into(), authority: authority.into(), server_name, kept });
        }
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
    hasher.finish() as usize % SLOTS
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
