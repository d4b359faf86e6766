//! An Envoy process: its start, its admin interface and its certain end.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::http::plain_get;
use crate::provision::EnvoyBinary;

/// Becomes Envoy, leaving a watcher behind that ends it when the pipe on its standard input closes, that is when this
/// process ends for whatever reason: a parent that is killed runs no destructor, but its pipes close all the same. Where
/// nothing was said on the pipe before, nobody is left to remove Envoy's folder, the first argument: the watcher does.
const GUARD: &str = r#"dir=$1; shift; exec 3<&0; self=$$
(said=$(cat <&3); kill -9 "$self"; [ -n "$said" ] || rm -rf -- "$dir") >/dev/null 2>&1 &
exec 3<&- </dev/null; exec "$@""#;

/// How an Envoy is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker threads.
    pub concurrency: u32,
    /// `--log-level`.
    pub log_level: String,
    /// `--component-log-level`, such as `wasm:debug`; empty for none.
    pub component_log_level: String,
    /// How long a start may take until the listeners listen.
    pub patience: Duration,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 1,
            log_level: "warning".to_owned(),
            component_log_level: String::new(),
            patience: Duration::from_secs(30),
        }
    }
}

/// A running Envoy; dropping it ends it.
pub struct Envoy {
    child: Child,
    /// Held open for as long as Envoy shall live.
    lifeline: Option<ChildStdin>,
    binary: EnvoyBinary,
    options: Options,
    name: String,
    config: PathBuf,
    admin: SocketAddr,
    dir: TempDir,
}

// === impl Envoy ===

impl Envoy {
    /// Starts Envoy on a configuration. `dir` is its own folder, removed with it; the configuration's admin address must be port 0.
    ///
    /// # Errors
    /// When it ends at once (its log is in the error) or its admin interface does not come up.
    pub fn start(
        binary: &EnvoyBinary,
        name: &str,
        dir: TempDir,
        config: &str,
        options: &Options,
    ) -> Result<Self> {
        let path = dir.path().join(format!("{name}.yaml"));
        fs::write(&path, config).with_context(|| format!("writing {}", path.display()))?;
        let (child, lifeline) = spawn(binary, name, dir.path(), &path, options)?;
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut envoy = Self {
            child,
            lifeline: Some(lifeline),
            binary: binary.clone(),
            options: options.clone(),
            name: name.to_owned(),
            config: path,
            admin: unknown,
            dir,
        };
        envoy.await_admin()?;
        Ok(envoy)
    }

    fn await_admin(&mut self) -> Result<()> {
        let file = self.dir.path().join("admin-address");
        let deadline = Instant::now() + self.options.patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{}: Envoy ended at once ({status}):\n{}", self.name, self.log_tail(30));
            }
            // The admin server may not answer yet when its address is already written.
            if let Ok(text) = fs::read_to_string(&file)
                && let Ok(address) = text.trim().parse()
            {
                self.admin = address;
                if plain_get(address, "/ready").is_ok() {
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                bail!("{}: Envoy's admin interface did not come up:\n{}", self.name, self.log_tail(30));
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until Envoy serves and every named listener listens; gives their addresses by name.
    ///
    /// # Errors
    /// When one does not within the options' patience; the text has the log's end.
    pub fn await_listeners(&mut self, names: &[String]) -> Result<BTreeMap<String, SocketAddr>> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{}: Envoy ended ({status}):\n{}", self.name, self.log_tail(30));
            }
            let found = self.listeners()?;
            if names.iter().all(|name| found.contains_key(name)) && self.get("/ready")?.trim() == "LIVE" {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let missing: Vec<&String> = names.iter().filter(|name| !found.contains_key(*name)).collect();
                bail!("{}: listeners {missing:?} do not listen:\n{}", self.name, self.log_tail(30));
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// The listeners that listen now, by name.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn listeners(&self) -> Result<BTreeMap<String, SocketAddr>> {
        let json: Value = serde_json::from_str(&self.get("/listeners?format=json")?)?;
        let statuses = json.get("listener_statuses").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut found = BTreeMap::new();
        for status in &statuses {
            let name = status.pointer("/name").and_then(Value::as_str);
            let ip = status.pointer("/local_address/socket_address/address").and_then(Value::as_str);
            let port = status.pointer("/local_address/socket_address/port_value").and_then(Value::as_u64);
            if let (Some(name), Some(ip), Some(port)) = (name, ip, port)
                && let (Ok(ip), Ok(port)) = (ip.parse(), u16::try_from(port))
                && port != 0
            {
                found.insert(name.to_owned(), SocketAddr::new(ip, port));
            }
        }
        Ok(found)
    }

    /// One page of the admin interface.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, path: &str) -> Result<String> {
        plain_get(self.admin, path).with_context(|| format!("{}: admin {path}", self.name))
    }

