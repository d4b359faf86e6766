//! FILE: where configurations come from.

mod file;
mod manifest;

pub(crate) use crate::yaml::{Entry, Node, Source, Value, Which};
pub(crate) use file::read_file;
pub(crate) use manifest::{Input, Plugin, PluginKind, Resource};
