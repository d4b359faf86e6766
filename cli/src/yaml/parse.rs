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
mod tests {
    use super::super::node::Occurrence;
    use super::*;

    fn one(text: &str) -> Node {
        let mut documents = parse(text).unwrap();
        assert_eq!(documents.len(), 1, "{documents:?}");
        documents.remove(0)
    }

    fn at(text: &str, path: &str) -> (u32, u32, u32) {
        let node = one(text);
        let span = node.locate(path, Occurrence::First).unwrap().value();
        (span.line, span.column, span.end_column)
    }

    #[test]
    fn every_value_has_its_place() {
        let text = "policies:\n- name: a\n  rules:\n  - to: [{operation: {hosts: [x, \"*.b\"]}}]\n";
        assert_eq!(at(text, "policies[0].name"), (2, 9, 10));
        assert_eq!(at(text, "policies[0].rules[0].to[0].operation.hosts[1]"), (4, 34, 39));
        assert_eq!(at(text, "policies[0].rules"), (3, 3, 8));
        assert_eq!(at("a.b:\n  c: x\n", "a.b.c"), (2, 6, 7));
        assert!(one(text).locate("policies[1]", Occurrence::First).is_none());
        assert!(one("ab: 1").locate("a", Occurrence::First).is_none());
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(at("{\"ü\": [\"é\", 7]}", "ü[1]"), (1, 13, 14));
    }

    #[test]
    fn json_is_yaml() {
        let node = one("{\n\t\"a\": [1, true, null, \"no\\u00e9\\/\"],\n\t\"b\": {}\n}\n");
        let expected = r#"{"a": [1, true, null, "noé/"], "b": {}}"#;
        assert_eq!(node.to_json(), serde_json::from_str(expected).unwrap());
    }

