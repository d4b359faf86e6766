//! Tests of what is shipped: see the files beside this one.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// The `egressctl` that was built beside the tests.
///
/// # Errors
/// When it was not.
pub fn egressctl() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let built = test.ancestors().nth(2).context("a test in a target folder")?.join("egressctl");
    ensure!(built.exists(), "{}: build it first (cargo build -p egressctl)", built.display());
    Ok(built)
}
