//! FILE: where configurations come from.

mod file;
mod manifest;

pub(crate) use crate::yaml::{Entry, Node, Occurrence, Source, Value};
pub(crate) use file::{open_file, read_all, read_file};
pub(crate) use manifest::{Input, Plugin, PluginKind, Resource};
