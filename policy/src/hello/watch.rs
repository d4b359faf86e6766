//! A handshake behind its first ClientHello, until no further ClientHello can come.
//!
//! After a HelloRetryRequest the client sends a second ClientHello, and OpenSSL's servers take the name that it states.
//! So every ClientHello must ask for what the first one asked for, until it is certain that the site reads no further one:
//! its ServerHello, which is no HelloRetryRequest, has gone by (RFC 8446, 4.1.3), and the client has turned to encryption.
//! Between the two OpenSSL before 1.1.0 took another ClientHello still (a restart of Server Gated Cryptography).

use super::message::{CLIENT_HELLO, HelloMessage};
use super::message_start::{MESSAGE_HEADER, MessageStart};
use super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, MAJOR_VERSION, MAX_CIPHERTEXT, MAX_PLAINTEXT,
    Part, RecordHeader, Records,
};
use super::server_hello::ServerHelloReader;
use crate::facts::{BrokenHello, Opening};

/// What is to become of bytes of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// They may go to the site.
    Pass,
    /// They begin a further ClientHello that is not whole: hold them, and limit how long.
    Hold,
    /// They are, or hold, a ClientHello for another host, or what is no TLS: the connection ends.
    Refuse(BrokenHello),
}

/// Follows a handshake from the end of its first ClientHello on. Shown every byte of both sides, in order, before it
/// passes, and each once. Holds at most one ClientHello; nothing any more when [`HandshakeWatch::is_past`].
#[derive(Debug)]
pub struct HandshakeWatch(State);

#[derive(Debug)]
enum State {
    Watching(Box<Handshake>),
    Past,
    Refused(BrokenHello),
}

#[derive(Debug)]
struct Handshake {
    first: Opening,
    records: Records,
    /// The kind of the client's current record.
    kind: u8,
    /// A further ClientHello so far.
    hello: HelloMessage,
    /// Another message of the client's so far; only where the site has answered.
    message: MessageStart<MESSAGE_HEADER>,
    site: ServerHelloReader,
    /// Whether the site's ServerHello has gone by.
    is_answered: bool,
}

/// What part of a record comes to.
enum Found {
    Nothing,
    /// The client has turned to encryption.
    End,
    Broken(BrokenHello),
}

impl HandshakeWatch {
    /// Follows the handshake that begins with `first`. What is not TLS has none, and is past it.
    #[must_use]
    pub fn new(first: Opening) -> Self {
        match first {
            Opening::Tls { .. } => Self(State::Watching(Box::new(Handshake {
                first,
                records: Records::default(),
                kind: HANDSHAKE,
                hello: HelloMessage::default(),
                message: MessageStart::default(),
                site: ServerHelloReader::default(),
                is_answered: false,
            }))),
            Opening::Plain => Self(State::Past),
            Opening::Broken(how) => Self(State::Refused(how)),
        }
    }

    /// Whether no further ClientHello can come; then neither side's bytes need be shown.
    #[must_use]
    pub fn is_past(&self) -> bool {
        matches!(self.0, State::Past)
    }

    /// Whether a further ClientHello has begun that is not whole: the client's bytes are held.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(&self.0, State::Watching(handshake) if handshake.hello.has_begun())
    }

    /// Whether the site's next bytes have to be shown.
    #[must_use]
    pub fn reads_site(&self) -> bool {
        matches!(&self.0, State::Watching(handshake) if !handshake.is_answered)
    }

    /// Bytes of the client, that follow those shown before.
    pub fn client(&mut self, bytes: &[u8]) -> Watched {
        let handshake = match &mut self.0 {
            State::Watching(handshake) => handshake,
            State::Past => return Watched::Pass,
            State::Refused(how) => return Watched::Refuse(*how),
        };
        match handshake.read_client(bytes) {
            Found::Nothing if handshake.hello.has_begun() => Watched::Hold,
            Found::Nothing => Watched::Pass,
            Found::End => {
                self.0 = State::Past;
                Watched::Pass
            }
            Found::Broken(how) => {
                self.0 = State::Refused(how);
                Watched::Refuse(how)
            }
        }
    }

    /// Bytes of the site, that follow those shown before.
    pub fn site(&mut self, bytes: &[u8]) {
        if let State::Watching(handshake) = &mut self.0
            && !handshake.is_answered
        {
            handshake.is_answered = handshake.site.push(bytes);
        }
    }
}

