//! The ways in which sites and proxies read one path (`pathReadings`).
//!
//! They differ in whether they take percent encoding away (and once or twice), segment parameters (`;…`), repeated slashes,
//! and whether `\` is a slash to them. A rule about paths holds where it holds in every reading.

use crate::truth::Truth;
use std::ops::RangeInclusive;

/// `pathReadings`: which readings a rule about paths must hold in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PathReadings {
    /// All that a site may take.
    #[default]
    All,
    /// The path as it is written.
    Literal,
}

/// The readings of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readings {
    /// There is one: the path as it is written.
    AsWritten,
    /// Others beside the path as it is written, each once; none of them is that.
    Others(Vec<Vec<u8>>),
    /// It cannot be told how a site reads it: a broken escape, a control character in one, UTF-8 in more bytes than it takes,
    /// or more than [`MAX_READ_TWICE`] bytes.
    Unclear,
}

/// The longest path that is read in several ways: sites refuse longer request lines by default, and reading is work.
pub const MAX_READ_TWICE: usize = 8 * 1024;
/// Percent encoding is taken away at most so often.
const DECODINGS: usize = 2;
const CONTROLS: RangeInclusive<u8> = 0..=0x1f;
const DELETE: u8 = 0x7f;

/// When `\` is read as `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backslash {
    Never,
    BeforeParameters,
    AfterParameters,
}

impl Readings {
    /// The readings of a path without query and fragment.
    #[must_use]
    pub fn of(path: &[u8], which: PathReadings) -> Self {
        if which == PathReadings::Literal || !may_be_read_twice(path) {
            return Self::AsWritten;
        }
        if path.len() > MAX_READ_TWICE {
            return Self::Unclear;
        }
        let Some(once) = decode(path, Escapes::Whole) else {
            return Self::Unclear;
        };
        let Some(twice) = decode(&once, Escapes::Any) else {
            return Self::Unclear;
        };
        let texts = [path, &once, &twice];
        let has = |byte: u8| texts.iter().any(|text| text.contains(&byte));
        let mut found = OtherReadings { path, texts: Vec::new() };
        let strips: &[bool] = if has(b';') { &[false, true] } else { &[false] };
        let backslashes: &[Backslash] = match (has(b'\\'), has(b';')) {
            (false, _) => &[Backslash::Never],
            (true, false) => &[Backslash::Never, Backslash::BeforeParameters],
            (true, true) => &[Backslash::Never, Backslash::BeforeParameters, Backslash::AfterParameters],
        };
        for backslash in backslashes {
            for before in strips {
                found.add_decoded(*before, strips, *backslash);
            }
        }
        let readings = found.texts;
        if readings.is_empty() { Self::AsWritten } else { Self::Others(readings) }
    }

    /// What holds in all readings of `path`, which `self` are; unknown where they disagree.
    pub(crate) fn truth(
        &self,
        path: &[u8],
        as_written: impl Fn(&[u8]) -> Truth,
        otherwise: impl Fn(&[u8]) -> Truth,
    ) -> Truth {
        match self {
            Self::AsWritten => as_written(path),
            Self::Unclear => Truth::Unknown,
            Self::Others(others) => {
                let truth = as_written(path);
                let agree = others.iter().all(|other| otherwise(other) == truth);
                if agree { truth } else { Truth::Unknown }
            }
        }
    }
}

/// Only such paths are looked at twice.
fn may_be_read_twice(path: &[u8]) -> bool {
    path.iter().any(|byte| matches!(byte, b'%' | b';' | b'\\'))
        || path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

/// The readings of a path so far, without the path as it is written.
struct OtherReadings<'p> {
    path: &'p [u8],
    texts: Vec<Vec<u8>>,
}

impl OtherReadings<'_> {
    /// The path with percent encoding taken away not at all, once, and twice. `before`: segment parameters are taken away
    /// each time before it is; `after`: whether they are after that.
    fn add_decoded(&mut self, before: bool, after: &[bool], backslash: Backslash) {
        let mut encoded = self.path.to_vec();
        for decodings in 0..=DECODINGS {
            if decodings > 0 {
                if !encoded.contains(&b'%') {
                    return;
                }
                let Some(text) = decode(&prepare(&encoded, before, backslash), Escapes::Any) else {
                    return;
                };
                encoded = text;
            }
            // As long as nothing is decoded, nothing comes before that.
            if decodings > 0 || !before {
                for after in after {
                    self.add(&prepare(&encoded, *after, backslash));
                }
            }
        }
    }

    /// Adds a text without its dot segments, with repeated slashes and without.
    fn add(&mut self, text: &[u8]) {
        self.insert(without_dots(text));
        if text.windows(2).any(|pair| pair == b"//") {
            self.insert(without_dots(&without_repeated_slashes(text)));
        }
    }

    fn insert(&mut self, reading: Vec<u8>) {
        // They are few, and most often one or two.
        if reading != self.path && !self.texts.contains(&reading) {
            self.texts.push(reading);
        }
    }
}

fn prepare(path: &[u8], strip: bool, backslash: Backslash) -> Vec<u8> {
    let mut text = path.to_vec();
    if backslash == Backslash::BeforeParameters {
        slash(&mut text);
    }
    if strip {
        text = without_parameters(&text);
    }
    if backslash == Backslash::AfterParameters {
        slash(&mut text);
    }
    text
}

fn slash(text: &mut [u8]) {
    for byte in text.iter_mut().filter(|byte| **byte == b'\\') {
        *byte = b'/';
    }
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/');
    let names = segments.map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default());
    names.collect::<Vec<_>>().join(&b'/')
}

