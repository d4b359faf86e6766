//! The site's answer to a ClientHello, read as far as its ServerHello.

use super::message_start::{MESSAGE_HEADER, MessageStart};
use super::record::{
    APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, MAJOR_VERSION, MAX_CIPHERTEXT, Part, Records,
};

const SERVER_HELLO: u8 = 2;
/// Version and random, which a ServerHello begins with.
const VERSION: usize = 2;
const RANDOM: usize = 32;
const NEEDED: usize = MESSAGE_HEADER + VERSION + RANDOM;
/// The random of a HelloRetryRequest (RFC 8446, 4.1.3).
const HELLO_RETRY_REQUEST: [u8; RANDOM] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The site's bytes so far.
#[derive(Debug, Default)]
pub(super) struct ServerHelloReader {
    records: Records,
    in_handshake: bool,
    message: MessageStart<NEEDED>,
    /// Whether the site does not speak TLS. Then no ServerHello is believed any more.
    is_lost: bool,
}

impl ServerHelloReader {
    /// Whether these bytes hold a ServerHello that is no HelloRetryRequest, or the end of one.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !self.is_lost
            && let Some(part) = self.records.next_part(&mut rest)
        {
            match part {
                Part::Header(header) => {
                    self.in_handshake = header.kind == HANDSHAKE;
                    self.is_lost = header.major_version != MAJOR_VERSION
                        || !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&header.kind)
                        || header.length > MAX_CIPHERTEXT;
                }
                Part::Body { mut piece, .. } if self.in_handshake => {
                    while let Some(message) = self.message.next_start(&mut piece) {
                        if is_server_hello(&message) {
                            return true;
                        }
                    }
                }
                Part::Body { .. } => {}
            }
        }
        false
    }
}

fn is_server_hello(message: &[u8]) -> bool {
    message.first() == Some(&SERVER_HELLO)
        && message.len() == NEEDED
        && !message.ends_with(&HELLO_RETRY_REQUEST)
}
