//! Holding a tree against its description.

use super::description::{Field, Object, Shape};
use crate::diagnostics::{Diagnostic, and_more, is_shown};
use crate::yaml::{Entry, Node, Source, Span, Value, other_reading};
use egress_policy::config::nearest;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

/// Leaving a key out is no repair that is good by itself: it may mean "anything".
const FILL: &str = "fill it, or leave the key out where that is what you mean";
const WRITE: &str = "write a value, or leave the key out where that is what you mean";

/// The one document of a file.
///
/// # Errors
/// What [`Source::documents`] finds, and a file of none or several documents.
pub(crate) fn one_document(source: &Rc<Source>) -> Result<Node, Vec<Diagnostic>> {
    let mut documents = source.documents()?.into_iter();
    match (documents.next(), documents.next()) {
        (Some(node), None) => Ok(node),
        (None, _) => Err(vec![Diagnostic::error("the file is empty").in_file(&source.name)]),
        (Some(_), Some(second)) => {
            let what = "one document is wanted here, and this begins another";
            Err(vec![Diagnostic::error(what).at(source, second.span).help("write one file for each")])
        }
    }
}

/// Every error of a document, or of a part of one; paths begin there.
pub(crate) fn check(source: &Rc<Source>, node: &Node, shape: &Shape) -> Vec<Diagnostic> {
    let mut reader = Reader { source, path: String::new(), found: 0, errors: Vec::new() };
    reader.value(node, shape, None);
    reader.errors.extend(and_more(reader.found, &source.name));
    reader.errors
}

