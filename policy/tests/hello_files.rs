//! ClientHellos of real TLS stacks, in `data/hellos`: decided when they are whole, not earlier, and alike in any pieces.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, in its helpers too")]

use egress_policy::{BrokenHello, HelloReader, Opening, Progress};
use std::fs;
use std::path::Path;

struct Hello {
    name: String,
    bytes: Vec<u8>,
    outcome: Progress,
}

fn hellos() -> Vec<Hello> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hellos");
    let mut hellos: Vec<Hello> = fs::read_dir(dir)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            parse(&path.file_stem().unwrap().to_string_lossy(), &fs::read_to_string(&path).unwrap())
        })
        .collect();
    hellos.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(hellos.len() >= 12, "OpenSSL, rustls, Go, curl and Chrome");
    hellos
}

/// `# key: value` lines, then hexadecimal.
fn parse(name: &str, text: &str) -> Hello {
    let field = |key: &str| {
        let prefix = format!("# {key}: ");
        text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("{name}: no {key}"))
    };
    let digits: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::chars)
        .map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap())
        .collect();
    let bytes = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit));
    let server_name = Some(field("server_name")).filter(|name| *name != "-");
    Hello {
        name: name.to_owned(),
        bytes: bytes.collect(),
        outcome: Progress::Done(Opening::Tls {
            server_name: server_name.map(|name| name.as_bytes().to_vec()),
            encrypted: field("encrypted").parse().unwrap(),
        }),
    }
}

fn read(bytes: &[u8]) -> Progress {
    HelloReader::default().push(bytes)
}

#[test]
fn each_is_read_as_it_was_made() {
    for hello in hellos() {
        assert_eq!(read(&hello.bytes), hello.outcome, "{}", hello.name);
        // Whatever the client says behind its hello does not change it.
        let followed = [&hello.bytes[..], b"\x14\x03\x03\x00\x01\x01\x17\x03\x03"].concat();
        assert_eq!(read(&followed), hello.outcome, "{}", hello.name);
    }
}

#[test]
fn no_prefix_is_decided() {
    for hello in hellos() {
        for (at, _) in hello.bytes.iter().enumerate() {
            let (prefix, _) = hello.bytes.split_at(at);
            assert_eq!(read(prefix), Progress::More, "{} after {at} bytes", hello.name);
        }
    }
}

#[test]
fn every_split_agrees() {
    for hello in hellos() {
        for (at, _) in hello.bytes.iter().enumerate() {
            let (first, rest) = hello.bytes.split_at(at);
            let mut reader = HelloReader::default();
            assert_eq!(reader.push(first), Progress::More, "{} in two after {at}", hello.name);
            assert_eq!(reader.seen(), at);
            assert_eq!(reader.push(rest), hello.outcome, "{} in two after {at}", hello.name);
        }
    }
}

#[test]
fn pieces_of_any_size_agree() {
    for hello in hellos() {
        for size in [1, 2, 3, 5, 7, 64, 1_000, 16_389] {
            let mut reader = HelloReader::default();
            let mut outcome = Progress::More;
            for piece in hello.bytes.chunks(size) {
                assert_eq!(outcome, Progress::More, "{} in pieces of {size}", hello.name);
                outcome = reader.push(piece);
            }
            assert_eq!(outcome, hello.outcome, "{} in pieces of {size}", hello.name);
        }
    }
}

/// Cut into records of any size, as a client may to hide its name from whoever reads the first record only.
#[test]
fn records_of_any_size_agree() {
    for hello in hellos() {
        let message = message_of(&hello.bytes);
        for size in [1, 4, 5, 43, 100, 1_000, 16_384] {
            let bytes: Vec<u8> = message
                .chunks(size)
                .flat_map(|piece| {
                    let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
                    [&[22, 3, 1], &length[..], piece].concat()
                })
                .collect();
            let outcome = if bytes.len() > egress_policy::MAX_HELLO {
                Progress::Done(Opening::Broken(BrokenHello::Oversized))
            } else {
                hello.outcome.clone()
            };
            assert_eq!(read(&bytes), outcome, "{} in records of {size}", hello.name);
        }
    }
}

/// The handshake message inside the records.
fn message_of(bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut rest = bytes;
    while let Some((header, after)) = rest.split_first_chunk::<5>() {
        let [kind, _, _, high, low] = *header;
        assert_eq!(kind, 22);
        let (piece, tail) = after.split_at(usize::from(u16::from_be_bytes([high, low])));
        message.extend_from_slice(piece);
        rest = tail;
    }
    message
}

/// A name that is damaged is another name or none, and never this one.
#[test]
fn a_damaged_name_is_not_the_name() {
    for hello in hellos() {
        let Progress::Done(Opening::Tls { server_name: Some(name), .. }) = &hello.outcome else { continue };
        let at = hello.bytes.windows(name.len()).position(|window| window == &name[..]);
        // In small records the name may lie across two.
        let Some(at) = at else { continue };
        for (offset, _) in name.iter().enumerate() {
            let mut bytes = hello.bytes.clone();
            bytes[at + offset] ^= 0x01;
            assert_ne!(read(&bytes), hello.outcome, "{}: byte {offset}", hello.name);
        }
        // One byte shorter or longer than the lists around it say.
        for length in [at - 1, at - 4, at - 6] {
            let mut bytes = hello.bytes.clone();
            bytes[length] ^= 0x01;
            assert_ne!(read(&bytes), hello.outcome, "{}: length at {length}", hello.name);
        }
    }
}
