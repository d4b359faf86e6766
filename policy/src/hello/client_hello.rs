//! What a ClientHello says that the decision needs: the server name, and whether an encrypted ClientHello is there
//! (RFC 8446, 4.1.2; RFC 6066, 3; RFC 9849). Whatever two TLS stacks could read differently is malformed.

use super::record::MAJOR_VERSION;
use crate::facts::Opening;

const SERVER_NAME: u16 = 0;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
const HOST_NAME: u8 = 0;

/// The body of a ClientHello (RFC 8446, 4.1.2).
pub(super) fn parse(body: &[u8]) -> Option<Opening> {
    let mut body = Cursor(body);
    let legacy_version = body.u16()?;
    let _random = body.take(32)?;
    let session = body.vector8()?;
    let suites = body.vector16()?;
    let compressions = body.vector8()?;
    if legacy_version >> 8 != u16::from(MAJOR_VERSION)
        || session.0.len() > 32
        || suites.0.len() < 2
        || suites.0.len() % 2 != 0
        || compressions.0.is_empty()
    {
        return None;
    }
    let mut hello = (None, false);
    if !body.is_empty() {
        hello = parse_extensions(body.vector16()?)?;
        if !body.is_empty() {
            return None;
        }
    }
    let (server_name, encrypted) = hello;
    Some(Opening::Tls { server_name, encrypted })
}

/// The server name, and whether an encrypted ClientHello is there. An extension that comes twice is
/// malformed (RFC 8446, 4.2): stacks differ in which they take.
fn parse_extensions(mut extensions: Cursor<'_>) -> Option<(Option<Vec<u8>>, bool)> {
    let mut server_name = None;
    let mut kinds = Vec::new();
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let body = extensions.vector16()?;
        kinds.push(kind);
        if kind == SERVER_NAME {
            server_name = Some(parse_server_name(body)?);
        }
    }
    // Sorted, because a hello has room for 16,000 of them.
    kinds.sort_unstable();
    let distinct = kinds.is_sorted_by(|one, next| one < next);
    distinct.then(|| (server_name, kinds.binary_search(&ENCRYPTED_CLIENT_HELLO).is_ok()))
}

/// Exactly one name, of the one kind that exists (RFC 6066, 3).
fn parse_server_name(mut extension: Cursor<'_>) -> Option<Vec<u8>> {
    let mut list = extension.vector16()?;
    let kind = list.take(1)?;
    let name = list.vector16()?;
    let one_name = kind == [HOST_NAME] && !name.is_empty() && list.is_empty() && extension.is_empty();
    one_name.then(|| name.0.to_vec())
}

/// Bytes of which the first are read next.
struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, size: usize) -> Option<&'b [u8]> {
        let (head, tail) = self.0.split_at_checked(size)?;
        self.0 = tail;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        let (head, tail) = self.0.split_first_chunk::<2>()?;
        self.0 = tail;
        Some(u16::from_be_bytes(*head))
    }

    /// A vector with one byte of length.
    fn vector8(&mut self) -> Option<Self> {
        let (&length, tail) = self.0.split_first()?;
        self.0 = tail;
        self.take(usize::from(length)).map(Cursor)
    }

    /// A vector with two bytes of length.
    fn vector16(&mut self) -> Option<Self> {
        let length = self.u16()?;
        self.take(usize::from(length)).map(Cursor)
    }
}
