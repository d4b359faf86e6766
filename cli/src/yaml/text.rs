//! The text of a file, and stretches of it.

use std::cell::OnceCell;

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// What the user calls it.
    pub(crate) name: String,
    pub(crate) text: String,
    /// Looked for once, however many findings show a place.
    places: OnceCell<Places>,
}

/// Where the lines and characters of a text stand, so that no finding has to count them again.
#[derive(Debug)]
struct Places {
    /// Of each line, the byte and the number of its first character.
    lines: Vec<(usize, usize)>,
    /// The byte of each [`STRIDE`]th character.
    marks: Vec<usize>,
}

const STRIDE: usize = 256;

/// A stretch of a file: lines and columns count from one, the end column is behind the last character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) end_line: u32,
    pub(crate) end_column: u32,
}

// === impl Source ===

impl Source {
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), places: OnceCell::new() }
    }

    /// A line of the file, counted from one, without its end.
    pub(crate) fn line(&self, line: u32) -> Option<&str> {
        let rest = self.text.get(self.offset(line, 1)?..)?;
        Some(rest.split(['\n', '\r']).next().unwrap_or_default())
    }

    /// What stands on one line between two columns.
    pub(crate) fn slice(&self, span: Span) -> Option<&str> {
        let end = self.offset(span.end_line, span.end_column)?;
        (span.line == span.end_line)
            .then(|| self.text.get(self.offset(span.line, span.column)?..end))
            .flatten()
    }

    /// The byte at which a line and column (in characters) stand.
    pub(crate) fn offset(&self, line: u32, column: u32) -> Option<usize> {
        let places = self.places.get_or_init(|| Places::of(&self.text));
        let at = usize::try_from(line).ok()?.checked_sub(1)?;
        let (_, first) = *places.lines.get(at)?;
        let character = first + usize::try_from(column).ok()?.checked_sub(1)?;
        let mark = *places.marks.get(character / STRIDE)?;
        let rest = self.text.get(mark..)?;
        Some(mark + rest.char_indices().nth(character % STRIDE).map_or(rest.len(), |(at, _)| at))
    }
}

// === impl Places ===

impl Places {
    fn of(text: &str) -> Self {
        // A mark of the byte order is no character of the first line.
        let skipped = if text.starts_with('\u{feff}') { 1 } else { 0 };
        let mut places = Self { lines: vec![(skipped * '\u{feff}'.len_utf8(), skipped)], marks: Vec::new() };
        let mut characters = text.char_indices().zip(0..).peekable();
        while let Some(((byte, character), number)) = characters.next() {
            if number % STRIDE == 0 {
                places.marks.push(byte);
            }
            // A carriage return ends a line, too, as it does for the parser.
            let is_crlf = character == '\r' && characters.peek().is_some_and(|((_, next), _)| *next == '\n');
            if matches!(character, '\n' | '\r') && !is_crlf {
                places.lines.push((byte + 1, number + 1));
            }
        }
        // The end of the text is a place, too.
        places.marks.push(text.len());
        places
    }
}

// === impl Span ===

impl Span {
    /// The first character of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1, end_line: 1, end_column: 1 };

    /// From the beginning of this one to the end of another.
    pub(super) fn to(self, end: Self) -> Self {
        Self { end_line: end.end_line, end_column: end.end_column, ..self }
    }
}

/// Whether a character has no place in a line of text: controls, which a terminal obeys; the line ends of YAML 1.1 that are none
/// in 1.2; marks that reorder what is shown;
/// what YAML has no place for.
pub(crate) fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_offsets() {
        let source = Source::new("t", "\u{feff}ab\r\n\rü: x\n");
        assert_eq!(source.line(1), Some("ab"));
        assert_eq!(source.line(2), Some(""));
        assert_eq!(source.line(3), Some("ü: x"));
        assert_eq!(source.line(4), Some(""));
        assert_eq!((source.line(0), source.line(5)), (None, None));
        let at = source.offset(3, 4).unwrap();
        assert_eq!(source.text.get(at..), Some("x\n"));
    }

    #[test]
    fn what_a_terminal_obeys_is_unprintable() {
        for character in ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{2028}', '\u{202e}', '\n', '\t'] {
            assert!(is_unprintable(character), "{character:?}");
        }
        for character in ['a', 'ü', '中', '\u{a0}', '😀'] {
            assert!(!is_unprintable(character), "{character:?}");
        }
    }
}
