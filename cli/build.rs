//! Stamps the git revision into `egressctl --version`.

use std::path::Path;
use std::process::Command;

fn main() {
    // Every commit and checkout adds a line there; a source archive has no such file.
    if Path::new("../.git/logs/HEAD").exists() {
        println!("cargo:rerun-if-changed=../.git/logs/HEAD");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=EGRESS_AUTHZ_REVISION");
    let revision = std::env::var("EGRESS_AUTHZ_REVISION").ok().or_else(git_revision);
    println!("cargo:rustc-env=EGRESS_AUTHZ_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}

/// The short hash of HEAD; a build from a source archive has none.
fn git_revision() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let revision = text.trim();
    (output.status.success() && !revision.is_empty()).then(|| revision.to_owned())
}
