//! What a carrier does with the bytes at hand.

/// What Envoy is to do with the headers or bytes that a callback brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Pass them on.
    Continue,
    /// Hold them.
    Pause,
}