struct Reader<'s> {
    source: &'s Rc<Source>,
    /// Where the reader is.
    path: String,
    /// How many errors there are, shown or not.
    found: usize,
    errors: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn note(&mut self, span: Span, what: impl Into<String>, help: Option<String>) {
        self.found += 1;
        if !is_shown(self.errors.len()) {
            return;
        }
        let diagnostic = Diagnostic::error(what).at(self.source, span).path(&self.path);
        self.errors.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    /// Reads something one step further down.
    fn step(&mut self, step: &str, read: impl FnOnce(&mut Self)) {
        let here = self.path.len();
        if !step.starts_with('[') && here > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
        read(self);
        self.path.truncate(here);
    }

    /// `key` is where the value's key stands, which is what is shown of a block.
    fn value(&mut self, node: &Node, shape: &Shape, key: Option<Span>) {
        let span = match (&node.value, key) {
            (Value::List(_) | Value::Map(_), Some(key)) => key,
            _ => node.span,
        };
        match (shape, &node.value) {
            (Shape::Other, _) | (Shape::Nullable(_), Value::Null) => {}
            (Shape::Any, _) => self.any(node),
            (Shape::Refused { why, repair }, _) => {
                self.note(key.unwrap_or(span), *why, Some((*repair).to_owned()));
            }
            (Shape::Nullable(shape), _) => self.value(node, shape, key),
            (_, Value::Null) => {
                self.note(key.unwrap_or(span), "null is not a value", Some(WRITE.to_owned()));
            }
            (Shape::Either(shapes), _) => match shapes.iter().find(|shape| is_of_type(&node.value, shape)) {
                Some(shape) => self.value(node, shape, key),
                None => self.wrong_type(node, shape, span),
            },
            _ if !is_of_type(&node.value, shape) => self.wrong_type(node, shape, span),
            (Shape::Text | Shape::TextOrEmpty | Shape::Word(_), Value::Text(text)) => {
                self.text(&text.text, text.plain, shape, span);
            }
            (Shape::Integer(least, most), Value::Number(number)) => {
                self.integer(*number, *least, *most, span)
            }
            (Shape::List(shape), Value::List(items)) => {
                if items.is_empty() {
                    self.note(span, "the list is empty", Some(FILL.to_owned()));
                }
                self.list(items, shape);
            }
            (Shape::ListOrEmpty(shape), Value::List(items)) => self.list(items, shape),
            (Shape::Map(_) | Shape::Object(_), Value::Map(entries)) if entries.is_empty() => {
                self.note(span, "the object is empty", Some(FILL.to_owned()));
                if let Shape::Object(object) = shape {
                    self.missing(object, entries, span);
                }
            }
            (Shape::Map(shape) | Shape::MapOrEmpty(shape), Value::Map(entries)) => {
                self.duplicates(entries);
                for entry in entries {
                    self.step(&entry.key, |reader| reader.value(&entry.value, shape, Some(entry.key_span)));
                }
            }
            (Shape::Object(object) | Shape::ObjectOrEmpty(object), Value::Map(entries)) => {
                self.object(object, entries, span);
            }
            _ => {}
        }
    }

    fn list(&mut self, items: &[Node], shape: &Shape) {
        for (at, item) in items.iter().enumerate() {
            self.step(&format!("[{at}]"), |reader| reader.value(item, shape, None));
        }
    }

    fn object(&mut self, object: &Object, entries: &[Entry], span: Span) {
        self.duplicates(entries);
        for entry in entries {
            let field = object.fields.iter().find(|field| field.key == entry.key);
            self.step(&entry.key, |reader| match field {
                Some(field) => reader.value(&entry.value, field.shape, Some(entry.key_span)),
                None => {
                    let help = repair_of_key(&entry.key, object);
                    reader.note(
                        entry.key_span,
                        format!("unknown key: {} has none of this name", object.title),
                        Some(help),
                    );
                }
            });
        }
        self.missing(object, entries, span);
    }

    fn missing(&mut self, object: &Object, entries: &[Entry], span: Span) {
        let is_there = |field: &Field| entries.iter().any(|entry| entry.key == field.key);
        for field in object.fields.iter().filter(|field| field.is_required && !is_there(field)) {
            self.note(span, format!("`{}` is missing", field.key), None);
        }
    }

    fn duplicates(&mut self, entries: &[Entry]) {
        let mut first: HashMap<&str, u32> = HashMap::new();
        for entry in entries {
            match first.get(entry.key.as_str()).copied() {
                None => {
                    first.insert(&entry.key, entry.key_span.line);
                }
                Some(line) => self.step(&entry.key, |reader| {
                    let help = format!("keep one; the first is in line {line}");
                    reader.note(entry.key_span, "the key is written twice", Some(help));
                }),
            }
        }
    }

    fn any(&mut self, node: &Node) {
        self.duplicates(node.entries());
        for entry in node.entries() {
            self.step(&entry.key, |reader| reader.any(&entry.value));
        }
        for (at, item) in node.items().iter().enumerate() {
            self.step(&format!("[{at}]"), |reader| reader.any(item));
        }
    }

    fn text(&mut self, text: &str, plain: bool, shape: &Shape, span: Span) {
        if let Some(template) = template_in(text) {
            let help = "render it first (`helm template`, `envsubst`) and give what it writes";
            self.note(
                span,
                format!("{template}: this is a template that was not rendered"),
                Some(help.to_owned()),
            );
            return;
        }
        if let (true, Some(kind)) = (plain, other_reading(text)) {
            self.note(
                span,
                format!("kubectl reads {text} as {kind}"),
                Some(format!("write \"{text}\", in quotes")),
            );
            return;
        }
        match shape {
            Shape::Word(words) if !words.contains(&text) => {
                let help = nearest(text, words.iter().copied()).map(|word| format!("write {word}"));
                self.note(span, format!("{text:?} is not one of {}", words.join(", ")), help);
            }
            Shape::Text if text.is_empty() => {
                self.note(span, "the string is empty", Some(WRITE.to_owned()));
            }
            _ => {}
        }
    }

    fn integer(&mut self, number: f64, least: i64, most: i64, span: Span) {
        // Bounds of a description are small enough for a double.
        #[expect(clippy::cast_precision_loss, reason = "ports and counts")]
        let fits = number.fract() == 0.0 && (least as f64..=most as f64).contains(&number);
        if !fits {
            self.note(span, format!("a whole number from {least} to {most} is wanted here"), None);
        } else if let Some(kind) = self.source.slice(span).and_then(other_reading) {
            self.note(span, format!("kubectl reads this as {kind}"), Some(format!("write {number}")));
        }
    }

    fn wrong_type(&mut self, node: &Node, shape: &Shape, span: Span) {
        let what = format!("{} is wanted here, not {}", shape.wanted(), kind(&node.value));
        let help = match (shape, &node.value) {
            (Shape::List(_) | Shape::ListOrEmpty(_), Value::Text(text)) => {
                let items: Vec<&str> =
                    text.text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
                Some(format!("write {items:?}"))
            }
            (Shape::List(_) | Shape::ListOrEmpty(_), Value::Number(number)) => {
                Some(format!("write [{number}]"))
            }
            (Shape::List(_) | Shape::ListOrEmpty(_), Value::Map(_)) => {
                Some("begin each entry with `- `".to_owned())
            }
            (Shape::Bool, Value::Text(text)) => match text.text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some("write true, without quotes".to_owned()),
                "false" | "no" | "off" | "n" => Some("write false, without quotes".to_owned()),
                _ => None,
            },
            (Shape::Text | Shape::TextOrEmpty, Value::Bool(_) | Value::Number(_)) => {
                self.source.slice(span).map(|text| format!("write \"{text}\", in quotes"))
            }
            (Shape::Integer(..), Value::Text(text)) if text.text.parse::<i64>().is_ok() => {
                Some(format!("write {}, without quotes", text.text))
            }
            (
                Shape::Object(_) | Shape::ObjectOrEmpty(_) | Shape::Map(_) | Shape::MapOrEmpty(_),
                Value::List(items),
            ) => items.first().map(|_| "take the `- ` away".to_owned()),
            _ => None,
        };
        self.note(span, what, help);
    }
}