fn without_repeated_slashes(path: &[u8]) -> Vec<u8> {
    let mut text = path.to_vec();
    text.dedup_by(|next, byte| *next == b'/' && *byte == b'/');
    text
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let Some(path_within) = path.strip_prefix(b"/") else {
        return path.to_vec();
    };
    if !path.windows(2).any(|pair| pair == b"/.") {
        return path.to_vec();
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path_within.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push(b"");
        }
    }
    [b"/", kept.join(&b'/').as_slice()].concat()
}

/// Which `%` may stand in a text that is decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// Those that two hexadecimal digits follow.
    Whole,
    /// Any: one that stood encoded itself is a percent sign.
    Any,
}

/// The text with its percent encoding taken away once. `None` where that makes a control character, or no text at all.
fn decode(text: &[u8], escapes: Escapes) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        match escaped(after) {
            Some((byte, _)) if CONTROLS.contains(&byte) || byte == DELETE => return None,
            Some((byte, after)) => {
                decoded.push(byte);
                rest = after;
            }
            None if escapes == Escapes::Whole => return None,
            None => decoded.push(byte),
        }
    }
    (!is_overlong(&decoded)).then_some(decoded)
}

/// The byte that two hexadecimal digits stand for, and what follows them.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], after) = text.split_first_chunk::<2>()?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(((digit(high)? << 4) | digit(low)?, after))
}

/// UTF-8 in more bytes than it takes (`%c0%af`), which lenient sites read as `/` or `.`.
fn is_overlong(text: &[u8]) -> bool {
    text.windows(2)
        .any(|pair| matches!(pair, [0xc0 | 0xc1, 0x80..=0xbf] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(path: &str) -> Vec<String> {
        match Readings::of(path.as_bytes(), PathReadings::All) {
            Readings::AsWritten => Vec::new(),
            Readings::Others(others) => {
                let mut others: Vec<_> =
                    others.into_iter().map(|other| String::from_utf8_lossy(&other).into_owned()).collect();
                others.sort_unstable();
                others
            }
            Readings::Unclear => vec!["?".to_owned()],
        }
    }

    #[test]
    fn what_is_read_in_one_way() {
        for path in ["/", "/a", "/a/b.txt", "*", "", "/a.b/..c", "/a/b.", "/.well-known/x", "/.../a", "/a~b"]
        {
            assert_eq!(others(path), [""; 0], "{path}");
        }
    }

    #[test]
    fn what_is_read_in_several() {
        for (path, expected) in [
            ("/%61dmin", &["/admin"][..]),
            ("/%2561dmin", &["/%61dmin", "/admin"]),
            ("/admin;x", &["/admin"]),
            ("/a;x/b;y=1;z", &["/a/b"]),
            ("//admin", &["/admin"]),
            ("/a/../admin", &["/admin"]),
            ("/a/..%2fadmin", &["/admin"]),
            ("/a/..%252fadmin", &["/a/..%2fadmin", "/admin"]),
            ("/a/..;/admin", &["/admin"]),
            ("\\admin", &["/admin"]),
            ("/a\\..\\admin", &["/admin"]),
            ("/a%5cb", &["/a/b", "/a\\b"]),
            ("/a/.", &["/a/"]),
            ("/a/..", &["/"]),
            ("/a//../b", &["/a/b", "/b"]),
            ("/100%25", &["/100%"]),
            ("/100%25zz", &["/100%zz"]),
            // A parameter that hides a slash, before percent encoding is taken away and after it.
            ("/%61;%2f..", &["/", "/%61", "/a"]),
        ] {
            assert_eq!(others(path), expected, "{path}");
        }
        // A backslash within a parameter, read as a slash before the parameter is taken away and after it.
        let read = others("/x;\\y/..\\b");
        assert!(read.contains(&"/b".to_owned()) && read.contains(&"/x/b".to_owned()), "{read:?}");
    }

    #[test]
    fn what_cannot_be_told() {
        for path in [
            "/%",
            "/%2",
            "/%zz",
            "/a%2gb",
            "/%u002f",
            "/%00",
            "/a%0ab",
            "/%1f",
            "/%7f",
            "/%2500",
            "/%250d",
            "/%c0%af",
            "/%e0%80%af",
            "/%f0%80%80%af",
            "/%25c0%25af",
            "/%C1%9C",
        ] {
            assert_eq!(others(path), ["?"], "{path}");
        }
        assert_eq!(others("/%c3%a4"), ["/ä"]);
        assert_eq!(others("/%e2%82%ac"), ["/€"]);
    }

    #[test]
    fn read_literally_there_is_one() {
        for path in ["/%61", "//a", "/a;b", "/%00", "/../a"] {
            assert_eq!(Readings::of(path.as_bytes(), PathReadings::Literal), Readings::AsWritten, "{path}");
        }
    }

    #[test]
    fn a_long_path_is_read_once_or_not_at_all() {
        let long = |unit: &str, size: usize| format!("/{}", unit.repeat(size)).into_bytes();
        assert_eq!(Readings::of(&long("a", 60_000), PathReadings::All), Readings::AsWritten);
        assert_eq!(Readings::of(&long(";", MAX_READ_TWICE), PathReadings::All), Readings::Unclear);
        assert_ne!(Readings::of(&long(";", MAX_READ_TWICE - 1), PathReadings::All), Readings::Unclear);
        assert_eq!(Readings::of(&long(";", 60_000), PathReadings::Literal), Readings::AsWritten);
    }

    /// A path of any kind costs so many texts and no more.
    #[test]
    fn they_are_few() {
        let hostile = "/a;b\\%5c%255c%3b%253b//..%2f%252f;".repeat(50);
        let Readings::Others(others) = Readings::of(hostile.as_bytes(), PathReadings::All) else {
            panic!("it can be read")
        };
        assert!(others.len() <= 72, "{}", others.len());
    }
}
