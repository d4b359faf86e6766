//! Which path a target names, read as sites read one: each of their habits, alone or with others.

use std::collections::BTreeSet;

/// The refused path, and the host at which it is refused.
pub(crate) const REFUSED_PATH: &str = "/admin";
pub(crate) const PATH_HOST: &str = "paths.example.com";

/// Whether some site reads the refused path there.
pub(crate) fn names_refused_path(target: &str) -> bool {
    let mut read = BTreeSet::new();
    let mut unread = vec![target.to_owned()];
    while let Some(text) = unread.pop() {
        if read.len() < 1_000 && read.insert(text.clone()) {
            unread.extend([
                percent_decoded(&text),
                text.replace('\\', "/"),
                text.replace("//", "/"),
                segments(&text, |segment| segment.split(';').next().unwrap_or_default()),
                text.split(['?', '#']).next().unwrap_or_default().to_owned(),
                without_dots(&text),
            ]);
        }
    }
    read.contains(REFUSED_PATH)
}

fn segments(text: &str, change: impl Fn(&str) -> &str) -> String {
    text.split('/').map(change).collect::<Vec<_>>().join("/")
}

fn without_dots(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment {
            "." => {}
            ".." if kept.len() > 1 => drop(kept.pop()),
            ".." => {}
            _ => kept.push(segment),
        }
    }
    kept.join("/")
}

/// Lenient: what is no escape stays, and the longer UTF-8 of a slash is one.
fn percent_decoded(text: &str) -> String {
    let text = text.replace("%c0%af", "/");
    let Some((before, after)) = text.split_once('%') else { return text };
    let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    match byte {
        Some(byte) => {
            format!("{before}{}{}", char::from(byte), percent_decoded(after.get(2..).unwrap_or_default()))
        }
        None => format!("{before}%{}", percent_decoded(after)),
    }
}
