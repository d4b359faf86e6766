//! The first bytes of a connection, up to the end of its ClientHello.

use super::first_bytes::FirstBytes;
use super::message::HelloMessage;
use super::record::{HANDSHAKE, MAJOR_VERSION, MAX_PLAINTEXT, Part, RecordHeader, Records};
use crate::facts::{BrokenHello, Opening};

/// What the bytes so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Too few to tell.
    More,
    /// A whole ClientHello, a broken or hidden one, or no TLS at all.
    Done(Opening),
}

/// Reads the first bytes of a connection, in pieces of any size.
#[derive(Debug, Default)]
pub struct HelloReader {
    /// The first bytes, while they do not tell what they begin.
    first: Vec<u8>,
    is_handshake: bool,
    records: Records,
    message: HelloMessage,
    seen: usize,
}

impl HelloReader {
    /// How many bytes have been read. Once a ClientHello is whole: those up to its end, and none behind it.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Whether anything has been read.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.seen > 0
    }

    /// Reads the bytes that follow those read before.
    pub fn push(&mut self, bytes: &[u8]) -> Progress {
        let mut rest = bytes;
        while !self.is_handshake {
            let Some((&next, after)) = rest.split_first() else {
                return Progress::More;
            };
            rest = after;
            self.seen += 1;
            self.first.push(next);
            match FirstBytes::of(&self.first) {
                FirstBytes::Undecided => {}
                FirstBytes::Handshake => {
                    self.is_handshake = true;
                    let first = std::mem::take(&mut self.first);
                    // The first two bytes of a record's header decide nothing.
                    let _ = self.read_records(&mut first.as_slice());
                }
                FirstBytes::HiddenTls => return Progress::Done(Opening::Broken(BrokenHello::Malformed)),
                FirstBytes::Plain => return Progress::Done(Opening::Plain),
            }
        }
        let before = rest.len();
        let opening = self.read_records(&mut rest);
        self.seen += before - rest.len();
        opening.map_or(Progress::More, Progress::Done)
    }

    fn read_records(&mut self, bytes: &mut &[u8]) -> Option<Opening> {
        while let Some(part) = self.records.next_part(bytes) {
            let opening = match part {
                Part::Header(RecordHeader {
                    kind: HANDSHAKE,
                    major_version: MAJOR_VERSION,
                    length: 1..=MAX_PLAINTEXT,
                }) => self.message.count_header(),
                // Whatever lies between the records of a ClientHello is not for us to skip.
                Part::Header(_) => Some(Opening::Broken(BrokenHello::Malformed)),
                Part::Body { piece, owed } => self.message.push(piece, owed),
            };
            if opening.is_some() {
                return opening;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::message::MAX_HELLO;
    use crate::hello::message_start::MESSAGE_HEADER;
    use crate::hello::record::{HEADER as RECORD_HEADER, MAX_PLAINTEXT as MAX_RECORD};

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
        for bytes in [&b"GET / HTTP/1.1"[..], b"\x00", b"\x17\x04", b"SSH-2.0"] {
            assert_eq!(read(bytes), Progress::Done(Opening::Plain), "{bytes:?}");
        }
        for bytes in [&b""[..], b"\x16", b"\x16\x02", b"\x15"] {
            assert_eq!(read(bytes), Progress::More, "{bytes:?}");
        }
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
