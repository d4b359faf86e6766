//! From YAML text (of which JSON is a part) to trees.
//!
//! Merge keys (`<<`) are merged here, once, for every reader. What a hostile file could make large is bounded: its bytes, its
//! values, their depth, and what its aliases copy.

use super::copies::{Copies, weight};
use super::node::{Entry, Node, Text, Value};
use super::scalar;
use super::text::{Span, is_unprintable};
use super::wording::explained;
use egress_policy::config::{MAX_VALUES, values_in};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use std::collections::HashSet;

/// How long a text may be.
const MAX_BYTES: usize = 128 << 20;
/// How deep a file may nest; a configuration needs ten.
const MAX_DEPTH: usize = 100;
/// How many errors are noted in one text.
const MAX_ERRORS: usize = 100;

/// Text that is not YAML, or more than it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub(crate) message: String,
    pub(crate) repair: Option<String>,
    pub(crate) span: Span,
    /// Whether the text is no YAML, which JSON may be all the same.
    pub(crate) is_syntax: bool,
}

/// The documents of a text; empty ones are left out.
///
/// # Errors
/// What is no YAML ends the reading; of what has no meaning in a tree (a tag, a key that is no string) all is noted.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, Vec<YamlError>> {
    parse_up_to(text, MAX_VALUES)
}

fn parse_up_to(text: &str, max_values: usize) -> Result<Vec<Node>, Vec<YamlError>> {
    if text.len() > MAX_BYTES {
        let limit = MAX_BYTES >> 20;
        return Err(vec![YamlError::new(format!("the file is larger than {limit} MiB"), Span::START)]);
    }
    let mut errors = unprintable(text);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut builder = Builder {
        parser: Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
        copies: Copies::default(),
        values: 0,
        max_values,
        errors: Vec::new(),
    };
    let documents = builder.documents();
    errors.append(&mut builder.errors);
    match documents {
        Ok(documents) if errors.is_empty() => Ok(documents),
        Ok(_) => Err(errors),
        Err(fatal) => {
            errors.push(fatal);
            Err(errors)
        }
    }
}

/// A JSON text that YAML does not take (a surrogate pair, a key of a kilobyte), within the same bounds; all of it stands at its
/// beginning.
pub(crate) fn parse_json(text: &str) -> Option<Node> {
    let values = values_in(text.as_bytes());
    let json = (values <= MAX_VALUES).then(|| serde_json::from_str(text).ok()).flatten()?;
    Some(Node::from_json(&json, Span::START))
}

/// Characters that may not stand in a text as they are; in quotes, each can be written as an escape.
fn unprintable(text: &str) -> Vec<YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut errors = Vec::new();
    let (mut line, mut column) = (1, 0);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        column += 1;
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\r' => (line, column) = (line + 1, 0),
            '\t' => {}
            other if is_unprintable(other) => {
                let span = Span { line, column, end_line: line, end_column: column + 1 };
                let code = u32::from(other);
                let error =
                    YamlError::new(format!("the character U+{code:04X} may not stand here as it is"), span);
                errors.push(
                    error.repair(format!("take it out, or write it as \"\\u{code:04x}\", in double quotes")),
                );
                if errors.len() >= MAX_ERRORS {
                    break;
                }
            }
            _ => {}
        }
    }
    errors
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    copies: Copies,
    values: usize,
    max_values: usize,
    errors: Vec<YamlError>,
}

