//! Findings: what is wrong or surprising, where it stands, and what to do about it.

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
        let mut group = Group::with_title(level.primary_title(title));
        if let Some((source, span)) = &self.place {
            let line = source.line(span.line).unwrap_or_default();
            group = group.element(
                Snippet::source(line)
                    .line_start(usize::try_from(span.line).unwrap_or_default())
                    .path(self.file.as_str())
                    .annotation(AnnotationKind::Primary.span(bytes_of(line, *span))),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
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
