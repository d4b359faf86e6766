//! From YAML text (of which JSON is a part) to trees.

use super::node::{Entry, Node, Span, Text, Value};
use super::scalar;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use std::collections::HashMap;

/// How deep a file may nest; a configuration needs ten.
const MAX_DEPTH: usize = 100;
/// What aliases may copy, in bytes of scalars and nodes: the bound of a bundle, for the same reason.
const MAX_COPIED: usize = 64 << 20;

/// Text that is not YAML, or more than it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub(crate) message: String,
    pub(crate) span: Span,
}

/// The documents of a text; empty ones are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
        anchors: HashMap::new(),
        copied: 0,
    };
    let mut documents = Vec::new();
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => break,
            Event::DocumentStart(_) => builder.anchors.clear(),
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            event => documents.push(builder.node(event, span, 0)?),
        }
    }
    documents.retain(|document| document.value != Value::Null);
    Ok(documents)
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    copied: usize,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, between(&span.start, &span.end))),
            Some(Err(error)) => Err(YamlError::from(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, YamlError> {
        if depth > MAX_DEPTH {
            return Err(YamlError::new(format!("nested deeper than {MAX_DEPTH} levels"), span));
        }
        let (anchor, node) = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar_value(text.into_owned(), style, tag.as_deref(), span)?;
                (anchor, Node { span, value })
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(span, depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(span, depth)?),
            other => return Err(YamlError::new(format!("unexpected {other:?}"), span)),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: Span, depth: usize) -> Result<Node, YamlError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Node { span: start.to(span), value: Value::List(items) });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<Node, YamlError> {
        let mut entries = Vec::new();
        loop {
            let (event, key_span) = self.next()?;
            let key = match event {
                Event::MappingEnd => {
                    return Ok(Node { span: start.to(key_span), value: Value::Map(entries) });
                }
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(YamlError::new("a key is a string here", key_span)),
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push(Entry { key, key_span, value });
        }
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, YamlError> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(YamlError::new("an alias inside its own anchor", span));
        };
        self.copied += weight(node);
        if self.copied > MAX_COPIED {
            let limit = MAX_COPIED >> 20;
            return Err(YamlError::new(format!("aliases copy more than {limit} MiB"), span));
        }
        Ok(node.clone())
    }
}

/// What a copy of the tree costs, roughly.
fn weight(node: &Node) -> usize {
    let own = size_of::<Node>();
    own + match &node.value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::Text(text) => text.text.len(),
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Map(entries) => entries.iter().map(|entry| entry.key.len() + weight(&entry.value)).sum(),
    }
}

fn scalar_value(text: String, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Value, YamlError> {
    let plain = style == ScalarStyle::Plain;
    match tag {
        None if plain => Ok(scalar::resolve(&text)),
        None => Ok(Value::Text(Text { text, plain })),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => {
            Ok(Value::Text(Text { text, plain: false }))
        }
        Some(tag) => Err(YamlError::new(format!("the tag {tag} has no meaning here"), span)),
    }
}

// === impl YamlError ===

impl YamlError {
    fn new(message: impl Into<String>, span: Span) -> Self {
        Self { message: message.into(), span }
    }
}

impl From<&ScanError> for YamlError {
    fn from(error: &ScanError) -> Self {
        Self::new(error.info(), between(error.marker(), error.marker()))
    }
}

// === impl Span ===

impl Span {
    /// From the beginning of this one to the end of another.
    fn to(self, end: Self) -> Self {
        Self { end_line: end.end_line, end_column: end.end_column, ..self }
    }
}

fn between(start: &Marker, end: &Marker) -> Span {
    Span { line: start.line(), column: start.col() + 1, end_line: end.line(), end_column: end.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::super::node::Which;
    use super::*;

    fn one(text: &str) -> Node {
        let mut documents = parse(text).unwrap();
        assert_eq!(documents.len(), 1, "{documents:?}");
        documents.remove(0)
    }

    fn at(text: &str, path: &str) -> (usize, usize, usize) {
        let node = one(text);
        let span = node.locate(path, Which::First).unwrap().value();
        (span.line, span.column, span.end_column)
    }

    #[test]
    fn every_value_has_its_place() {
        let text = "policies:\n- name: a\n  rules:\n  - to: [{operation: {hosts: [x, \"*.b\"]}}]\n";
        assert_eq!(at(text, "policies[0].name"), (2, 9, 10));
        assert_eq!(at(text, "policies[0].rules[0].to[0].operation.hosts[1]"), (4, 34, 39));
        assert_eq!(at(text, "policies[0].rules"), (3, 3, 8));
        assert_eq!(at("a.b:\n  c: x\n", "a.b.c"), (2, 6, 7));
        assert!(one(text).locate("policies[1]", Which::First).is_none());
        assert!(one("ab: 1").locate("a", Which::First).is_none());
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
        assert_eq!(node.locate("a", Which::Last).unwrap().key_or_value().line, 2);
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
        assert!(parse(&bomb).unwrap_err().message.contains("MiB"));
        assert!(parse("a: &a [*a]\n").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn an_error_has_its_place() {
        let error = parse("a: 1\nb: [1\nc: 2\n").unwrap_err();
        assert!(error.span.line >= 2, "{error:?}");
    }
}
