//! The readings of a path, by the letter of docs/language.md#paths: every way, one after the other, and none left out for being idle.

use std::collections::BTreeSet;

/// The readings; `None` where the path is unknown at once.
pub(crate) fn readings(path: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let twice = [&b"%"[..], b";", b"\\", b"//", b"/."];
    if !twice.iter().any(|part| path.windows(part.len()).any(|window| window == *part)) {
        return Some(BTreeSet::from([path.to_vec()]));
    }
    if path.len() > 8_192 {
        return None;
    }
    let once = plain(path, true)?;
    plain(&once, false)?;
    let mut all = BTreeSet::from([path.to_vec()]);
    for decodings in 0..3 {
        for choice in 0..24 {
            let (before, after, merge) = (choice & 1 > 0, choice & 2 > 0, choice & 4 > 0);
            let backslash = choice / 8;
            let mut text = path.to_vec();
            for _ in 0..decodings {
                text = plain(&prepared(text, before, backslash), false).unwrap();
            }
            text = prepared(text, after, backslash);
            if merge {
                while let Some(at) = text.windows(2).position(|pair| pair == b"//") {
                    text.remove(at);
                }
            }
            all.insert(without_dot_segments(text));
        }
    }
    Some(all)
}

/// `backslash`: 0 leaves it, 1 reads it as a slash before parameters go, 2 after.
fn prepared(mut text: Vec<u8>, strip: bool, backslash: i32) -> Vec<u8> {
    for step in 1..=2 {
        if backslash == step {
            text.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        }
        if strip && step == 1 {
            let mut parameter = false;
            text.retain(|byte| {
                parameter = (parameter || *byte == b';') && *byte != b'/';
                !parameter
            });
        }
    }
    text
}

/// Percent encoding taken away once. A `%` that begins none is an error, or stays.
fn plain(text: &[u8], strict: bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match digits {
            Some(digits) if text[at] == b'%' => {
                let byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
                if byte < 0x20 || byte == 0x7f {
                    return None;
                }
                out.push(byte);
                at += 3;
            }
            _ if text[at] == b'%' && strict => return None,
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    // Longer UTF-8 than there is need for.
    for at in 0..out.len().saturating_sub(1) {
        let (first, next) = (out[at], out[at + 1]);
        let continues = (0x80..0xc0).contains(&next);
        if continues
            && (first == 0xc0
                || first == 0xc1
                || (first == 0xe0 && next < 0xa0)
                || (first == 0xf0 && next < 0x90))
        {
            return None;
        }
    }
    Some(out)
}

/// RFC 3986, 5.2.4, with its two buffers.
fn without_dot_segments(text: Vec<u8>) -> Vec<u8> {
    if text.first() != Some(&b'/') {
        return text;
    }
    let mut input = text;
    let mut output: Vec<u8> = Vec::new();
    while !input.is_empty() {
        if input.starts_with(b"/./") {
            input.drain(..2);
        } else if input == b"/." {
            input = b"/".to_vec();
        } else if input.starts_with(b"/../") || input == b"/.." {
            input = if input.len() == 3 { b"/".to_vec() } else { input[3..].to_vec() };
            let last = output.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            output.truncate(last);
        } else {
            let end = input.iter().skip(1).position(|byte| *byte == b'/').map_or(input.len(), |at| at + 1);
            output.extend(input.drain(..end));
        }
    }
    output
}
