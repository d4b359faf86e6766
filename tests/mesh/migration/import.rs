//! What `egressctl import` says.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use egress_mesh::kubectl::Kubectl;
use egress_mesh::manifests::{egressctl, parse};
use serde_json::Value;

/// The lines of standard error.
#[derive(Debug)]
pub(crate) struct Notes(Vec<Note>);

#[derive(Debug)]
struct Note {
    what: String,
    policy: String,
}

// === impl Notes ===

impl Notes {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let (what, rest) = line.split_once(": ")?;
            let (place, _) = rest.split_once(": ")?;
            let policy = place.split(' ').next()?.strip_prefix("istio-system/")?;
            Some(Note { what: what.to_owned(), policy: policy.to_owned() })
        });
        Self(lines.collect())
    }

    /// The policies of which something was said.
    pub(crate) fn named(&self) -> BTreeSet<String> {
        self.0.iter().filter(|note| note.what != "not binding").map(|note| note.policy.clone()).collect()
    }

    pub(crate) fn not_binding(&self) -> usize {
        self.0.iter().filter(|note| note.what == "not binding").count()
    }
}

/// `kubectl get authorizationpolicies -A -o yaml | egressctl import --http-only -`: the gateways have HTTP servers only.
pub(crate) fn import(kubectl: &Kubectl) -> Result<(Value, Notes)> {
    let mut source = kubectl.command(&["get", "authorizationpolicies", "-A", "-o", "yaml"]);
    let mut source = source.stdout(Stdio::piped()).spawn()?;
    let pipe = source.stdout.take().context("no pipe from kubectl")?;
    let output = Command::new(egressctl()?).args(["import", "--http-only", "-"]).stdin(pipe).output()?;
    ensure!(source.wait()?.success(), "kubectl get failed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "egressctl import: {said}");
    let config = parse(&String::from_utf8_lossy(&output.stdout))?.pop().context("nothing was imported")?;
    Ok((config, Notes::parse(&said)))
}