impl Handshake {
    fn read_client(&mut self, bytes: &[u8]) -> Found {
        let mut rest = bytes;
        while let Some(part) = self.records.next_part(&mut rest) {
            let found = match part {
                Part::Header(header) => self.read_header(header),
                Part::Body { piece, owed } if self.kind == HANDSHAKE => self.read_handshake(piece, owed),
                Part::Body { .. } => Found::Nothing,
            };
            if !matches!(found, Found::Nothing) {
                return found;
            }
        }
        Found::Nothing
    }

    fn read_header(&mut self, header: RecordHeader) -> Found {
        self.kind = header.kind;
        let is_inside = self.hello.has_begun() || self.message.is_inside();
        match (header.kind, header.length) {
            _ if header.major_version != MAJOR_VERSION => Found::Broken(BrokenHello::Malformed),
            (HANDSHAKE, 1..=MAX_PLAINTEXT) => self.hello.count_header().map_or(Found::Nothing, broken),
            // Nothing comes between the records of a message (RFC 8446, 5.1).
            _ if is_inside => Found::Broken(BrokenHello::Malformed),
            // For middleboxes, also before a second ClientHello (RFC 8446, D.4); else the end of what is readable.
            (CHANGE_CIPHER_SPEC, 1) | (APPLICATION_DATA, 1..=MAX_CIPHERTEXT) if self.is_answered => {
                Found::End
            }
            // Data that is early is encrypted.
            (CHANGE_CIPHER_SPEC, 1) | (ALERT, 2) | (APPLICATION_DATA, 1..=MAX_CIPHERTEXT) => Found::Nothing,
            _ => Found::Broken(BrokenHello::Malformed),
        }
    }

    fn read_handshake(&mut self, piece: &[u8], owed: usize) -> Found {
        let mut rest = piece;
        loop {
            self.message.pass_over(&mut rest);
            let Some(&next) = rest.first() else {
                return Found::Nothing;
            };
            // While the site has not answered, the client has nothing else to say.
            let begins_hello = !self.message.is_inside() && (!self.is_answered || next == CLIENT_HELLO);
            if self.hello.has_begun() || begins_hello {
                return self.read_hello(rest, owed);
            }
            // Of any other message only its length counts.
            let _ = self.message.next_start(&mut rest);
        }
    }

    fn read_hello(&mut self, piece: &[u8], owed: usize) -> Found {
        match self.hello.push(piece, owed) {
            None => Found::Nothing,
            Some(opening) if opening == self.first => {
                self.hello = HelloMessage::default();
                Found::Nothing
            }
            Some(opening) => broken(opening),
        }
    }
}

