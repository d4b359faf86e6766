//! What the first bytes of a connection begin: a ClientHello, TLS that hides one, or no TLS at all.
//!
//! TLS servers take more than the standard has. Go's and BoringSSL's drop warning alerts that come before the ClientHello,
//! Go's with any record version below 16.0, and so it takes the ClientHello; OpenSSL's drops empty records; OpenSSL's,
//! BoringSSL's and GnuTLS' take a ClientHello in the format of SSL 2.0. None of these may pass for plain bytes, whose host is
//! the outer name. Plain protocols that begin alike are told apart by as many bytes as it takes: a table is in `docs/tls.md`.

use super::record::{ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, HEARTBEAT, MAJOR_VERSION, MAX_CIPHERTEXT};
use std::ops::RangeInclusive;

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstBytes {
    /// Too few to tell.
    Undecided,
    /// A handshake record of TLS.
    Handshake,
    /// TLS that is not read: another record before the ClientHello, another record version, or SSL 2.0.
    HiddenTls,
    /// No TLS.
    Plain,
}

const CLIENT_HELLO: u8 = 1;
/// The lengths of a ClientHello that any server takes, without the four bytes before it.
const HELLO_LENGTHS: RangeInclusive<u32> = 38..=0x1_0000;
/// The same in the format of SSL 2.0, its type included.
const SSL2_LENGTHS: RangeInclusive<usize> = 9..=MAX_CIPHERTEXT;
const RECORD_KINDS: RangeInclusive<u8> = CHANGE_CIPHER_SPEC..=HEARTBEAT;

impl FirstBytes {
    /// What these bytes begin. The answer to more bytes differs only where this one is `Undecided`.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match *bytes {
            [] => Self::Undecided,
            [HANDSHAKE, MAJOR_VERSION, ..] => Self::Handshake,
            [kind, MAJOR_VERSION, ..] if RECORD_KINDS.contains(&kind) => Self::HiddenTls,
            [kind] if RECORD_KINDS.contains(&kind) => Self::Undecided,
            [HANDSHAKE | ALERT, _] => Self::Undecided,
            [HANDSHAKE, _, _, ref rest @ ..] => Self::hello_of_another_version(rest),
            [ALERT, _, _, ref rest @ ..] => Self::alert_of_another_version(rest),
            [high, ref rest @ ..] if high & 0x80 != 0 => Self::ssl2(high & 0x7f, rest),
            _ => Self::Plain,
        }
    }

    /// Behind type and version of a handshake record: its length, and the ClientHello's type and length.
    fn hello_of_another_version(rest: &[u8]) -> Self {
        let (&[high, low], message) = match rest.split_first_chunk::<2>() {
            Some(split) => split,
            None => return Self::Undecided,
        };
        match (usize::from(u16::from_be_bytes([high, low])), message) {
            (0, &[next, ..]) => Self::hidden_if(RECORD_KINDS.contains(&next)),
            // A record that ends in the message's header: the next record follows.
            (length @ 1..=3, &[CLIENT_HELLO, ref after @ ..]) => match after.get(length - 1) {
                Some(next) => Self::hidden_if(RECORD_KINDS.contains(next)),
                None => Self::Undecided,
            },
            (length, &[CLIENT_HELLO, a, b, c, ..]) => Self::hidden_if(
                length <= MAX_CIPHERTEXT && HELLO_LENGTHS.contains(&u32::from_be_bytes([0, a, b, c])),
            ),
            (_, [] | [CLIENT_HELLO, ..]) => Self::Undecided,
            _ => Self::Plain,
        }
    }

    /// Behind type and version of an alert: its length, which is two, and the type of the next record.
    fn alert_of_another_version(rest: &[u8]) -> Self {
        match *rest {
            [0, 0, next, ..] | [0, 2, _, _, next, ..] => Self::hidden_if(RECORD_KINDS.contains(&next)),
            [] | [0] | [0, 0 | 2, ..] => Self::Undecided,
            _ => Self::Plain,
        }
    }

    /// Behind the upper bits of the length of a ClientHello of SSL 2.0 (RFC 5246, E.2): the lower ones, type, and version.
    fn ssl2(high: u8, rest: &[u8]) -> Self {
        match *rest {
            [low, ..] if !SSL2_LENGTHS.contains(&usize::from(u16::from_be_bytes([high, low]))) => Self::Plain,
            [_, CLIENT_HELLO, MAJOR_VERSION, ..] | [_, CLIENT_HELLO, 0, 2, ..] => Self::HiddenTls,
            [] | [_] | [_, CLIENT_HELLO] | [_, CLIENT_HELLO, 0] => Self::Undecided,
            _ => Self::Plain,
        }
    }

    fn hidden_if(is_tls: bool) -> Self {
        if is_tls { Self::HiddenTls } else { Self::Plain }
    }
}
