//! Whole handshakes of real TLS stacks, in `data/handshakes`, and the same with another name in a further ClientHello.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, in its helpers too")]

use egress_policy::{BrokenHello, HandshakeWatch, HelloReader, Progress, Watched};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

const NAME: &[u8] = b"site.example.com";
const SIZES: [usize; 8] = [1, 2, 3, 5, 7, 64, 1_000, 100_000];
const REFUSED: Watched = Watched::Refuse(BrokenHello::Malformed);

#[derive(Clone)]
struct Turn {
    is_client: bool,
    bytes: Vec<u8>,
}

struct Handshake {
    name: String,
    /// How many ClientHellos the client sends.
    hellos: usize,
    turns: Vec<Turn>,
}

fn handshakes() -> Vec<Handshake> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/handshakes");
    let mut handshakes: Vec<Handshake> = fs::read_dir(dir)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            parse(&path.file_stem().unwrap().to_string_lossy(), &fs::read_to_string(&path).unwrap())
        })
        .collect();
    handshakes.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(handshakes.len() >= 6, "OpenSSL and Go, with a retry and without, and TLS 1.2");
    handshakes
}

/// `# key: value` lines, then who speaks and what, in hexadecimal.
fn parse(name: &str, text: &str) -> Handshake {
    let hellos = text.lines().find_map(|line| line.strip_prefix("# hellos: ")).unwrap().parse().unwrap();
    let mut turns: Vec<Turn> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line {
            "client" | "site" => turns.push(Turn { is_client: line == "client", bytes: Vec::new() }),
            _ => turns.last_mut().unwrap().bytes.extend(bytes(line)),
        }
    }
    Handshake { name: name.to_owned(), hellos, turns }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hexadecimal.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect()
}

/// Plays a handshake in pieces. What came of the last bytes of the client, and whether it is past.
fn play(turns: &[Turn], size: usize) -> (Watched, bool) {
    let (opening, rest) = turns.split_first().unwrap();
    let mut reader = HelloReader::default();
    let Progress::Done(first) = reader.push(&opening.bytes) else { panic!("no hello") };
    let mut watch = HandshakeWatch::new(first);
    let behind = Turn { is_client: true, bytes: opening.bytes.split_at(reader.seen()).1.to_vec() };
    let mut last = Watched::Pass;
    for turn in std::iter::once(&behind).chain(rest) {
        for piece in turn.bytes.chunks(size) {
            if turn.is_client {
                last = watch.client(piece);
            } else {
                watch.site(piece);
            }
            if let Watched::Refuse(_) = last {
                return (last, watch.is_past());
            }
        }
    }
    (last, watch.is_past())
}

#[test]
fn each_passes_in_pieces_of_any_size_and_ends() {
    for handshake in handshakes() {
        for size in SIZES {
            assert_eq!(play(&handshake.turns, size), (Watched::Pass, true), "{}: {size}", handshake.name);
        }
    }
}

/// It is past with the client's first bytes behind the ServerHello that are no handshake, and not before.
#[test]
fn none_is_past_before_the_site_has_answered_its_last_hello() {
    for handshake in handshakes() {
        // Hello and answer alternate, and the client's next turn is the end.
        for turns in 1..=2 * handshake.hellos {
            let (outcome, is_past) = play(handshake.turns.split_at(turns).0, 1_000);
            assert_eq!((outcome, is_past), (Watched::Pass, false), "{} after {turns} turns", handshake.name);
        }
        let answered = handshake.turns.split_at(2 * handshake.hellos + 1).0;
        assert_eq!(play(answered, 1_000), (Watched::Pass, true), "{}", handshake.name);
    }
}

/// Each byte of the second hello's name, in any pieces: refused.
#[test]
fn another_name_after_a_retry_is_refused() {
    let mut tried = 0;
    for handshake in handshakes().into_iter().filter(|handshake| handshake.hellos == 2) {
        let second = handshake.turns.get(2).unwrap();
        let at = second.bytes.windows(NAME.len()).position(|window| window == NAME).unwrap();
        for offset in 0..NAME.len() {
            let mut turns = handshake.turns.clone();
            *turns.get_mut(2).unwrap().bytes.get_mut(at + offset).unwrap() ^= 1;
            for size in SIZES {
                assert_eq!(play(&turns, size), (REFUSED, false), "{}: {offset} {size}", handshake.name);
                tried += 1;
            }
        }
    }
    assert!(tried >= 3 * NAME.len() * SIZES.len());
}