/// What a ClientHello comes to that is not as the first one.
fn broken(opening: Opening) -> Found {
    Found::Broken(match opening {
        Opening::Broken(how) => how,
        Opening::Tls { .. } | Opening::Plain => BrokenHello::Malformed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Watched = Watched::Refuse(BrokenHello::Malformed);
    const HOST: &[u8] = b"a.example";
    const RETRY: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
        0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];

    fn length(bytes: &[u8]) -> [u8; 2] {
        u16::try_from(bytes.len()).unwrap().to_be_bytes()
    }

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind, 3, 3], &length(body)[..], body].concat()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind, 0], &length(body)[..], body].concat()
    }

    /// A ClientHello for a host, with extensions more.
    fn hello(host: Option<&[u8]>, more: &[u8]) -> Vec<u8> {
        let name = host.map_or_else(Vec::new, |host| {
            let entry = [&[0][..], &length(host), host].concat();
            let list = [&length(&entry)[..], &entry].concat();
            [&[0, 0][..], &length(&list), &list].concat()
        });
        let extensions = [&name[..], more].concat();
        let body =
            [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &length(&extensions), &extensions].concat();
        message(CLIENT_HELLO, &body)
    }

    fn server_hello(random: [u8; 32]) -> Vec<u8> {
        record(HANDSHAKE, &message(2, &[&[3, 3][..], &random, &[0, 0x13, 1, 0]].concat()))
    }

    fn watch() -> HandshakeWatch {
        HandshakeWatch::new(Opening::Tls { server_name: Some(HOST.to_vec()), encrypted: false })
    }

    fn answered() -> HandshakeWatch {
        let mut watch = watch();
        watch.site(&server_hello([9; 32]));
        assert!(!watch.is_past());
        watch
    }

    #[test]
    fn a_further_hello_must_ask_for_the_same() {
        let encrypted = [0xfe, 0x0d, 0, 1, 0];
        for (what, bytes, expected) in [
            ("the same", hello(Some(HOST), &[]), Watched::Pass),
            ("the same with another extension", hello(Some(HOST), &[0, 21, 0, 0]), Watched::Pass),
            ("another host", hello(Some(b"b.example"), &[]), REFUSED),
            ("another case", hello(Some(b"A.example"), &[]), REFUSED),
            ("no name", hello(None, &[]), REFUSED),
            ("an encrypted hello", hello(Some(HOST), &encrypted), REFUSED),
            ("two", [hello(Some(HOST), &[]), hello(Some(HOST), &[])].concat(), REFUSED),
            ("another message", message(16, b"key"), REFUSED),
        ] {
            let mut watch = watch();
            assert_eq!(watch.client(&record(HANDSHAKE, &bytes)), expected, "{what}");
            assert!(!watch.is_past(), "{what}");
            if expected == REFUSED {
                watch.site(&server_hello([9; 32]));
                assert_eq!(
                    watch.client(&record(CHANGE_CIPHER_SPEC, &[1])),
                    REFUSED,
                    "{what}: refused for good"
                );
            }
        }
    }

    #[test]
    fn a_retry_is_no_answer() {
        let mut watch = watch();
        watch.site(&server_hello(RETRY));
        assert_eq!(watch.client(&record(CHANGE_CIPHER_SPEC, &[1])), Watched::Pass);
        assert!(!watch.is_past());
        assert_eq!(watch.client(&record(HANDSHAKE, &hello(Some(HOST), &[]))), Watched::Pass);
        watch.site(&server_hello([9; 32]));
        assert_eq!(watch.client(&record(APPLICATION_DATA, b"finished")), Watched::Pass);
        assert!(watch.is_past());
        assert_eq!(watch.client(b"whatever"), Watched::Pass);
    }

    /// Data that is early, alerts and the record for middleboxes come before the answer, too, and end nothing.
    #[test]
    fn what_may_come_before_the_answer() {
        for (kind, body, expected) in [
            (APPLICATION_DATA, &[5; 100][..], Watched::Pass),
            (APPLICATION_DATA, &[], REFUSED),
            (CHANGE_CIPHER_SPEC, &[1], Watched::Pass),
            (CHANGE_CIPHER_SPEC, &[1, 1], REFUSED),
            (ALERT, &[1, 0], Watched::Pass),
            (ALERT, &[1, 0, 1], REFUSED),
            (HANDSHAKE, &[], REFUSED),
            (24, &[1, 0, 0], REFUSED),
            (19, &[1], REFUSED),
        ] {
            let mut watch = watch();
            assert_eq!(watch.client(&record(kind, body)), expected, "{kind} {body:?}");
            assert!(!watch.is_past());
            let other = watch.client(&record(HANDSHAKE, &hello(Some(b"b.example"), &[])));
            assert_eq!(other, REFUSED, "{kind} {body:?}");
        }
        let mut other_version = record(HANDSHAKE, &hello(Some(HOST), &[]));
        other_version[1] = 2;
        assert_eq!(watch().client(&other_version), REFUSED);
        assert_eq!(watch().client(b"GET / HTTP/1.1\r\n"), REFUSED);
    }

    #[test]
    fn nothing_comes_between_the_records_of_a_hello() {
        let hello = hello(Some(HOST), &[]);
        let (start, rest) = hello.split_at(20);
        for (kind, body) in [(CHANGE_CIPHER_SPEC, &[1][..]), (ALERT, &[1, 0]), (APPLICATION_DATA, b"early")] {
            let mut watch = watch();
            assert_eq!(watch.client(&record(HANDSHAKE, start)), Watched::Hold);
            assert_eq!(watch.client(&record(kind, body)), REFUSED, "{kind}");
        }
        let mut watch = watch();
        assert_eq!(watch.client(&record(HANDSHAKE, start)), Watched::Hold);
        assert_eq!(watch.client(&record(HANDSHAKE, rest)), Watched::Pass);
    }

    /// TLS 1.2: the client's messages are readable up to its ChangeCipherSpec.
    #[test]
    fn a_hello_in_the_clients_answer_is_read_too() {
        let certificate = message(11, &[5; 5_000]);
        let key = message(16, &[7; 60]);
        for size in [1, 3, 100, 16_000] {
            let flight: Vec<u8> = [&certificate[..], &key]
                .concat()
                .chunks(size)
                .flat_map(|piece| record(HANDSHAKE, piece))
                .collect();
            let mut good = answered();
            assert_eq!(good.client(&flight), Watched::Pass, "{size}");
            assert!(!good.is_past());
            assert_eq!(good.client(&record(CHANGE_CIPHER_SPEC, &[1])), Watched::Pass);
            assert!(good.is_past());
            // A message that only holds the bytes of a hello is none.
            let mut hidden = answered();
            let other = hello(Some(b"b.example"), &[]);
            assert_eq!(hidden.client(&record(HANDSHAKE, &message(11, &other))), Watched::Pass);
            // A hello behind others, in their record or in the next.
            assert_eq!(hidden.client(&record(HANDSHAKE, &[&key[..], &other].concat())), REFUSED);
            let mut next = answered();
            assert_eq!(next.client(&flight), Watched::Pass);
            assert_eq!(next.client(&record(HANDSHAKE, &other)), REFUSED);
            // Half of one of its messages is not the end of it.
            let mut half = answered();
            assert_eq!(half.client(&record(HANDSHAKE, &key[..9])), Watched::Pass);
            assert_eq!(half.client(&record(CHANGE_CIPHER_SPEC, &[1])), REFUSED);
        }
    }

    #[test]
    fn a_site_that_does_not_answer_in_tls_ends_nothing() {
        let answer = server_hello([9; 32]);
        let mut other_version = answer.clone();
        other_version[1] = 2;
        let mut other_kind = answer.clone();
        other_kind[0] = 25;
        for said in
            [b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), other_version, other_kind, record(ALERT, &[1, 0])]
        {
            let mut watch = watch();
            watch.site(&said);
            assert_eq!(watch.client(&record(APPLICATION_DATA, b"early")), Watched::Pass, "{said:?}");
            assert!(!watch.is_past(), "{said:?}");
            // Once lost, a ServerHello is not believed; behind an alert it is.
            watch.site(&answer);
            assert_eq!(watch.client(&record(APPLICATION_DATA, b"data")), Watched::Pass);
            assert_eq!(watch.is_past(), said.starts_with(&[ALERT]), "{said:?}");
        }
        // Other messages before a ServerHello, in the same record and in others.
        for size in [1, 7, 100] {
            let messages = [message(0, &[]), message(4, &[2; 50]), answer[5..].to_vec()].concat();
            let records: Vec<u8> = messages.chunks(size).flat_map(|piece| record(HANDSHAKE, piece)).collect();
            let mut watch = watch();
            watch.site(&records[..records.len() - 20]);
            watch.site(&records[records.len() - 20..]);
            assert_eq!(watch.client(&record(APPLICATION_DATA, b"data")), Watched::Pass);
            assert!(watch.is_past(), "{size}");
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut one_byte_records = watch();
        let long = hello(Some(HOST), &[&[0, 21, 0x3f, 0xf0][..], &[0; 0x3ff0]].concat());
        let pieces: Vec<u8> = long.chunks(1).flat_map(|piece| record(HANDSHAKE, piece)).collect();
        assert_eq!(one_byte_records.client(&pieces), Watched::Refuse(BrokenHello::Oversized));
        assert_eq!(watch().client(&record(HANDSHAKE, &long[..16_000])), Watched::Hold);
        let declared = record(HANDSHAKE, &[CLIENT_HELLO, 1, 0, 0, 0]);
        assert_eq!(watch().client(&declared), Watched::Refuse(BrokenHello::Oversized));
        // Messages of the client's that are no hello may be long: they are not kept.
        let mut client = answered();
        assert_eq!(client.client(&record(HANDSHAKE, &[11, 0xff, 0xff, 0xff])), Watched::Pass);
        for _ in 0..20 {
            assert_eq!(client.client(&record(HANDSHAKE, &[CLIENT_HELLO; 16_384])), Watched::Pass);
        }
    }

    #[test]
    fn what_is_not_tls_has_no_handshake() {
        let mut plain = HandshakeWatch::new(Opening::Plain);
        assert!(plain.is_past());
        assert_eq!(plain.client(b"QUIT\r\n"), Watched::Pass);
        let mut late = HandshakeWatch::new(Opening::Broken(BrokenHello::Late));
        assert_eq!(late.client(b"more"), Watched::Refuse(BrokenHello::Late));
    }
}
