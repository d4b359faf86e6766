//! The files: what stands at their head, and how they are written or compared.

use crate::source::read_file;
use crate::yaml_out::yaml;
use egress_policy::config::Json;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

pub(super) const WORKLOAD: &str = "The gateway itself.";
pub(super) const SERVICE_ENTRIES: &str = "\
The sites. Resolved by DNS, at the gateway: with resolution NONE it would dial the address that the packet came for,
which is its own.";
pub(super) const GATEWAY: &str = "\
ISTIO_MUTUAL, because who is asking is known from the mesh's certificate only; a server for each TLS host, because what
is inside is TCP, which is routed by its server: several hosts in one would all reach the first one's site.";
pub(super) const VIRTUAL_SERVICES: &str =
    "From the sidecars to the gateway, and from the gateway to the site.";
pub(super) const DESTINATION_RULES: &str = "\
The mesh's own TLS carries the site's name as its server name, which the filter holds against the host asked for.
Where the gateway speaks TLS to the site, the site's certificate is verified by name.";
pub(super) const WASM_PLUGINS: &str = "\
The filter and its policy: one configuration, which differs by its `type` only. `match.ports` of the NETWORK plugin are
the Gateway's server ports; the HTTP plugin has none, and so is in every HTTP listener (istiod would hold them against
the pod's ports). FAIL_CLOSE: an image that cannot be had refuses everything.";
pub(super) const TRAFFIC_EXTENSIONS: &str = "\
The same as WasmPlugins, for Istio 1.30 and later; apply one or the other. `match.ports` of the NETWORK plugin are the
Gateway's server ports; the HTTP plugin has none, and so is in every HTTP listener (istiod would hold them against the
pod's ports). FAIL_CLOSE: an image that cannot be had refuses everything.";
pub(super) const TELEMETRY: &str = "The gateway's access log: it names the policy that refused.";
pub(super) const LATE_DIAL: &str = "\
Transport mTLS 443 the site is dialled when the client has shown who it is. Needs Envoy 1.37 (Istio 1.29): an older one
refuses the listener. The port is the pod's.";
pub(super) const NETWORK_POLICIES: &str = "\
Istio routes, it does not confine: without these an application that goes around its sidecar reaches the site itself.
They need a network plugin that enforces them.";
pub(super) const KUSTOMIZATION: &str = "kubectl apply -k .";

/// A file of resources.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    /// What is in it.
    pub(crate) documents: Vec<Json>,
}

impl File {
    pub(super) fn new(name: &'static str, why: &str, documents: Vec<Json>) -> Self {
        let mut text =
            String::from("# Written by `egressctl render`; change the gateway file and write it again.\n");
        for line in why.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let texts: Vec<String> = documents.iter().map(yaml).collect();
        text.push_str(&texts.join("---\n"));
        Self { name, text, documents }
    }
}

/// Writes the files into a folder, which is made where there is none. Nothing is written through a link, nor half.
pub(crate) fn write(dir: &Path, files: &[File]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    refuse_others(dir, fs::FileType::is_dir)?;
    for file in files {
        let path = dir.join(file.name);
        refuse_others(&path, fs::FileType::is_file)?;
        // What is there is replaced as a whole: a link that is put there meanwhile is replaced, not followed.
        let fresh = dir.join(format!(".{}.new", file.name));
        let _ = fs::remove_file(&fresh);
        let mut new = fs::File::create_new(&fresh)?;
        new.write_all(file.text.as_bytes())?;
        fs::rename(&fresh, &path)?;
    }
    Ok(())
}

/// An error where something is there that is not what is written here.
fn refuse_others(path: &Path, is_ours: impl Fn(&fs::FileType) -> bool) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if is_ours(&kind) {
        return Ok(());
    }
    let what = if kind.is_symlink() {
        "a link, through which nothing is written"
    } else {
        "something else is there"
    };
    Err(io::Error::other(format!("{}: {what}; remove it", path.display())))
}

/// In what a folder differs from the files: one line each. Files that are not ours are not looked at.
pub(crate) fn compare(dir: &Path, files: &[File]) -> Vec<String> {
    let differs = |file: &File| match read_file(&dir.join(file.name)) {
        Ok(bytes) if bytes == file.text.as_bytes() => None,
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let line =
                text.lines().zip(file.text.lines()).take_while(|(left, right)| left == right).count() + 1;
            Some(format!("{}: differs from line {line} on", file.name))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!("{}: is not there", file.name)),
        Err(error) => Some(format!("{}: {error}", file.name)),
    };
    files.iter().filter_map(differs).collect()
}
