//! The lines of a log, one at a time, however long the log is.

use std::io::{self, BufRead};

/// The longest line that is kept; of a longer one only its length is known.
pub(super) const MAX_LINE: usize = 16 << 20;

/// What came of reading a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is in the buffer, without its end.
    Line,
    /// It was longer than [`MAX_LINE`] and passed over.
    TooLong,
    End,
}

/// Reads the next line into a buffer.
///
/// # Errors
/// The input's.
pub(super) fn next(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Next> {
    line.clear();
    let mut is_empty = true;
    let mut is_too_long = false;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            break;
        }
        is_empty = false;
        let mut pieces = available.splitn(2, |byte| *byte == b'\n');
        let piece = pieces.next().unwrap_or_default();
        let is_end = pieces.next().is_some();
        if line.len() + piece.len() > MAX_LINE {
            is_too_long = true;
            line.clear();
        }
        if !is_too_long {
            line.extend_from_slice(piece);
        }
        let used = piece.len() + usize::from(is_end);
        input.consume(used);
        if is_end {
            break;
        }
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
    Ok(match (is_empty, is_too_long) {
        (true, _) => Next::End,
        (_, true) => Next::TooLong,
        _ => Next::Line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn every_line_once_whatever_the_buffer() {
        let text = b"one\r\n\ntwo\nlast";
        for capacity in [1, 2, 3, 64] {
            let mut input = BufReader::with_capacity(capacity, &text[..]);
            let mut line = Vec::new();
            let mut lines = Vec::new();
            while next(&mut input, &mut line).unwrap() == Next::Line {
                lines.push(String::from_utf8(line.clone()).unwrap());
            }
            assert_eq!(lines, ["one", "", "two", "last"], "{capacity}");
        }
    }

    #[test]
    fn a_line_without_end_is_passed_over() {
        let mut text = vec![b'x'; MAX_LINE + 1];
        text.extend_from_slice(b"\nafter\n");
        let mut input = BufReader::new(&text[..]);
        let mut line = Vec::new();
        assert_eq!(next(&mut input, &mut line).unwrap(), Next::TooLong);
        assert!(line.is_empty());
        assert_eq!(next(&mut input, &mut line).unwrap(), Next::Line);
        assert_eq!(line, b"after");
        assert_eq!(next(&mut input, &mut line).unwrap(), Next::End);
    }
}
