//! Reading a file, and its documents, with everything that is wrong with it.

use crate::diagnostics::Diagnostic;
use crate::yaml::{Node, Source, Span, YamlError, parse, parse_json};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

/// What is read of a file or of standard input.
const MAX_BYTES: u64 = 2 << 30;

impl Source {
    /// Reads a file; `-` is the standard input.
    ///
    /// # Errors
    /// What cannot be read, is no file (a device, a pipe, a folder) or no UTF-8 text.
    pub(crate) fn read(path: &Path) -> Result<Rc<Self>, Vec<Diagnostic>> {
        let (name, bytes) = if path == Path::new("-") {
            ("<stdin>".to_owned(), read_all(io::stdin().lock()))
        } else {
            (path.display().to_string(), read_file(path))
        };
        let refuse = |message: String| Diagnostic::error(message).in_file(&name);
        let bytes = bytes.map_err(|error| {
            let refused = refuse(format!("cannot read it: {error}"));
            let is_pipe = error.kind() == io::ErrorKind::InvalidInput;
            vec![if is_pipe { refused.help("write a file, or pipe it in and write `-`") } else { refused }]
        })?;
        Self::from_bytes(name, bytes).map(Rc::new)
    }

    /// A file that was read.
    ///
    /// # Errors
    /// What is no UTF-8 text.
    pub(crate) fn from_bytes(name: String, bytes: Vec<u8>) -> Result<Self, Vec<Diagnostic>> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text)),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
                let what = format!("it is not UTF-8 text: see line {line}");
                Err(vec![Diagnostic::error(what).in_file(&name)])
            }
        }
    }

    /// The documents of the file.
    ///
    /// # Errors
    /// Text that is neither YAML nor JSON, with every error that can be told.
    pub(crate) fn documents(self: &Rc<Self>) -> Result<Vec<Node>, Vec<Diagnostic>> {
        let errors = match parse(&self.text) {
            Ok(documents) => return Ok(documents),
            Err(errors) => errors,
        };
        if errors.iter().all(|error| error.is_syntax)
            && let Some(json) = parse_json(&self.text)
        {
            return Ok(vec![json]);
        }
        Err(self.explain(errors))
    }

    /// A template that nobody rendered is one error, whatever it does to the YAML around it.
    fn explain(self: &Rc<Self>, errors: Vec<YamlError>) -> Vec<Diagnostic> {
        if let Some((line, column, text)) = template(&self.text) {
            let width = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
            let span = Span { line, column, end_line: line, end_column: column.saturating_add(width) };
            let what = format!("{text}: this is a template that was not rendered");
            let help = "render it first (`helm template`) and give what it writes";
            return vec![Diagnostic::error(what).at(self, span).help(help)];
        }
        let diagnose = |error: YamlError| {
            let diagnostic = Diagnostic::error(error.message).at(self, error.span);
            match error.repair {
                Some(repair) => diagnostic.help(repair),
                None => diagnostic,
            }
        };
        errors.into_iter().map(diagnose).collect()
    }
}

/// The bytes of a regular file.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_all(open_file(path)?)
}

/// A regular file. A device has no end, and a pipe may wait for ever.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let refuse = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let regular = |metadata: fs::Metadata| {
        if metadata.is_dir() {
            Err(refuse("it is a folder"))
        } else if metadata.is_file() {
            Ok(())
        } else {
            Err(refuse("it is a device or a pipe, not a file"))
        }
    };
    // Looked at first, because opening a pipe waits; and again, because it may be another by now.
    regular(fs::metadata(path)?)?;
    let file = File::open(path)?;
    regular(file.metadata()?)?;
    Ok(file)
}

/// All bytes, where they are not without end.
pub(crate) fn read_all(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {} GiB", MAX_BYTES >> 30)));
    }
    Ok(bytes)
}

/// The first `{{ … }}` of a text that stands in no comment: its line, its column, itself.
fn template(text: &str) -> Option<(u32, u32, String)> {
    text.lines().zip(1..).find_map(|(line, number)| {
        let code = line.split(" #").next().filter(|code| !code.starts_with('#'))?;
        let (before, rest) = code.split_once("{{")?;
        let (inside, _) = rest.split_once("}}")?;
        let column = u32::try_from(before.chars().count()).ok()?.checked_add(1)?;
        Some((number, column, format!("{{{{{inside}}}}}")))
    })
}