impl<'t> Builder<'t> {
    fn documents(&mut self) -> Result<Vec<Node>, YamlError> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) => self.copies.forget(),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                event => documents.push(self.node(event, span, 0)?),
            }
        }
        documents.retain(|document| document.value != Value::Null);
        Ok(documents)
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, between(&span.start, &span.end))),
            Some(Err(error)) => Err(YamlError::from(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn note(&mut self, error: YamlError) -> Result<(), YamlError> {
        if self.errors.len() >= MAX_ERRORS {
            return Err(error);
        }
        self.errors.push(error);
        Ok(())
    }

    fn count(&mut self, values: usize, span: Span) -> Result<(), YamlError> {
        self.values += values;
        if self.values > self.max_values {
            let limit = self.max_values;
            return Err(YamlError::new(format!("the file holds more than {limit} values"), span));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, YamlError> {
        if depth > MAX_DEPTH {
            return Err(YamlError::new(format!("nested deeper than {MAX_DEPTH} levels"), span));
        }
        self.count(1, span)?;
        let (anchor, node) = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(text.into_owned(), style, tag.as_deref(), span)?;
                (anchor, Node { span, value })
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", span)?;
                (anchor, self.list(span, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", span)?;
                (anchor, self.map(span, depth)?)
            }
            other => return Err(YamlError::new(format!("unexpected {other:?}"), span)),
        };
        if anchor > 0 {
            self.copies.keep(anchor, &node).map_err(|fault| YamlError::new(fault, span))?;
        }
        Ok(node)
    }

    fn list(&mut self, start: Span, depth: usize) -> Result<Node, YamlError> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let end = end_of(start, span, items.last());
                return Ok(Node { span: start.to(end), value: Value::List(items) });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<Node, YamlError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Option<(Span, Node)> = None;
        loop {
            let (event, key_span) = self.next()?;
            let (key, plain) = match event {
                Event::MappingEnd => {
                    let last =
                        entries.iter().map(|entry| &entry.value).chain(merged.as_ref().map(|(_, node)| node));
                    let end =
                        end_of(start, key_span, last.max_by_key(|node| (node.span.line, node.span.column)));
                    if let Some((span, source)) = merged {
                        self.merge(&mut entries, source, span)?;
                    }
                    return Ok(Node { span: start.to(end), value: Value::Map(entries) });
                }
                Event::Scalar(text, style, _, _) => (text.into_owned(), style == ScalarStyle::Plain),
                other => {
                    self.node(other, key_span, depth + 1)?;
                    self.note(YamlError::new("a key is a string, and this is none", key_span))?;
                    (String::new(), false)
                }
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if plain && key == "<<" {
                if merged.is_some() {
                    let error = YamlError::new("the key `<<` is written twice", key_span);
                    self.note(error.repair("write one, with a list: `<<: [*a, *b]`"))?;
                }
                merged = Some((key_span, value));
            } else {
                entries.push(Entry { key, key_span, value });
            }
        }
    }

    /// What `<<` brings: keys that the object has not itself; of several sources, the earlier one's.
    fn merge(&mut self, entries: &mut Vec<Entry>, source: Node, span: Span) -> Result<(), YamlError> {
        let sources = match source.value {
            Value::Map(_) => vec![source],
            Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => items,
            _ => {
                let error =
                    YamlError::new("`<<` merges an object, or a list of objects, and this is neither", span);
                return self.note(error.repair("write `<<: *anchor`, or leave it out"));
            }
        };
        let mut known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        for source in sources {
            let Value::Map(more) = source.value else { continue };
            let new: Vec<Entry> = more.into_iter().filter(|entry| !known.contains(&entry.key)).collect();
            known.extend(new.iter().map(|entry| entry.key.clone()));
            entries.extend(new);
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, YamlError> {
        let copy = self.copies.copy(id).map_err(|fault| YamlError::new(fault, span))?;
        self.count(weight(&copy).values, span)?;
        // It stands where it is used; what is inside, where it was written.
        Ok(Node { span, ..copy })
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Value, YamlError> {
        let plain = style == ScalarStyle::Plain;
        match tag {
            None if plain => return Ok(scalar::resolve(&text)),
            None => {}
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => {
                return Ok(Value::Text(Text { text, plain: false }));
            }
            Some(tag) => self.note(no_meaning(tag, span))?,
        }
        Ok(Value::Text(Text { text, plain }))
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, known: &str, span: Span) -> Result<(), YamlError> {
        match tag {
            Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == known) => {
                self.note(no_meaning(tag, span))
            }
            _ => Ok(()),
        }
    }
}

fn no_meaning(tag: &Tag, span: Span) -> YamlError {
    YamlError::new(format!("the tag {tag} has no meaning here"), span).repair("leave it out")
}

/// Where a collection ends: at its bracket, or with the last value of its block.
fn end_of(start: Span, end: Span, last: Option<&Node>) -> Span {
    let is_flow = (start.line, start.column) != (start.end_line, start.end_column);
    match last {
        _ if is_flow => Span { end_line: end.line, end_column: end.column + 1, ..end },
        Some(last) => last.span,
        None => start,
    }
}

// === impl YamlError ===

impl YamlError {
    fn new(message: impl Into<String>, span: Span) -> Self {
        Self { message: message.into(), repair: None, span, is_syntax: false }
    }

    fn repair(self, repair: impl Into<String>) -> Self {
        Self { repair: Some(repair.into()), ..self }
    }
}

impl From<&ScanError> for YamlError {
    fn from(error: &ScanError) -> Self {
        let (what, repair) = explained(error.info());
        Self { is_syntax: true, ..Self::new(what, between(error.marker(), error.marker())).repair(repair) }
    }
}

fn between(start: &Marker, end: &Marker) -> Span {
    // A text has fewer characters than a u32 can count.
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Span {
        line: number(start.line()),
        column: number(start.col() + 1),
        end_line: number(end.line()),
        end_column: number(end.col() + 1),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
