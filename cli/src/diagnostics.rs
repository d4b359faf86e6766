//! Findings: what is wrong or surprising, where it stands, and what to do about it.

use crate::terminal::{one_line, same_width};
use crate::yaml::{Source, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use std::rc::Rc;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// One finding.
#[derive(Debug, Clone)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    file: String,
    place: Option<(Rc<Source>, Span)>,
    path: String,
    message: String,
    help: Option<String>,
}

/// A finding as `--format json` writes it.
#[derive(Debug, Serialize)]
pub(crate) struct Finding<'d> {
    file: &'d str,
    line: u32,
    column: u32,
    path: &'d str,
    message: &'d str,
    help: Option<&'d str>,
}

/// How many errors of one file are shown: nobody reads more, and a hostile file could have millions.
const MAX_SHOWN: usize = 10_000;

/// Errors as findings; of very many, the first, and how many more there are.
pub(crate) fn shown<E>(errors: &[E], file: &str, diagnose: impl Fn(&E) -> Diagnostic) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = errors.iter().take(MAX_SHOWN).map(diagnose).collect();
    found.extend(and_more(errors.len(), file));
    found
}

/// What is said of errors beyond those that are shown.
pub(crate) fn and_more(errors: usize, file: &str) -> Option<Diagnostic> {
    let more = errors.checked_sub(MAX_SHOWN).filter(|more| *more > 0)?;
    Some(Diagnostic::error(format!("{more} more errors are not shown")).in_file(file))
}

/// Whether a further error is to be shown.
pub(crate) fn is_shown(errors: usize) -> bool {
    errors < MAX_SHOWN
}

impl Diagnostic {
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self { severity, file: String::new(), place: None, path: String::new(), message, help: None }
    }

    /// In a file as a whole.
    pub(crate) fn in_file(self, name: &str) -> Self {
        Self { file: name.to_owned(), ..self }
    }

    /// At a place in a file.
    pub(crate) fn at(self, source: &Rc<Source>, span: Span) -> Self {
        // A span of nothing at all (an empty file) is its first character.
        let span = if span.line == 0 { Span::START } else { span };
        Self { file: source.name.clone(), place: Some((Rc::clone(source), span)), ..self }
    }

    /// At a value of a configuration or resource.
    pub(crate) fn path(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where it stands, for sorting.
    pub(crate) fn order(&self) -> (u32, u32) {
        self.place.as_ref().map_or((0, 0), |(_, span)| (span.line, span.column))
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// As data.
    pub(crate) fn finding(&self) -> Finding<'_> {
        let (line, column) = self.order();
        Finding {
            file: &self.file,
            line,
            column,
            path: &self.path,
            message: &self.message,
            help: self.help.as_deref(),
        }
    }

    /// For people, with the line and a caret.
    pub(crate) fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = if self.place.is_none() && !self.file.is_empty() {
            format!("{}: {}", self.file, self.message)
        } else if self.path.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.path, self.message)
        };
        let (title, file) = (one_line(&title), one_line(&self.file));
        let mut group = Group::with_title(level.primary_title(title));
        let mut shown = None;
        if let Some((source, span)) = &self.place {
            let line = Line::around(source, *span);
            let text = same_width(&line.text).into_owned();
            let marked = bytes_of(&text, line.span);
            let snippet = Snippet::source(text).line_start(usize::try_from(span.line).unwrap_or_default());
            let annotation = AnnotationKind::Primary.span(marked);
            group = group.element(snippet.path(file.clone()).annotation(annotation));
            shown = Some(line.span.column);
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(one_line(help)));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let text = renderer.render(&[group]);
        match (&self.place, shown) {
            // Of a part of a line the columns are not those of the file.
            (Some((_, span)), Some(shown)) if shown != span.column => {
                let place = |column: u32| format!("{file}:{}:{column}", span.line);
                text.replacen(&place(shown), &place(span.column), 1)
            }
            _ => text,
        }
    }
}

/// What is shown of a line.
struct Line {
    text: String,
    span: Span,
}

impl Line {
    /// How many bytes of a line are shown as they are; how many characters of a longer line are shown before a place, and how many from it on.
    const LONG: usize = 1000;
    const BEFORE: u32 = 60;
    const BEHIND: usize = 200;

    /// The line of a place, or as much around it as helps: a file may be one line of megabytes.
    fn around(source: &Source, span: Span) -> Self {
        let begin = source.offset(span.line, 1).unwrap_or_default();
        let line = source.text.get(begin..).unwrap_or_default();
        let is_short = line.len() <= Self::LONG
            || line.bytes().take(Self::LONG).any(|byte| matches!(byte, b'\n' | b'\r'));
        if is_short {
            return Self { text: source.line(span.line).unwrap_or_default().to_owned(), span };
        }
        let first = span.column.saturating_sub(Self::BEFORE).max(1);
        let start = source.offset(span.line, first).unwrap_or_default();
        let rest = source.text.get(start..).unwrap_or_default();
        let text: String = rest
            .chars()
            .take_while(|character| !matches!(character, '\n' | '\r'))
            .take(Self::BEHIND)
            .collect();
        let shift = first - 1;
        let span =
            Span { column: span.column - shift, end_column: span.end_column.saturating_sub(shift), ..span };
        Self { text, span }
    }
}

/// The part of its first line that a span covers, in bytes; at least one character where there is one.
fn bytes_of(line: &str, span: Span) -> std::ops::Range<usize> {
    let byte = |column: u32| {
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
    };
    let start = byte(span.column);
    let end = if span.end_line > span.line { line.trim_end().len() } else { byte(span.end_column) };
    start..end.max(byte(span.column + 1)).max(start)
}
