//! The fuzz targets on the stable toolchain: the committed corpus, and a few thousand inputs made from it.

use crate::oracle;
use crate::targets::TARGETS;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Inputs made per target beyond the corpus.
const MADE: usize = 3_000;

/// Xorshift: repeatable, and good enough to throw bytes about.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// One of the inputs with a few edits, or bytes alone.
    fn make(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        if self.roll(8) == 0 {
            return (0..self.roll(500)).map(|_| self.byte()).collect();
        }
        let mut input = corpus[self.roll(corpus.len())].clone();
        for _ in 0..=self.roll(4) {
            let at = self.roll(input.len() + 1);
            match self.roll(5) {
                0 => input.insert(at, self.byte()),
                1 if at < input.len() => drop(input.remove(at)),
                2 if at < input.len() => input[at] ^= 1 << self.roll(8),
                3 => input.truncate(at),
                _ => {
                    let other = &corpus[self.roll(corpus.len())];
                    let from = self.roll(other.len() + 1);
                    let length = self.roll(other.len() - from + 1).min(40);
                    input.splice(at..at, other[from..from + length].iter().copied());
                }
            }
        }
        input
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).unwrap()
    }
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

fn replay(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    assert!(corpus.len() >= 5, "a corpus of {} is none", corpus.len());
    for (path, input) in &corpus {
        assert!(catch_unwind(|| target(input)).is_ok(), "{name} fails for {}", path.display());
    }
    let inputs: Vec<_> = corpus.into_iter().map(|(_, input)| input).collect();
    let mut dice = Dice(0x0e67_e55a_u64);
    for _ in 0..MADE {
        let input = dice.make(&inputs);
        assert!(catch_unwind(|| target(&input)).is_ok(), "{name} fails for b\"{}\"", input.escape_ascii());
    }
}

#[test]
fn authority() {
    replay("authority");
}

#[test]
fn configuration() {
    replay("configuration");
}

#[test]
fn decision() {
    replay("decision");
}

#[test]
fn handshake() {
    replay("handshake");
}

#[test]
fn hello() {
    replay("hello");
}

#[test]
fn host_pattern() {
    replay("host_pattern");
}

#[test]
fn path_template() {
    replay("path_template");
}

#[test]
fn spiffe_id() {
    replay("spiffe_id");
}

/// The core's targets each have their folder of the corpus, and every folder has a program; the other programs are for the command line.
#[test]
fn no_target_is_left_out() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let names = |folder: &str| {
        let entries = std::fs::read_dir(fuzz.join(folder)).unwrap();
        let names =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let folders = names("corpus");
    assert_eq!(folders, names("fuzz_targets"));
    for (name, _) in TARGETS {
        assert!(folders.contains(*name), "{name} has no corpus");
    }
}

/// A good ClientHello of so many bytes on the wire, in records of one byte but for the last one.
fn long_hello(size: usize, last_record: usize) -> Vec<u8> {
    let tiny = (size - last_record - 5) / 6;
    let message = tiny + last_record;
    // Version, random, no session, one suite, no compression, one extension that pads.
    let padding = message - 4 - 43 - 4;
    let two = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
    let mut hello = vec![1, 0];
    hello.extend(two(message - 4));
    hello.extend([3, 3]);
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0]);
    hello.extend(two(padding + 4));
    hello.extend(two(21));
    hello.extend(two(padding));
    hello.resize(message, 0);
    let record = |body: &[u8]| [&[22, 3, 1][..], &two(body.len()), body].concat();
    let (head, tail) = hello.split_at(tiny);
    head.chunks(1).map(record).chain([record(tail)]).collect::<Vec<_>>().concat()
}

/// The limit of 64 KiB is one of bytes, however they arrive.
#[test]
fn a_hello_at_the_limit_is_the_same_in_any_pieces() {
    let (_, target) = TARGETS.iter().find(|(name, _)| *name == "hello").unwrap();
    for last_record in 9_000..9_006 {
        for size in [65_536, 65_542] {
            let hello = long_hello(size, last_record);
            assert_eq!(oracle::hello::client_hello(&hello).is_some(), hello.len() <= 65_536);
            for pieces in [1, 7, 255] {
                target(&[&[pieces], &hello[..]].concat());
            }
        }
    }
}