fn is_of_type(value: &Value, shape: &Shape) -> bool {
    match shape {
        Shape::Text | Shape::TextOrEmpty | Shape::Word(_) => matches!(value, Value::Text(_)),
        Shape::Bool => matches!(value, Value::Bool(_)),
        Shape::Integer(..) => matches!(value, Value::Number(_)),
        Shape::List(_) | Shape::ListOrEmpty(_) => matches!(value, Value::List(_)),
        Shape::Map(_) | Shape::MapOrEmpty(_) | Shape::Object(_) | Shape::ObjectOrEmpty(_) => {
            matches!(value, Value::Map(_))
        }
        Shape::Either(shapes) => shapes.iter().any(|shape| is_of_type(value, shape)),
        Shape::Nullable(shape) => matches!(value, Value::Null) || is_of_type(value, shape),
        Shape::Any | Shape::Other | Shape::Refused { .. } => true,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Text(_) => "a string",
        Value::List(_) => "a list",
        Value::Map(_) => "an object",
    }
}

fn repair_of_key(key: &str, object: &Object) -> String {
    let keys = || {
        object
            .fields
            .iter()
            .filter(|field| !matches!(field.shape, Shape::Refused { .. }))
            .map(|field| field.key)
    };
    if let Some(nearest) = nearest(key, keys()) {
        return format!("write `{nearest}`");
    }
    let mut help = String::from("its keys are ");
    for (at, key) in keys().enumerate() {
        let _ = write!(help, "{}`{key}`", if at > 0 { ", " } else { "" });
    }
    help
}

