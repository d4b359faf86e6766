//! The places in the repository that the lab reads and writes.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The repository: the nearest folder upwards, from the working folder or from where this was built, that holds `envoy/` and `lab/`.
///
/// # Errors
/// When neither leads to one.
pub fn repo_dir() -> Result<PathBuf> {
    let built_in = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let working = env::current_dir().unwrap_or_default();
    working
        .ancestors()
        .chain(built_in.ancestors())
        .find(|dir| dir.join("envoy/gateway.yaml").is_file() && dir.join("lab/Cargo.toml").is_file())
        .map(PathBuf::from)
        .context("not inside the egress-authz repository: change into it")
}

/// Where tools are installed; git ignores it.
pub(crate) fn tools_dir() -> Result<PathBuf> {
    Ok(repo_dir()?.join(".tools"))
}

/// The filter that `make build` leaves, or what `EGRESS_AUTHZ_WASM` names.
///
/// # Errors
/// When it is not there.
pub fn filter_wasm() -> Result<PathBuf> {
    let path = match env::var_os("EGRESS_AUTHZ_WASM").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => repo_dir()?.join("target/wasm32-wasip1/release/egress_authz.wasm"),
    };
    path.is_file()
        .then_some(())
        .with_context(|| format!("{} is not there: run `make build`", path.display()))?;
    Ok(path)
}