/// The same without waiting for the retry, and where the site has not been heard at all.
#[test]
fn another_name_is_refused_whatever_the_site_says() {
    for handshake in handshakes().into_iter().filter(|handshake| handshake.hellos == 2) {
        let [first, retry, second, ..] = handshake.turns.as_slice() else { panic!("{}", handshake.name) };
        let mut other = second.clone();
        let at = other.bytes.windows(NAME.len()).position(|window| window == NAME).unwrap();
        *other.bytes.get_mut(at).unwrap() ^= 1;
        let alert = Turn { is_client: false, bytes: b"\x15\x03\x03\x00\x02\x01\x70".to_vec() };
        let plain = Turn { is_client: false, bytes: b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec() };
        for between in
            [vec![], vec![retry], vec![&alert], vec![&plain], vec![&alert, retry], vec![retry, retry]]
        {
            let turns = |second: &Turn| {
                std::iter::once(first)
                    .chain(between.iter().copied())
                    .chain([second])
                    .cloned()
                    .collect::<Vec<_>>()
            };
            for size in SIZES {
                assert_eq!(play(&turns(&other), size).0, REFUSED, "{}", handshake.name);
                assert_eq!(play(&turns(second), size), (Watched::Pass, false), "{}", handshake.name);
            }
        }
    }
}

/// Held from the first byte of a further hello to its last, so that none of it reaches the site before it is read.
#[test]
fn a_second_hello_is_held_until_it_is_whole() {
    for handshake in handshakes().into_iter().filter(|handshake| handshake.hellos == 2) {
        let second = handshake.turns.get(2).unwrap();
        // The record for middleboxes may come first.
        let start = if second.bytes.starts_with(&[20]) { 6 } else { 0 };
        for cut in 0..second.bytes.len() {
            let mut turns = handshake.turns.split_at(2).0.to_vec();
            turns.push(Turn { is_client: true, bytes: second.bytes.split_at(cut).0.to_vec() });
            let held = if cut > start + 5 { Watched::Hold } else { Watched::Pass };
            assert_eq!(play(&turns, 1_000).0, held, "{}: {cut}", handshake.name);
        }
    }
}

/// What a client may send before the site has answered, in records of a size; the last of it asks for another host.
#[derive(Debug, Clone)]
enum Part {
    ChangeCipherSpec,
    Alert,
    EarlyData(usize),
    Hello(usize),
    SiteRetries,
    SiteAlerts,
    SiteIsPlain,
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        Just(Part::ChangeCipherSpec),
        Just(Part::Alert),
        (1..2_000_usize).prop_map(Part::EarlyData),
        (1..400_usize).prop_map(Part::Hello),
        Just(Part::SiteRetries),
        Just(Part::SiteAlerts),
        Just(Part::SiteIsPlain),
    ];
    proptest::collection::vec(part, 0..6)
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3], &u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes before it, in whatever pieces: a hello for another host never passes whole.
    #[test]
    fn no_other_hello_passes_before_the_answer(
        parts in parts(),
        size in 1..400_usize,
        flipped in 0..NAME.len(),
        cuts in proptest::collection::vec(1..300_usize, 1..8),
    ) {
        let handshakes = handshakes();
        let go = handshakes.iter().find(|handshake| handshake.name == "go-retry").unwrap();
        let [first, retry, ..] = go.turns.as_slice() else { panic!("three turns") };
        let message = first.bytes.split_at(5).1;
        let hello = |message: &[u8], size: usize| {
            message.chunks(size).flat_map(|piece| record(22, piece)).collect::<Vec<u8>>()
        };
        let mut other = message.to_vec();
        let at = other.windows(NAME.len()).position(|window| window == NAME).unwrap();
        *other.get_mut(at + flipped).unwrap() ^= 1;
        let Progress::Done(opening) = HelloReader::default().push(&first.bytes) else { panic!("no hello") };
        let mut watch = HandshakeWatch::new(opening);
        let mut sizes = cuts.iter().cycle();
        let mut show = |watch: &mut HandshakeWatch, bytes: &[u8]| {
            let mut rest = bytes;
            let mut last = Watched::Pass;
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                last = watch.client(piece);
                rest = after;
            }
            last
        };
        for part in &parts {
            let watched = match part {
                Part::ChangeCipherSpec => show(&mut watch, &record(20, &[1])),
                Part::Alert => show(&mut watch, &record(21, &[1, 90])),
                Part::EarlyData(length) => show(&mut watch, &record(23, &vec![7; *length])),
                Part::Hello(size) => show(&mut watch, &hello(message, *size)),
                Part::SiteRetries => { watch.site(&retry.bytes); Watched::Pass }
                Part::SiteAlerts => { watch.site(b"\x15\x03\x03\x00\x02\x01\x70"); Watched::Pass }
                Part::SiteIsPlain => { watch.site(b"HTTP/1.1 400 Bad Request\r\n\r\n"); Watched::Pass }
            };
            prop_assert_eq!(watched, Watched::Pass, "{:?}", part);
            prop_assert!(!watch.is_past());
        }
        let bytes = hello(&other, size);
        let (all_but_one, last) = bytes.split_at(bytes.len() - 1);
        prop_assert_eq!(show(&mut watch, all_but_one), Watched::Hold);
        prop_assert_eq!(show(&mut watch, last), REFUSED);
        prop_assert!(!watch.is_past());
    }
}
