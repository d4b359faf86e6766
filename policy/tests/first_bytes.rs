//! The table of first bytes in `docs/tls.md`: each row is read as the page says, from its first byte to its last.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, in its helpers too")]

use egress_policy::{BrokenHello, HelloReader, Opening, Progress};
use std::path::Path;

struct Row {
    protocol: String,
    bytes: Vec<u8>,
    outcome: Progress,
}

const MALFORMED: Progress = Progress::Done(Opening::Broken(BrokenHello::Malformed));
const PLAIN: Progress = Progress::Done(Opening::Plain);

fn rows() -> Vec<Row> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tls.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines = page.lines().skip_while(|line| !line.contains("| first bytes of the client |"));
    lines.skip(2).map_while(|line| line.strip_prefix("| ")).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let &[protocol, bytes, read, ..] = cells.as_slice() else { panic!("{line}") };
    let outcome = match read {
        "plain" => PLAIN,
        "`malformed_hello`" => MALFORMED,
        "TLS" => Progress::More,
        _ => panic!("{line}"),
    };
    let bytes =
        bytes.trim_matches('`').split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    Row { protocol: protocol.to_owned(), bytes, outcome }
}

fn read(bytes: &[u8]) -> Progress {
    HelloReader::default().push(bytes)
}

#[test]
fn each_row_is_read_as_the_page_says() {
    let rows = rows();
    let plain = rows.iter().filter(|row| row.outcome == PLAIN).count();
    let hidden = rows.iter().filter(|row| row.outcome == MALFORMED).count();
    assert!(plain >= 45 && hidden >= 12, "{plain} {hidden}");
    for row in rows {
        assert_eq!(read(&row.bytes), row.outcome, "{}", row.protocol);
        let followed = [&row.bytes[..], b"\x16\x03\x01 and whatever comes"].concat();
        if row.outcome != Progress::More {
            assert_eq!(read(&followed), row.outcome, "{}", row.protocol);
        }
    }
}

/// No prefix is read as something else than the whole, and no split either.
#[test]
fn no_prefix_is_read_as_something_else() {
    for row in rows() {
        for (at, _) in row.bytes.iter().enumerate() {
            let (prefix, rest) = row.bytes.split_at(at);
            let mut reader = HelloReader::default();
            let first = reader.push(prefix);
            assert!(first == Progress::More || first == row.outcome, "{}: {at}", row.protocol);
            if first == Progress::More {
                assert_eq!(reader.push(rest), row.outcome, "{}: in two after {at}", row.protocol);
            }
        }
    }
}

/// Every record that TLS has, before the ClientHello, whole or not: none is plain, whatever it holds.
#[test]
fn no_record_before_the_hello_is_plain() {
    for kind in 20..=24_u8 {
        for minor in [0, 1, 3, 4, 0x7f, 0xff] {
            for length in [0_u16, 1, 2, 3, 16_384, 65_535] {
                let [high, low] = length.to_be_bytes();
                let record = [kind, 3, minor, high, low];
                for end in 2..=record.len() {
                    let read = read(record.get(..end).unwrap());
                    assert_ne!(read, PLAIN, "{record:?}");
                    assert!(kind == 22 || read == MALFORMED, "{record:?}");
                }
            }
        }
    }
}

/// A ClientHello under any other record version, in records of any size.
#[test]
fn no_hello_under_another_version_is_plain() {
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    let message = [&[1, 0, 0, length][..], &body].concat();
    for major in (0..=255_u8).filter(|major| *major != 3) {
        for size in [1, 2, 3, 4, 5, 20, 100] {
            let record = |piece: &[u8]| {
                let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
                [&[22, major, 1], &length[..], piece].concat()
            };
            let hello: Vec<u8> = message.chunks(size).flat_map(record).collect();
            assert_eq!(read(&hello), MALFORMED, "{major}.1 in records of {size}");
            // The same behind an alert, and behind an empty record.
            for first in [&[21, major, 1, 0, 2, 1, 90][..], &[21, major, 1, 0, 0], &[22, major, 1, 0, 0]] {
                assert_eq!(read(&[first, &hello].concat()), MALFORMED, "{major}.1 behind {first:?}");
            }
        }
    }
}
