//! One ClientHello, gathered from handshake records.

use super::client_hello;
use super::message_start::MESSAGE_HEADER;
use super::record::HEADER as RECORD_HEADER;
use crate::facts::{BrokenHello, Opening};

/// The most bytes that a ClientHello may take, record headers included.
pub const MAX_HELLO: usize = 64 * 1024;

/// The message type of a ClientHello.
pub(super) const CLIENT_HELLO: u8 = 1;
/// A ClientHello so far.
#[derive(Debug, Default)]
pub(super) struct HelloMessage {
    /// Its bytes, the four of its header included.
    bytes: Vec<u8>,
    /// The same and those of its records' headers.
    taken: usize,
}

impl HelloMessage {
    /// Whether a first byte is there.
    pub(super) fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Counts the header of a further handshake record. What the message is, where that is one too many.
    pub(super) fn count_header(&mut self) -> Option<Opening> {
        if !self.has_begun() {
            return None;
        }
        self.taken += RECORD_HEADER;
        (self.taken > MAX_HELLO).then_some(Opening::Broken(BrokenHello::Oversized))
    }

    /// Adds bytes of a record that `owed` more will follow in. What the message is, once that is certain.
    pub(super) fn push(&mut self, piece: &[u8], owed: usize) -> Option<Opening> {
        if !self.has_begun() {
            self.taken = RECORD_HEADER;
        }
        // Never past the limit: it must not matter in which pieces the bytes arrive.
        let room = MAX_HELLO.saturating_sub(self.taken);
        let Some((within, beyond)) = piece.split_at_checked(room) else {
            self.taken += piece.len();
            self.bytes.extend_from_slice(piece);
            return self.read(owed);
        };
        self.taken += within.len();
        self.bytes.extend_from_slice(within);
        let oversized = || (!beyond.is_empty()).then_some(Opening::Broken(BrokenHello::Oversized));
        self.read(owed + beyond.len()).or_else(oversized)
    }

    /// Looks at the message, as far as it is there.
    fn read(&self, owed: usize) -> Option<Opening> {
        let malformed = Some(Opening::Broken(BrokenHello::Malformed));
        if self.bytes.first() != Some(&CLIENT_HELLO) {
            return malformed;
        }
        let (&[_, a, b, c], body) = self.bytes.split_first_chunk::<MESSAGE_HEADER>()?;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        if length + MESSAGE_HEADER + RECORD_HEADER > MAX_HELLO {
            return Some(Opening::Broken(BrokenHello::Oversized));
        }
        if body.len() < length {
            return None;
        }
        // What follows the ClientHello in its record would be a message that no client may send yet.
        if body.len() > length || owed > 0 {
            return malformed;
        }
        Some(client_hello::parse(body).unwrap_or(Opening::Broken(BrokenHello::Malformed)))
    }
}
