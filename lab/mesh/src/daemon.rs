//! Programs that run as long as the mesh does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::place::run_dir;

/// A running program with a log; dropping it ends it.
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

// === impl Daemon ===

impl Daemon {
    /// Starts a program; both its outputs go to `logs/NAME.log`.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let log = open_log(name)?;
        let output = log.try_clone()?;
        Self::start_with(name, command.stdout(output).stderr(log))
    }

    /// Starts a program whose standard output is set already; its standard error goes to `logs/NAME.log`.
    pub(crate) fn start_quietly(name: &str, command: &mut Command) -> Result<Self> {
        Self::start_with(name, command.stderr(open_log(name)?))
    }

    fn start_with(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log_path(name) })
    }

    /// Waits for a condition, and no longer than the program runs.
    pub(crate) fn ready(&mut self, patience: Duration, condition: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            if condition() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}):\n{}", self.name, self.log_tail(20));
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {patience:?}:\n{}", self.name, self.log_tail(20));
            }
            sleep(Duration::from_millis(30));
        }
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Where its log is.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // Either fails only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn log_path(name: &str) -> PathBuf {
    run_dir("logs").join(format!("{name}.log"))
}

fn open_log(name: &str) -> Result<File> {
    fs::create_dir_all(run_dir("logs"))?;
    let path = log_path(name);
    // A program that is started again goes on in the same log.
    File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))
}

pub(crate) fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
