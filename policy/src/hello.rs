//! The ClientHello inside a connection, read as it arrives and never consumed.
//!
//! Only what the decision needs is kept: the server name, and whether an encrypted ClientHello is there
//! (RFC 8446, 4.1.2; RFC 6066, 3; RFC 9849). Whatever two TLS stacks could read differently is malformed.

use crate::facts::{BrokenHello, Opening};

/// The most bytes that a ClientHello may take, record headers included.
pub const MAX_HELLO: usize = 64 * 1024;

/// What the bytes so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Too few to tell.
    More,
    /// A whole ClientHello, a broken one, or no TLS at all.
    Done(Opening),
}

/// Reads the first bytes of a connection, in pieces of any size.
#[derive(Debug, Default)]
pub struct HelloReader {
    /// Bytes of a record header that is not whole yet.
    header: Vec<u8>,
    /// Bytes that the current record still owes.
    owed: usize,
    /// The handshake message so far, its four bytes of header included.
    message: Vec<u8>,
    /// All bytes so far.
    seen: usize,
}

const RECORD_HEADER: usize = 5;
const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const MESSAGE_HEADER: usize = 4;
/// The longest plaintext record (RFC 8446, 5.1).
const MAX_RECORD: usize = 1 << 14;
const SERVER_NAME: u16 = 0;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
const HOST_NAME: u8 = 0;

impl HelloReader {
    /// How many bytes have been read.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Whether a ClientHello has begun and is not whole.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.seen > 0
    }

    /// Reads the bytes that follow those read before.
    pub fn push(&mut self, bytes: &[u8]) -> Progress {
        let mut rest = bytes;
        while let Some((&first, tail)) = rest.split_first() {
            if self.seen >= MAX_HELLO {
                return Progress::Done(Opening::Broken(BrokenHello::Oversized));
            }
            if self.owed == 0 {
                rest = tail;
                self.seen += 1;
                self.header.push(first);
                if let Some(done) = self.read_header() {
                    return Progress::Done(done);
                }
            } else {
                // Never past the limit: it must not matter in which pieces the bytes arrive.
                let take = self.owed.min(rest.len()).min(MAX_HELLO - self.seen);
                let Some((piece, after)) = rest.split_at_checked(take) else {
                    return Progress::More;
                };
                rest = after;
                self.seen += take;
                self.owed -= take;
                self.message.extend_from_slice(piece);
                if let Some(done) = self.read_message() {
                    return Progress::Done(done);
                }
            }
        }
        Progress::More
    }

    /// Looks at the record header, as far as it is there.
    fn read_header(&mut self) -> Option<Opening> {
        // No record is empty, so a message has no byte before its first one.
        let is_first = self.message.is_empty();
        let no_handshake = if is_first { Opening::Plain } else { Opening::Broken(BrokenHello::Malformed) };
        match *self.header.as_slice() {
            [HANDSHAKE_RECORD]
            | [HANDSHAKE_RECORD, 3]
            | [HANDSHAKE_RECORD, 3, _]
            | [HANDSHAKE_RECORD, 3, _, _] => None,
            [HANDSHAKE_RECORD, 3, _, high, low] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length == 0 || length > MAX_RECORD {
                    return Some(Opening::Broken(BrokenHello::Malformed));
                }
                debug_assert_eq!(self.header.len(), RECORD_HEADER);
                self.header.clear();
                self.owed = length;
                None
            }
            _ => Some(no_handshake),
        }
    }

    /// Looks at the handshake message, as far as it is there.
    fn read_message(&mut self) -> Option<Opening> {
        let malformed = Some(Opening::Broken(BrokenHello::Malformed));
        if self.message.first() != Some(&CLIENT_HELLO) {
            return malformed;
        }
        let (&[_, a, b, c], body) = self.message.split_first_chunk::<MESSAGE_HEADER>()?;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        if length + MESSAGE_HEADER + RECORD_HEADER > MAX_HELLO {
            return Some(Opening::Broken(BrokenHello::Oversized));
        }
        if body.len() < length {
            return None;
        }
        // What follows the ClientHello in its record would be a message that no client may send yet.
        if body.len() > length || self.owed > 0 {
            return malformed;
        }
        Some(parse_client_hello(body).unwrap_or(Opening::Broken(BrokenHello::Malformed)))
    }
}

