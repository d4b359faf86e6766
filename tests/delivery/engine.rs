//! Podman with a storage of its own, as root and without a daemon.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A container engine; its images and containers go with its folder.
pub(crate) struct Engine {
    dir: TempDir,
}

impl Engine {
    /// An engine that holds nothing yet.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        // crun does not start where control groups are hybrid.
        let containers = "[containers]\ndefault_ulimits = []\n[engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"runc\"\nevents_logger = \"file\"\n";
        fs::write(at("containers.conf"), containers).unwrap();
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            at("graph"),
            at("run")
        );
        fs::write(at("storage.conf"), storage).unwrap();
        Self { dir }
    }

    /// Its folder, where a test may put files of its own.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A program that uses this engine's storage.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("CONTAINERS_CONF", self.path().join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.path().join("storage.conf"));
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.command("podman").args(["rmi", "--all", "--force"]).output();
    }
}
