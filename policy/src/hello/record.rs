//! TLS records (RFC 8446, 5.1): which kinds there are, and bytes cut at their borders.

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
pub(super) const HEARTBEAT: u8 = 24;
/// The first byte of every version of SSL and TLS that a record may state.
pub(super) const MAJOR_VERSION: u8 = 3;
/// The size of a record's header.
pub(super) const HEADER: usize = 5;
/// The longest plaintext record.
pub(super) const MAX_PLAINTEXT: usize = 1 << 14;
/// The longest encrypted record (RFC 5246, 6.2.3).
pub(super) const MAX_CIPHERTEXT: usize = MAX_PLAINTEXT + 2048;

/// What a record's header says.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordHeader {
    pub(super) kind: u8,
    pub(super) major_version: u8,
    pub(super) length: usize,
}

/// A part of a record.
pub(super) enum Part<'b> {
    Header(RecordHeader),
    /// Bytes of what the record holds, and how many more of it are to come.
    Body {
        piece: &'b [u8],
        owed: usize,
    },
}

/// Cuts a stream of bytes into the parts of its records.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Bytes of a header that is not whole yet.
    header: Vec<u8>,
    /// Bytes that the current record still owes.
    owed: usize,
}

impl Records {
    /// Takes the next part from the front of `bytes`. `None` once they are used up.
    pub(super) fn next_part<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Part<'b>> {
        if bytes.is_empty() {
            return None;
        }
        if self.owed > 0 {
            let (piece, rest) = bytes.split_at_checked(self.owed.min(bytes.len()))?;
            *bytes = rest;
            self.owed -= piece.len();
            return Some(Part::Body { piece, owed: self.owed });
        }
        let missing = HEADER.saturating_sub(self.header.len());
        let (piece, rest) = bytes.split_at_checked(missing.min(bytes.len()))?;
        *bytes = rest;
        self.header.extend_from_slice(piece);
        let &[kind, major_version, _, high, low] = self.header.as_slice() else {
            return None;
        };
        self.header.clear();
        let length = usize::from(u16::from_be_bytes([high, low]));
        self.owed = length;
        Some(Part::Header(RecordHeader { kind, major_version, length }))
    }
}
