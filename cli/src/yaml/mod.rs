//! YAML and JSON as trees whose values know where they stand: nothing here knows what a file means.

mod copies;
mod node;
mod parse;
mod scalar;
mod text;

pub(crate) use node::{Entry, Node, Value, Which};
pub(crate) use parse::{MAX_BYTES, YamlError, parse};
pub(crate) use scalar::{other_reading, resolve};
pub(crate) use text::{Source, Span};
