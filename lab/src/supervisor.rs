//! A process that stays behind and holds a mesh: how it is started, and how it learns that it shall end.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Starts this program once more, with these arguments, in a process group of its own, and waits for the file of hints that it
/// writes when its mesh is up; they are returned. What it prints goes to `log`.
///
/// # Errors
/// When it ends or takes longer than `patience`, with what it printed.
pub fn launch(arguments: &[OsString], log: &Path, hints: &Path, patience: Duration) -> Result<String> {
    let output = fs::File::create(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).process_group(0).stdin(Stdio::null());
    let mut child = command.stdout(output.try_clone()?).stderr(output).spawn()?;
    let deadline = Instant::now() + patience;
    loop {
        if let Ok(hints) = fs::read_to_string(hints) {
            return Ok(hints);
        }
        if child.try_wait()?.is_some() || Instant::now() > deadline {
            // It has not come up and shall not linger.
            let _ = child.kill();
            bail!("the mesh did not come up:\n{}", fs::read_to_string(log).unwrap_or_default());
        }
        sleep(Duration::from_millis(50));
    }
}

/// Whether somebody wants this process to end.
#[derive(Debug, Clone)]
pub struct End(Arc<AtomicBool>);

// === impl End ===

impl End {
    /// From now on an interrupt or a request to terminate is noted, no longer obeyed at once.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let wanted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, wanted.clone())?;
        }
        Ok(Self(wanted))
    }

    /// Whether a signal has come.
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
