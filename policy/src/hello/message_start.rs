//! Handshake messages across records: how each begins, and how long it is.

/// Type and length, which begin every handshake message.
pub(super) const MESSAGE_HEADER: usize = 4;

/// The first bytes of one message after the other; the rest of each is passed over and not kept.
#[derive(Debug, Default)]
pub(super) struct MessageStart<const NEEDED: usize> {
    start: Vec<u8>,
    /// Bytes of the message that are still to be passed over.
    skip: usize,
}

impl<const NEEDED: usize> MessageStart<NEEDED> {
    /// Whether a message has begun and is not whole.
    pub(super) fn is_inside(&self) -> bool {
        self.skip > 0 || !self.start.is_empty()
    }

    /// Passes over what is left of a message whose start is known.
    pub(super) fn pass_over(&mut self, bytes: &mut &[u8]) {
        let (passed, rest) = bytes.split_at_checked(self.skip).unwrap_or((bytes, &[]));
        self.skip -= passed.len();
        *bytes = rest;
    }

    /// The next message's first `NEEDED` bytes, or all of it where it has fewer; takes what it reads from `bytes`.
    pub(super) fn next_start(&mut self, bytes: &mut &[u8]) -> Option<Vec<u8>> {
        self.pass_over(bytes);
        while let Some((&next, rest)) = bytes.split_first() {
            *bytes = rest;
            self.start.push(next);
            let Some((&[_, a, b, c], body)) = self.start.split_first_chunk::<MESSAGE_HEADER>() else {
                continue;
            };
            let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
            if body.len() == length || self.start.len() == NEEDED {
                self.skip = length - body.len();
                return Some(std::mem::take(&mut self.start));
            }
        }
        None
    }
}
