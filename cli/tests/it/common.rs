//! What the tests share.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository.
pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The command, with arguments.
pub(super) fn egressctl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_egressctl"));
    command.args(args).env_remove("NO_COLOR");
    command
}

/// What a process wrote.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
