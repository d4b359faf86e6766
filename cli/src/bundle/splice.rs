//! Changing values of a text in their places, and nothing else of it.

use super::Step;
use crate::diagnostics::Diagnostic;
use crate::yaml::{Node, Source, Span, parse};
use crate::yaml_out::{Tree, yaml};
use egress_policy::config::{Json, Object};
use std::ops::Range;
use std::rc::Rc;

/// A value that becomes another.
pub(super) struct Edit {
    /// Where it stands.
    span: Span,
    /// The key before it, and where the object around that begins; none where it is a whole document.
    key: Option<(Span, Span)>,
    /// The way to it.
    place: Vec<Step>,
    new: Json,
}

impl Edit {
    pub(super) fn new(value: &Node, parent: Option<(&Node, Span)>, place: Vec<Step>, new: Json) -> Self {
        Self { span: value.span, key: parent.map(|(parent, key)| (key, parent.span)), place, new }
    }

    /// What is replaced, from behind the colon to the value's last character, and by what.
    fn in_text(&self, source: &Source) -> Option<(Range<usize>, String)> {
        let end = source.offset(self.span.end_line, self.span.end_column)?;
        let Some((key, parent)) = self.key else {
            let start = source.offset(self.span.line, self.span.column)?;
            return Some((range(source, start, end)?, self.written(source, start, 0)));
        };
        let behind_key = source.offset(key.end_line, key.end_column)?;
        let colon = source.text.get(behind_key..)?.find(|character: char| !character.is_whitespace())?;
        let start = behind_key + colon + 1;
        if !source.text.get(..start)?.ends_with(':') {
            return None;
        }
        let around = source.offset(parent.line, parent.column)?;
        let indent = usize::try_from(key.column).ok()? + 1;
        let written = self.written(source, around, indent);
        let gap = if written.starts_with(['\r', '\n']) { "" } else { " " };
        Some((range(source, start, end)?, format!("{gap}{written}")))
    }

    /// JSON where the text around is in brackets, else YAML with an indent; `around` is where that begins.
    fn written(&self, source: &Source, around: usize, indent: usize) -> String {
        let in_brackets = source.text.get(around..).is_some_and(|text| text.starts_with(['{', '[']));
        let json = if self.key.is_none() { serde_json::to_string_pretty } else { serde_json::to_string };
        let is_empty = matches!(&self.new, Json::Object(Object(entries)) if entries.is_empty());
        if in_brackets || is_empty {
            return json(&Tree(&self.new)).unwrap_or_default();
        }
        let lines = yaml(&self.new);
        let lines: Vec<String> = lines.lines().map(|line| format!("{}{line}", " ".repeat(indent))).collect();
        let newline = if source.text.contains("\r\n") { "\r\n" } else { "\n" };
        let lead = if self.key.is_none() { "" } else { newline };
        format!("{lead}{}", lines.join(newline))
    }
}

/// A range without the space at its end: a block of text ends where the next value begins.
fn range(source: &Source, start: usize, end: usize) -> Option<Range<usize>> {
    let length = source.text.get(start..end)?.trim_end().len();
    Some(start..start + length)
}

/// The text with its edits; everything else byte for byte.
pub(super) fn text(
    source: &Rc<Source>,
    documents: &[Node],
    edits: &[Edit],
) -> Result<String, Vec<Diagnostic>> {
    let refuse = |span: Span| {
        let what = "this cannot be changed alone: other parts of the file are written by reference to it";
        vec![
            Diagnostic::error(what)
                .at(source, span)
                .help("write it out without anchors, aliases and merge keys"),
        ]
    };
    let mut parts = Vec::new();
    for edit in edits {
        parts.push(edit.in_text(source).ok_or_else(|| refuse(edit.span))?);
    }
    parts.sort_by_key(|(range, _)| range.start);
    let mut text = String::new();
    let mut end = 0;
    for (range, new) in &parts {
        text.push_str(source.text.get(end..range.start).unwrap_or_default());
        text.push_str(new);
        end = range.end;
    }
    text.push_str(source.text.get(end..).unwrap_or_default());
    // Read back, it is what was meant, or it is not written.
    let wanted = trees(documents, edits);
    let read = parse(&text).map(|documents| documents.iter().map(Node::to_json).collect::<Vec<_>>());
    if read.as_ref() == Ok(&wanted) {
        return Ok(text);
    }
    Err(refuse(edits.first().map_or(Span::START, |edit| edit.span)))
}

/// The documents with their edits, as trees.
pub(super) fn trees(documents: &[Node], edits: &[Edit]) -> Vec<Json> {
    let mut trees: Vec<Json> = documents.iter().map(Node::to_json).collect();
    for edit in edits {
        if let Some((Step::Document(at), rest)) = edit.place.split_first()
            && let Some(tree) = trees.get_mut(*at)
        {
            set(tree, rest, &edit.new);
        }
    }
    trees
}

fn set(tree: &mut Json, place: &[Step], value: &Json) {
    let Some((step, rest)) = place.split_first() else {
        *tree = value.clone();
        return;
    };
    let inner = match (step, tree) {
        (Step::Key(key), Json::Object(Object(entries))) => {
            entries.iter_mut().find(|(name, _)| **name == **key).map(|(_, value)| value)
        }
        (Step::Item(at), Json::List(items)) => items.get_mut(*at),
        _ => None,
    };
    if let Some(inner) = inner {
        set(inner, rest, value);
    }
}
