//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod import;
pub(crate) mod man;
pub(crate) mod merge;
pub(crate) mod pack;
pub(crate) mod render;
pub(crate) mod schema;
pub(crate) mod suggest;
pub(crate) mod test;
pub(crate) mod unpack;