    /// All stats whose name matches a regular expression.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn stats(&self, filter: &str) -> Result<BTreeMap<String, String>> {
        let text = self.get(&format!("/stats?filter={}", crate::client::http::percent_encode(filter)))?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect())
    }

    /// One counter or gauge; 0 where it does not exist (yet).
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn stat(&self, name: &str) -> Result<u64> {
        let escaped: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c.to_string() } else { format!("\\{c}") })
            .collect();
        Ok(self.stats(&format!("^{escaped}$"))?.get(name).and_then(|value| value.parse().ok()).unwrap_or(0))
    }

    /// The Prometheus page.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn prometheus(&self) -> Result<String> {
        self.get("/stats/prometheus")
    }

    /// What Envoy wrote to its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        // A hostile name may be anything but UTF-8.
        fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Where the log is.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join(format!("{}.log", self.name))
    }

    fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// Its folder: configuration, log, access log.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The admin interface's address.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// Where there is no `/proc`.
    pub fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// CPU time used so far, in all threads (from `/proc`, in ticks of 10 ms as on every Linux).
    ///
    /// # Errors
    /// Where there is no `/proc`.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // The second field is the name in parentheses and may hold spaces.
        let (_, rest) = stat.rsplit_once(')').context("an odd /proc/stat")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        // Either fails only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut lifeline) = self.lifeline.take() {
            // The watcher has nothing to clean up; it may be gone too.
            let _ = lifeline.write_all(b"bye");
        }
    }

    /// Ends it and starts it again on the same configuration; ports change.
    ///
    /// # Errors
    /// As [`Envoy::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let _ = fs::remove_file(self.dir.path().join("admin-address"));
        let (child, lifeline) =
            spawn(&self.binary, &self.name, self.dir.path(), &self.config, &self.options)?;
        self.child = child;
        self.lifeline = Some(lifeline);
        self.await_admin()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(
    binary: &EnvoyBinary,
    name: &str,
    dir: &Path,
    config: &Path,
    options: &Options,
) -> Result<(Child, ChildStdin)> {
    let log = fs::File::options().create(true).append(true).open(dir.join(format!("{name}.log")))?;
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "egress-lab"]).arg(dir).arg(&binary.path);
    command.arg("--config-path").arg(config);
    command.arg("--admin-address-path").arg(dir.join("admin-address"));
    command.args(["--concurrency", &options.concurrency.to_string(), "--log-level", &options.log_level]);
    if !options.component_log_level.is_empty() {
        command.args(["--component-log-level", &options.component_log_level]);
    }
    // Two Envoys on one machine would otherwise share memory; access logs shall be there when a test looks.
    command.args(["--disable-hot-restart", "--file-flush-interval-msec", "20", "--drain-time-s", "1"]);
    command.args(["--log-format", "%Y-%m-%dT%T.%e %l %n %v"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("starting {}", binary.path.display()))?;
    let lifeline = child.stdin.take().context("no pipe to Envoy")?;
    Ok((child, lifeline))
}
