//! YAML and JSON as trees whose values know where they stand: nothing here knows what a file means.

mod copies;
mod index;
mod node;
mod parse;
mod scalar;
mod text;
mod wording;

pub(crate) use index::Index;
pub(crate) use node::{Entry, Node, Occurrence, Place, Value};
pub(crate) use parse::{YamlError, parse, parse_json};
pub(crate) use scalar::{other_reading, resolve};
pub(crate) use text::{Source, Span, is_unprintable};