/// The first `{{ … }}` or `${…}` of a string.
pub(crate) fn template_in(text: &str) -> Option<&str> {
    [("{{", "}}"), ("${", "}")].into_iter().find_map(|(open, close)| {
        let start = text.find(open)?;
        let end = start + text.get(start..)?.find(close)? + close.len();
        text.get(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static INNER: Object =
        Object::new("an inner", &[Field::required("ports", &Shape::List(&Shape::PORT), "")]);
    static OUTER: Object = Object::new(
        "an outer",
        &[
            Field::required("name", &Shape::Text, ""),
            Field::new("action", &Shape::Word(&["ALLOW", "DENY"]), ""),
            Field::new("inners", &Shape::List(&Shape::Object(&INNER)), ""),
            Field::new("labels", &Shape::Map(&Shape::Text), ""),
            Field::new("on", &Shape::Either(&[&Shape::Bool, &Shape::Object(&INNER)]), ""),
            Field::new("metadata", &Shape::Any, ""),
            Field::new("config", &Shape::Other, ""),
            Field::new("status", &Shape::Nullable(&Shape::Text), ""),
            Field::new("old", &Shape::Refused { why: "gone", repair: "use `name`" }, ""),
        ],
    );

    /// Every error as `line path: message; repair`.
    fn errors(text: &str) -> Vec<String> {
        let source = Rc::new(Source::new("t", text));
        let node = one_document(&source).unwrap();
        let found = check(&source, &node, &Shape::Object(&OUTER));
        found
            .iter()
            .map(|error| serde_json::to_value(error.finding()).unwrap())
            .map(|error| {
                let help = error["help"].as_str().map(|help| format!("; {help}")).unwrap_or_default();
                format!(
                    "{} {}: {}{help}",
                    error["line"],
                    error["path"].as_str().unwrap(),
                    error["message"].as_str().unwrap()
                )
            })
            .collect()
    }

    #[test]
    fn what_the_description_says_passes() {
        for text in [
            "name: a",
            "{name: a, action: DENY, inners: [{ports: [443]}], labels: {x: \"true\"}, on: true}",
            "{name: a, on: {ports: [1, 65535]}, metadata: {x: null, y: []}, config: 7, status: null}",
        ] {
            assert_eq!(errors(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn every_error_at_once_with_its_repair() {
        let text = "\
nmae: a
action: DNEY
inners:
  ports: 443
labels: {}
on: yes
config: {a: 1, a: 2}
metadata: {a: 1, a: 2}
old: 1
action: ~
";
        assert_eq!(
            errors(text),
            [
                "10 action: the key is written twice; keep one; the first is in line 2",
                "1 nmae: unknown key: an outer has none of this name; write `name`",
                "2 action: \"DNEY\" is not one of ALLOW, DENY; write DENY",
                "3 inners: a list is wanted here, not an object; begin each entry with `- `",
                "5 labels: the object is empty; fill it, or leave the key out where that is what you mean",
                "6 on: true or false or an object is wanted here, not a string",
                "8 metadata.a: the key is written twice; keep one; the first is in line 8",
                "9 old: gone; use `name`",
                "10 action: null is not a value; write a value, or leave the key out where that is what you mean",
                "1 : `name` is missing",
            ]
        );
    }

    #[test]
    fn a_value_that_somebody_else_reads_otherwise() {
        for (text, wanted) in [
            ("name: no", "kubectl reads no as a boolean; write \"no\", in quotes"),
            ("name: 12", "a string is wanted here, not a number; write \"12\", in quotes"),
            ("{name: a, inners: [{ports: [0443]}]}", "kubectl reads this as another number; write 443"),
            ("{name: a, inners: [{ports: [\"443\"]}]}", "write 443, without quotes"),
            ("{name: a, inners: [{ports: [70000]}]}", "a whole number from 1 to 65535"),
            ("{name: a, inners: [{ports: 443}]}", "write [443]"),
            ("name: \"\"", "the string is empty"),
            ("name: \"{{ .Values.name }}\"", "{{ .Values.name }}: this is a template"),
            ("name: ${NAME}", "${NAME}: this is a template"),
        ] {
            let found = errors(text).join("\n");
            assert!(found.contains(wanted), "{text}: {found}");
        }
    }

    #[test]
    fn one_document_and_no_more() {
        for (text, wanted) in
            [("", "empty"), ("# nothing\n", "empty"), ("a: 1\n---\nb: 1\n", "begins another")]
        {
            let source = Rc::new(Source::new("t", text));
            let refused = one_document(&source).unwrap_err();
            let finding = serde_json::to_string(&refused[0].finding()).unwrap();
            assert!(finding.contains(wanted), "{finding}");
        }
    }
}
