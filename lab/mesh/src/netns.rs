//! Network namespaces: made, entered, and removed with everything in them.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::place::{HUB, HUB_ADDRESS, PREFIX_LENGTH};

/// A network namespace of the lab; dropping it ends what runs in it and removes it.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

// === impl Netns ===

impl Netns {
    /// Makes a namespace with a loopback of its own, and nothing else.
    ///
    /// # Errors
    /// When the kernel refuses it, as it does without root.
    pub(crate) fn create(name: &str) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", name]))?;
        let netns = Self { name: name.to_owned() };
        netns.ip("link set lo up\n")?;
        Ok(netns)
    }

    /// The hub's bridge.
    pub(crate) fn bridge(&self) -> Result<()> {
        self.ip(&format!(
            "link add name br0 type bridge\naddr add {HUB_ADDRESS}/{PREFIX_LENGTH} dev br0\nlink set br0 up\n"
        ))
    }

    /// Connects the namespace to the hub's bridge and gives it an address. Every address is looked for on the bridge: who is
    /// not there cannot be reached.
    pub(crate) fn join(&self, port: &str, addresses: &[(Ipv4Addr, u8)]) -> Result<()> {
        batch(
            HUB,
            &format!(
                "link add {port} type veth peer name eth0 netns {}\nlink set {port} master br0 up\n",
                self.name
            ),
        )?;
        let mut lines = String::new();
        for (address, length) in addresses {
            lines.push_str(&format!("addr add {address}/{length} dev eth0\n"));
        }
        lines.push_str("link set eth0 up\nroute add default dev eth0\n");
        self.ip(&lines)
    }

    /// What the namespace sees as `/etc/resolv.conf`.
    pub(crate) fn resolver(&self, server: Ipv4Addr) -> Result<()> {
        let dir = format!("/etc/netns/{}", self.name);
        fs::create_dir_all(&dir).with_context(|| format!("creating {dir}"))?;
        let file = format!("{dir}/resolv.conf");
        fs::write(&file, format!("nameserver {server}\n"))?;
        // Whatever the umask: everybody in the namespace reads it.
        Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o644))?)
    }

    /// The name, for `ip netns exec`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Commands of `ip`, one a line, inside.
    ///
    /// # Errors
    /// When one fails; the text names it.
    pub fn ip(&self, lines: &str) -> Result<()> {
        batch(&self.name, lines)
    }

    /// A program to be run inside.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a function on a thread inside: the sockets that it opens belong to the namespace.
    ///
    /// # Errors
    /// When the namespace is gone, or the function fails.
    pub fn within<T: Send>(&self, inside: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        within(&self.name, inside)
    }

    /// The processes inside.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let output = Command::new("ip").args(["netns", "pids", &self.name]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }

    /// Ends everything inside at once.
    pub fn kill_all(&self) {
        for pid in self.processes().unwrap_or_default() {
            kill(pid);
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        self.kill_all();
        // What cannot be removed now is removed by the sweep that ends every mesh.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(format!("/etc/netns/{}", self.name));
    }
}

/// Ends a process at once.
pub(crate) fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may be gone already.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Runs a function on a thread inside a namespace, by its name: for those who outlive the pod's borrow.
///
/// # Errors
/// When there is no such namespace, or the function fails.
pub fn within<T: Send>(name: &str, inside: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let file = File::open(format!("/run/netns/{name}")).with_context(|| format!("the namespace {name}"))?;
    // The thread ends afterwards, so nobody else finds itself in there.
    thread::scope(|scope| {
        scope
            .spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .with_context(|| format!("entering the namespace {name}"))?;
                inside()
            })
            .join()
            .map_err(|_| anyhow!("a thread in the namespace {name} panicked"))?
    })
}

fn batch(name: &str, lines: &str) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["-n", name, "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting ip")?;
    child.stdin.take().context("no pipe to ip")?.write_all(lines.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("ip in {name}: {}\n{lines}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Runs a helper to its end; its standard error is in the error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
