//! One mesh at a time, and none left behind.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::netns::kill;
use crate::place::{LOCK, PREFIX, RUN};

/// Ends every process in a namespace of the lab, and removes the namespaces (with them their bridge, links and rules), what
/// `/etc/netns` says of them, and the folder of the run. In shell, because the guard below must do it when this program is gone.
const SWEEP: &str = r#"
set -- $(ip netns list 2>/dev/null | sed -n "s/^\($1[^ ]*\).*/\1/p") "$2"
while [ $# -gt 1 ]; do
  for round in 1 2 3; do
    pids=$(ip netns pids "$1" 2>/dev/null)
    [ -n "$pids" ] || break
    kill -9 $pids 2>/dev/null
    sleep 0.05
  done
  ip netns del "$1"
  rm -rf "/etc/netns/$1"
  shift
done
rm -rf "$1"
rmdir /etc/netns 2>/dev/null
true
"#;

/// Waits until its standard input closes, that is until whoever runs the mesh has ended for whatever reason: a program that is
/// killed runs no destructor, but its pipes close all the same. Where nothing was said before, it sweeps. It holds the lock, too
/// (its standard output), so that nobody begins before it is done.
const GUARD: &str = r#"said=$(cat); [ -n "$said" ] || sh -c "$SWEEP" sweep "$@" >/dev/null 2>&1"#;

/// The right to run the mesh, and the promise that nothing of it stays. It must be dropped last.
pub(crate) struct Guard {
    watcher: Child,
    lock: File,
}

// === impl Guard ===

impl Guard {
    /// Takes the lock, removes what a crashed run left, and sets the watcher.
    pub(crate) fn take() -> Result<Self> {
        let mut lock = open_lock()?;
        if lock.try_lock().is_err() {
            bail!("a mesh is running already ({}): `make mesh-down` ends it", holder(&mut lock).describe());
        }
        sweep()?;
        lock.set_len(0)?;
        lock.rewind()?;
        write!(lock, "{}", std::process::id())?;
        let watcher = Command::new("sh")
            .args(["-c", GUARD, "egress-mesh-guard", PREFIX, RUN])
            .env("SWEEP", SWEEP)
            // An interrupt at the terminal ends the mesh, not who cleans up behind it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(lock.try_clone()?)
            .stderr(Stdio::null())
            .spawn()
            .context("starting the watcher")?;
        fs::create_dir_all(RUN).with_context(|| format!("creating {RUN}"))?;
        // Whatever the umask: the proxies' user goes through it.
        fs::set_permissions(RUN, fs::Permissions::from_mode(0o755))?;
        Ok(Self { watcher, lock })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // What a sweep could not remove, it will not remove later either.
        let _ = sweep();
        if let Some(mut pipe) = self.watcher.stdin.take() {
            let _ = pipe.write_all(b"bye");
        }
        let _ = self.watcher.wait();
        let _ = self.lock.set_len(0);
    }
}

/// Who runs the mesh.
struct Holder(Option<i32>);

// === impl Holder ===

impl Holder {
    fn describe(&self) -> String {
        match self.0 {
            Some(pid) => format!("process {pid}: {}", command_line(pid)),
            None => "an unknown process".to_owned(),
        }
    }
}

/// Ends whatever mesh there is, and what is left of one; tells whether there was any.
///
/// # Errors
/// When it cannot be removed, or who runs it is not ours to end.
pub fn down() -> Result<bool> {
    let mut lock = open_lock()?;
    let mut there = Path::new(RUN).exists();
    if lock.try_lock().is_err() {
        there = true;
        let Holder(Some(pid)) = holder(&mut lock) else {
            // The watcher of a run that has ended is still sweeping.
            return await_lock(&lock, Duration::from_secs(30)).map(|()| true);
        };
        if command_line(pid).is_empty() {
            return await_lock(&lock, Duration::from_secs(30)).map(|()| true);
        }
        if !command_line(pid).contains("egress-mesh") {
            bail!("the mesh is run by process {pid} ({}): end that", command_line(pid));
        }
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if await_lock(&lock, Duration::from_secs(20)).is_err() {
            kill(pid);
            await_lock(&lock, Duration::from_secs(30))?;
        }
    }
    sweep()?;
    lock.set_len(0)?;
    Ok(there)
}

fn open_lock() -> Result<File> {
    if let Some(dir) = Path::new(LOCK).parent() {
        fs::create_dir_all(dir)?;
    }
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(LOCK)
        .with_context(|| format!("opening {LOCK} (this needs root)"))
}

fn holder(lock: &mut File) -> Holder {
    let mut text = String::new();
    let read = lock.rewind().and_then(|()| lock.read_to_string(&mut text));
    Holder(read.ok().and_then(|_| text.trim().parse().ok()))
}

fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

fn await_lock(lock: &File, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    while lock.try_lock().is_err() {
        if Instant::now() > deadline {
            bail!("the running mesh does not end");
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn sweep() -> Result<()> {
    let ended: ExitStatus =
        Command::new("sh").args(["-c", SWEEP, "sweep", PREFIX, RUN]).stdin(Stdio::null()).status()?;
    if !ended.success() {
        bail!("the sweep ended with {ended}");
    }
    Ok(())
}