    #[test]
    fn documents_and_strings() {
        let documents = parse("---\na: no\n---\n# nothing\n---\nb: 2026-12-31T00:00:00Z\n").unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].text_at(&["a"]), Some("no"));
        assert_eq!(documents[1].text_at(&["b"]), Some("2026-12-31T00:00:00Z"));
        assert_eq!(one("a: !!str 443").text_at(&["a"]), Some("443"));
        assert!(parse("a: !custom 443").is_err());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_key_written_twice_stays_twice() {
        let node = one("a: 1\na: 2\n");
        assert_eq!(node.entries().len(), 2);
        assert_eq!(node.locate("a", Occurrence::Last).unwrap().key_or_value().line, 2);
    }

    #[test]
    fn anchors_are_copied_and_bounded() {
        let node = one("a: &x [1, 2]\nb: *x\n");
        assert_eq!(node.get("b").unwrap().to_json(), node.get("a").unwrap().to_json());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = level - 1;
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 10].join(", "));
        }
        assert!(parse(&bomb).unwrap_err()[0].message.contains("MiB"));
        assert!(parse("a: &a [*a]\n").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn an_error_has_its_place() {
        let errors = parse("a: 1\nb: [1\nc: 2\n").unwrap_err();
        assert!(errors[0].span.line >= 2, "{errors:?}");
    }

    /// The words are ours, and there is always something to do.
    #[test]
    fn what_is_no_yaml_has_a_repair() {
        for (text, wanted) in [
            ("a: b: c", "put the text in quotes"),
            ("a:\n\t- b", "indent with spaces"),
            ("a: [1, 2", "close it"),
            ("a: {b: 1, c: 2\nd: 3", "bracket"),
            ("a: 1\n b: 2", "indent"),
            ("- a\nb: 1", "`- `"),
            ("a: *nowhere", "define it above"),
            ("a: \"\\q\"", "backslash"),
            ("a: \"x\" y", "quote"),
            ("a: 'x", "close it"),
            ("a: @x", "put it in quotes"),
            ("a: 1\n]", "closing bracket"),
            ("a: |x\n y", "quotes, brackets"),
        ] {
            let errors = parse(text).unwrap_err();
            let said = format!("{} {}", errors[0].message, errors[0].repair.as_deref().unwrap_or_default());
            assert!(said.contains(wanted), "{text}: {said}");
        }
    }

    #[test]
    fn a_merge_key_is_merged_once() {
        let node = one("base: &b {x: 1, y: 1}\nother: &o {y: 2, z: 2}\nown:\n  <<: [*b, *o]\n  x: 3\n");
        let own = node.get("own").unwrap();
        assert_eq!(own.to_json(), one("{x: 3, y: 1, z: 2}").to_json());
        // What is merged stands where it was written.
        assert_eq!(own.get("z").unwrap().span.line, 2);
        // In quotes it is a key as any other.
        assert!(one("'<<': 1").get("<<").is_some());
        for (text, wanted) in
            [("<<: 1", "neither"), ("<<: [a]", "neither"), ("{<<: {a: 1}, <<: {b: 1}}", "twice")]
        {
            let errors = parse(text).unwrap_err();
            assert!(errors[0].message.contains(wanted), "{text}: {errors:?}");
        }
    }

    #[test]
    fn a_merge_brings_no_key_twice() {
        let node = one("a: &a {k: 1}\nb: {<<: [*a, *a], k: 2}\n");
        assert_eq!(node.get("b").unwrap().entries().len(), 1);
    }

    #[test]
    fn errors_of_a_tree_are_noted_at_once() {
        let errors = parse("a: !x 1\n? [b]\n: 2\nc: !!set {d: 1}\n<<: 5\n").unwrap_err();
        let lines: Vec<u32> = errors.iter().map(|error| error.span.line).collect();
        assert_eq!(lines, [1, 2, 4, 5], "{errors:?}");
    }

    #[test]
    fn anchors_in_anchors_are_bounded() {
        let deep = (0..90).map(|n| format!("&a{n} [")).collect::<String>();
        let text = format!("{deep}{}{}", "x,".repeat(200_000), "]".repeat(90));
        let errors = parse(&text).unwrap_err();
        assert!(errors[0].message.contains("anchors"), "{errors:?}");
    }

    #[test]
    fn values_and_bytes_are_bounded() {
        let many = format!("[{}]", "1,".repeat(100));
        assert!(parse_up_to(&many, 101).is_ok());
        assert!(parse_up_to(&many, 100).unwrap_err()[0].message.contains("more than 100 values"));
        let copied = "a: &a [1, 2, 3]\nb: [*a, *a, *a]\n";
        assert!(parse_up_to(copied, 30).is_ok());
        assert!(parse_up_to(copied, 15).unwrap_err()[0].message.contains("more than 15 values"));
        let long = "#".repeat(MAX_BYTES + 1);
        assert!(parse(&long).unwrap_err()[0].message.contains("128 MiB"));
    }

    #[test]
    fn characters_that_a_terminal_obeys_are_named() {
        let errors = parse("a: 1\nb: \"x\u{1b}[2J\"\nc: \u{2028}\n").unwrap_err();
        let found: Vec<_> = errors.iter().map(|error| (error.span.line, error.span.column)).collect();
        assert_eq!(found, [(2, 6), (3, 4)], "{errors:?}");
        assert!(errors[0].message.contains("U+001B"));
        assert_eq!(one("a: \"\\e\\u2028\"").text_at(&["a"]), Some("\u{1b}\u{2028}"));
    }

    #[test]
    fn a_collection_ends_with_its_last_value() {
        let end = |text: &str| {
            let node = one(text);
            let span = node.get("a").unwrap().span;
            (span.end_line, span.end_column)
        };
        assert_eq!(end("a: {x: 1}   # c\nb: 1\n"), (1, 10));
        assert_eq!(end("a:\n  x: 1\n  y: [2]\n\n# c\nb: 1\n"), (3, 9));
        assert_eq!(end("a:\n- 1\n- 2\nb: 1\n"), (3, 4));
    }
}
