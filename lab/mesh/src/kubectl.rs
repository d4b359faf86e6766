//! The real `kubectl`, run in the hub's namespace.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::place::{HUB, run_dir};

/// How to reach the API server.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

// === impl Kubectl ===

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self { program, kubeconfig }
    }

    /// KUBECONFIG
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// `kubectl ARGS…`, not yet started.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        in_hub(&self.program, &self.kubeconfig, arguments)
    }

    /// Runs `kubectl ARGS…` with a text on its standard input; whatever its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self, arguments: &[&str], input: &str) -> Result<Output> {
        feed(self.command(arguments), input)
    }

    /// Runs `kubectl ARGS…` and gives its standard output.
    ///
    /// # Errors
    /// When it ends other than by 0; the text has what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with(arguments, "")
    }

    /// The same with a text on its standard input.
    ///
    /// # Errors
    /// As [`Kubectl::run`].
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let output = self.output(arguments, input)?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `kubectl apply -f -` of some documents.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub fn apply(&self, documents: &[Value]) -> Result<String> {
        self.run_with(&["apply", "-f", "-"], &list(documents))
    }

    /// The same by the server: for objects that are too large for the annotation that the client keeps.
    ///
    /// # Errors
    /// As [`Kubectl::apply`].
    pub fn apply_by_server(&self, documents: &[Value]) -> Result<String> {
        self.run_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &list(documents))
    }

    /// Deletes objects; those that are not there are no matter.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub fn delete(&self, documents: &[Value]) -> Result<String> {
        let arguments = ["delete", "--ignore-not-found", "--wait=false", "-f", "-"];
        self.run_with(&arguments, &list(documents))
    }
}

/// Documents as one that `kubectl` reads.
fn list(documents: &[Value]) -> String {
    serde_json::json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string()
}

/// A program that reaches the API server.
pub(crate) fn in_hub(program: &Path, kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", HUB]).arg(program).args(arguments).env("KUBECONFIG", kubeconfig);
    // What it remembers of the API server goes with it.
    command.env("KUBECACHEDIR", run_dir("kubectl-cache"));
    command
}

/// Runs a command with a text on its standard input.
pub(crate) fn feed(mut command: Command, input: &str) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let mut pipe = child.stdin.take().context("no pipe")?;
    std::thread::scope(|scope| {
        // What it says may fill its pipes before it has read everything; where it ends early, its message is what counts.
        scope.spawn(move || pipe.write_all(input.as_bytes()));
        Ok(child.wait_with_output()?)
    })
}
