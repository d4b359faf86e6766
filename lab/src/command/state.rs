//! What `up` leaves for `down`: the folder `.mesh/`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use egress_lab::paths;

/// `.mesh/` in the repository.
pub(super) struct State {
    pub(super) dir: PathBuf,
}

// === impl State ===

impl State {
    pub(super) fn open() -> Result<Self> {
        let dir = paths::repo_dir()?.join(".mesh");
        fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    pub(super) fn policy(&self) -> PathBuf {
        self.dir.join("policy.yaml")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("mesh.log")
    }

    /// The list of things to try; it is there when the mesh is.
    pub(super) fn hints(&self) -> PathBuf {
        self.dir.join("hints.txt")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }

    /// The supervisor's process id, if that process still is one: ids are used again.
    pub(super) fn supervisor(&self) -> Option<i32> {
        let pid: i32 = fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()?;
        let listed = Command::new("ps").args(["-p", &pid.to_string(), "-o", "args="]).output().ok()?;
        let command = String::from_utf8_lossy(&listed.stdout).into_owned();
        (command.contains("egress-lab") && command.contains("--foreground")).then_some(pid)
    }

    /// Removes what belongs to a running mesh; the policy stays.
    pub(super) fn clear(&self) {
        for file in [self.pid_file(), self.hints()] {
            // What is not there need not be removed.
            let _ = fs::remove_file(file);
        }
    }
}
