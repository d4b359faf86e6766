//! What goes to standard output, and what to standard error.

use crate::diagnostics::{Diagnostic, Finding};
use crate::terminal::{harmless, harmless_json, one_line};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two streams of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    color: Color,
}

#[derive(Serialize)]
struct Errors<'d> {
    errors: Vec<Finding<'d>>,
}

impl Output {
    pub(crate) fn new(format: Format, color: Color) -> Self {
        Self { format, color }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    pub(crate) fn color_on_stdout(self) -> bool {
        self.uses_color(std::io::stdout().is_terminal())
    }

    fn uses_color(self, terminal: bool) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// Writes a result, without any control characters but line ends and tabs.
    pub(crate) fn print(self, text: &str) {
        write_out(&harmless(text));
    }

    /// Writes a result that has colours of ours. What is of any input in it has to be harmless already.
    pub(crate) fn print_ready(self, text: &str) {
        write_out(text);
    }

    /// Writes a text that is to stay byte for byte.
    pub(crate) fn print_exact(self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes a result as JSON.
    pub(crate) fn print_json(self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => write_out(&harmless_json(&text)),
            Err(error) => self.note(&format!("error: {error}")),
        }
    }

    /// Says something beside the result, in a line.
    pub(crate) fn note(self, text: &str) {
        write_err(&one_line(text));
    }

    /// Says why there is no result: findings for people on standard error, for programs as the result.
    pub(crate) fn fail(self, diagnostics: &[Diagnostic]) {
        if self.is_json() {
            let errors = diagnostics.iter().map(Diagnostic::finding).collect();
            self.print_json(&Errors { errors });
            return;
        }
        for (at, diagnostic) in diagnostics.iter().enumerate() {
            if at > 0 {
                write_err("");
            }
            self.note_finding(diagnostic);
        }
    }

    /// A finding on standard error.
    pub(crate) fn note_finding(self, diagnostic: &Diagnostic) {
        write_err(&diagnostic.render(self.uses_color(std::io::stderr().is_terminal())));
    }
}

/// A reader that went away (`| head`) is no error.
fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let _ = write!(out, "{text}{newline}").and_then(|()| out.flush());
}

fn write_err(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{text}");
}