/// The body of a ClientHello (RFC 8446, 4.1.2).
fn parse_client_hello(body: &[u8]) -> Option<Opening> {
    let mut body = Cursor(body);
    let legacy_version = body.u16()?;
    let _random = body.take(32)?;
    let session = body.vector8()?;
    let suites = body.vector16()?;
    let compressions = body.vector8()?;
    if legacy_version >> 8 != 3
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

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap();
        [&kind.to_be_bytes()[..], &length.to_be_bytes(), body].concat()
    }

    fn server_name(name: &[u8]) -> Vec<u8> {
        let length = u16::try_from(name.len()).unwrap();
        let entry = [&[0][..], &length.to_be_bytes(), name].concat();
        let list = u16::try_from(entry.len()).unwrap();
        extension(0, &[&list.to_be_bytes()[..], &entry].concat())
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend([0, 2, 0x13, 0x01]);
        body.extend([1, 0]);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[1][..], &length[1..], &body].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |piece: &[u8]| {
            let length = u16::try_from(piece.len()).unwrap();
            [&[22, 3, 1][..], &length.to_be_bytes(), piece].concat()
        };
        message.chunks(size).flat_map(record).collect()
    }

    fn read(bytes: &[u8]) -> Progress {
        HelloReader::default().push(bytes)
    }

    fn tls(name: Option<&str>, encrypted: bool) -> Progress {
        let server_name = name.map(|name| name.as_bytes().to_vec());
        Progress::Done(Opening::Tls { server_name, encrypted })
    }

    const MALFORMED: Progress = Progress::Done(Opening::Broken(BrokenHello::Malformed));
    const OVERSIZED: Progress = Progress::Done(Opening::Broken(BrokenHello::Oversized));

    #[test]
    fn every_prefix_waits_and_every_split_agrees() {
        let hello =
            [server_name(b"www.aliyun.com"), extension(0xfe0d, &[1, 2, 3]), extension(51, &[0; 1300])];
        let message = message(&hello.concat());
        for size in [1, 5, 700, 16384] {
            let bytes = records(&message, size);
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), Progress::More, "{size} {cut}");
            }
            assert_eq!(read(&bytes), tls(Some("www.aliyun.com"), true));
            let mut reader = HelloReader::default();
            let mut last = Progress::More;
            for byte in &bytes {
                assert_eq!(last, Progress::More);
                last = reader.push(&[*byte]);
            }
            assert_eq!(last, tls(Some("www.aliyun.com"), true));
            // What comes behind the hello is not looked at.
            assert_eq!(read(&[&bytes[..], b"\x14\x03\x03\x00\x01\x01"].concat()), last);
        }
    }

    #[test]
    fn hellos_without_a_name_or_extensions() {
        assert_eq!(read(&records(&message(&[]), 9000)), tls(None, false));
        assert_eq!(read(&records(&message(&extension(16, b"h2")), 9000)), tls(None, false));
        let mut bare = message(&[]);
        bare.truncate(bare.len() - 2);
        bare[3] -= 2;
        assert_eq!(read(&records(&bare, 9000)), tls(None, false));
    }

    #[test]
    fn what_is_not_tls() {
        for bytes in [&b"GET / HTTP/1.1"[..], b"\x00", b"\x16\x02", b"\x17\x03", b"SSH-2.0"] {
            assert_eq!(read(bytes), Progress::Done(Opening::Plain), "{bytes:?}");
        }
        assert_eq!(read(b""), Progress::More);
        assert_eq!(read(b"\x16"), Progress::More);
    }

    #[test]
    fn what_two_stacks_could_read_differently() {
        let twice = [server_name(b"a.example"), server_name(b"b.example")].concat();
        let two_names = extension(0, b"\x00\x0a\x00\x00\x02aa\x00\x00\x02bb");
        let other_kind = extension(0, b"\x00\x05\x01\x00\x02aa");
        let padded = extension(0, b"\x00\x05\x00\x00\x02aa\x00");
        for extensions in [
            twice,
            two_names,
            other_kind,
            padded,
            server_name(b""),
            extension(0, b""),
            extension(0, b"\x00\x00"),
            b"\x00\x00\x00".to_vec(),
            b"\x00\x10\x00\xff\x00".to_vec(),
        ] {
            assert_eq!(read(&records(&message(&extensions), 9000)), MALFORMED, "{extensions:?}");
        }
        let good = message(&server_name(b"a.example"));
        let trailing = records(&[&good[..], b"x"].concat(), 9000);
        let mut server_hello = records(&good, 9000);
        server_hello[5] = 2;
        let empty_record = [b"\x16\x03\x01\x00\x00", &records(&good, 9000)[..]].concat();
        let long_record = b"\x16\x03\x01\x40\x01\x01".to_vec();
        let alert_between = [&records(&good[..20], 9000)[..], b"\x15\x03\x01\x00\x02\x01\x00"].concat();
        let mut odd_suites = records(&good, 9000);
        odd_suites[45] = 1;
        for bytes in [trailing, server_hello, empty_record, long_record, alert_between, odd_suites] {
            assert_eq!(read(&bytes), MALFORMED, "{bytes:?}");
        }
    }

    /// Each field of the body by itself: versions, session, cipher suites, compression methods.
    #[test]
    fn each_field_of_the_body_is_held_to_its_bounds() {
        let hello = |version: u8, session: usize, suites: &[u8], compressions: &[u8]| {
            let mut body = vec![version, 3];
            body.extend([7; 32]);
            body.push(u8::try_from(session).unwrap());
            body.extend(vec![5; session]);
            body.extend(u16::try_from(suites.len()).unwrap().to_be_bytes());
            body.extend(suites);
            body.push(u8::try_from(compressions.len()).unwrap());
            body.extend(compressions);
            let length = u32::try_from(body.len()).unwrap().to_be_bytes();
            read(&records(&[&[1][..], &length[1..], &body].concat(), 9000))
        };
        assert_eq!(hello(3, 32, &[0x13, 1], &[0]), tls(None, false));
        assert_eq!(hello(2, 32, &[0x13, 1], &[0]), MALFORMED);
        assert_eq!(hello(3, 33, &[0x13, 1], &[0]), MALFORMED);
        assert_eq!(hello(3, 32, &[], &[0]), MALFORMED);
        assert_eq!(hello(3, 32, &[0x13, 1, 2], &[0]), MALFORMED);
        assert_eq!(hello(3, 32, &[0x13, 1], &[]), MALFORMED);
    }

    #[test]
    fn what_has_begun_is_told_from_what_has_not() {
        let mut reader = HelloReader::default();
        assert!(!reader.has_begun() && reader.seen() == 0);
        reader.push(&[22]);
        assert!(reader.has_begun() && reader.seen() == 1);
    }

    /// The limit counts record headers, and is the last size that passes.
    #[test]
    fn the_limit_itself_is_allowed() {
        let of = |length: usize| {
            let around = message(&extension(21, &[])).len() + RECORD_HEADER;
            // Records of 16 KiB at most: each further one costs a header.
            let headers = RECORD_HEADER * (length.div_ceil(MAX_RECORD + RECORD_HEADER) - 1);
            records(&message(&extension(21, &vec![0; length - around - headers])), MAX_RECORD)
        };
        assert_eq!(of(MAX_HELLO).len(), MAX_HELLO);
        assert_eq!(read(&of(MAX_HELLO)), tls(None, false));
        assert_eq!(read(&of(MAX_HELLO + 1)), OVERSIZED);
        // In one record, were such a one allowed, the message alone decides: what it declares is enough.
        let declares = |message: usize| {
            let length = u32::try_from(message).unwrap().to_be_bytes();
            read(&[&[22, 3, 1, 0x40, 0, 1][..], &length[1..]].concat())
        };
        assert_eq!(declares(MAX_HELLO - RECORD_HEADER - MESSAGE_HEADER), Progress::More);
        assert_eq!(declares(MAX_HELLO - RECORD_HEADER - MESSAGE_HEADER + 1), OVERSIZED);
    }

    #[test]
    fn the_size_is_bounded() {
        let declared = b"\x16\x03\x01\x40\x00\x01\x01\x00\x00".to_vec();
        assert_eq!(read(&declared), OVERSIZED);
        // One-byte records: the headers count.
        let message = message(&extension(21, &vec![0; 20_000]));
        assert_eq!(read(&records(&message, 1)), OVERSIZED);
        assert_eq!(read(&records(&message, 16_384)), tls(None, false));
    }
}
