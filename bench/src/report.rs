//! The results held against what is promised, as a table and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use egress_lab::paths::{filter_wasm, repo_dir};
use egress_lab::provision::EnvoyBinary;
use serde::{Deserialize, Serialize};

use crate::measure::bundles::{Bundle, LIMIT};
use crate::measure::calls::Calls;
use crate::measure::connections::Connections;
use crate::measure::core::{self, Core, NativeLoad};
use crate::measure::latency::{Latency, RATE};
use crate::measure::load::{Load, linearity};
use crate::measure::requests::Flatness;
use crate::measure::rivals::Rivals;
use crate::measure::size::Part;
use crate::shapes::Shape;
use crate::stats::Estimate;

/// Where the figures of the last run are.
const FIGURES: &str = "target/benchmarks";

/// Everything that one run measured.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Results {
    /// Where.
    pub machine: Option<Machine>,
    /// Crossings of the sandbox's border.
    pub calls: Vec<Calls>,
    /// Beside other filters.
    pub rivals: Option<Rivals>,
    /// Flatness by shape.
    pub requests: Vec<Flatness>,
    /// Connections on NETWORK.
    pub connections: Vec<Connections>,
    /// Latency at a fixed rate.
    pub latency: Vec<Latency>,
    /// Load and memory.
    pub load: Vec<Load>,
    /// Bundles.
    pub bundles: Vec<Bundle>,
    /// The core natively.
    pub core: Vec<Core>,
    /// Loading natively.
    pub native_load: Vec<NativeLoad>,
    /// What the binary consists of.
    pub size: Vec<Part>,
    /// Promise by promise.
    pub lines: Vec<Line>,
}

/// What it was measured on.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Machine {
    /// The processor.
    pub processor: String,
    /// Its cores, as far as we may use them.
    pub cores: usize,
    /// The kernel.
    pub kernel: String,
    /// The Envoy.
    pub envoy: String,
    /// Bytes of the filter.
    pub wasm: u64,
    /// Whether this was only a look.
    pub quick: bool,
}

/// A promise and what became of it.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Line {
    /// What is promised.
    pub promise: String,
    /// At most so much.
    pub limit: f64,
    /// What was measured.
    pub measured: Estimate,
    /// Whether the whole interval is within the limit.
    pub holds: bool,
}

impl Line {
    fn at_most(promise: impl Into<String>, limit: f64, measured: Estimate) -> Self {
        Self { promise: promise.into(), limit, measured, holds: measured.high <= limit }
    }
}

impl Machine {
    /// This machine.
    ///
    /// # Errors
    /// When there is no Envoy or no filter.
    pub fn here(quick: bool) -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let version = Command::new(&EnvoyBinary::find()?.path).arg("--version").output()?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        Ok(Self {
            processor: model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':'])).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            envoy: version_number(&version).to_owned(),
            wasm: fs::metadata(filter_wasm()?)?.len(),
            quick,
        })
    }
}

/// `… version: <revision>/1.40.0/Clean/RELEASE/BoringSSL`
fn version_number(text: &str) -> &str {
    let rest = text.split_once("version: ").map_or("", |(_, rest)| rest);
    rest.split('/').nth(1).unwrap_or("unknown")
}

impl Results {
    /// Holds the results against what is promised.
    pub fn judge(&mut self) {
        let mut lines = Vec::new();
        for shape in &self.requests {
            for size in shape.sizes.iter().skip(1) {
                let limit = if size.policies > 10_000 { 1.3 } else { 1.15 };
                let promise = format!("{}: added at {} / at 10", shape.shape, thousands(size.policies));
                lines.push(Line::at_most(promise, limit, size.to_smallest));
            }
        }
        if let Some(rivals) = &self.rivals {
            for (policies, ratio) in
                rivals.to_three_calls.iter().filter(|(size, _)| [10, 10_000].contains(size))
            {
                let promise = format!("{} policies / wasm with three host calls", thousands(*policies));
                lines.push(Line::at_most(promise, 1.25, *ratio));
            }
            for (policies, ratio) in &rivals.to_native {
                let limit = match policies {
                    150 => 1.0,
                    1_000 => 0.15,
                    10_000 => 0.012,
                    _ => continue,
                };
                let promise = format!("{} policies / native RBAC with the same", thousands(*policies));
                lines.push(Line::at_most(promise, limit, *ratio));
            }
        }
        for one in self.connections.iter().filter(|one| one.name.starts_with("ours, 10000")) {
            let promise = format!("connection, {}: CPU / with 10 policies", one.name);
            lines.push(Line::at_most(promise, 1.1, one.to_smallest));
        }
        for core in
            self.core.iter().filter(|core| core.policies == 100_000 && core.shape != Shape::Paths.name())
        {
            if let Some(decide) = core.decide {
                lines.push(Line::at_most(format!("core, {}, 100,000 policies: µs", core.shape), 1.0, decide));
            }
        }
        if let Some(load) = self.load.iter().find(|load| load.policies == 10_000) {
            lines.push(Line::at_most("10,000 policies: load per worker, ms", 150.0, load.worker));
            lines.push(Line::at_most("10,000 policies: memory per VM, MiB", 32.0, load.memory));
        }
        if let Some(linearity) = linearity(&self.load) {
            lines.push(Line::at_most("load of a policy at 100,000 / at 10,000", 1.1, linearity));
        }
        if let Some(linearity) = core::linearity(&self.native_load) {
            let promise = "instructions to load a policy at 100,000 / at 10,000";
            lines.push(Line::at_most(promise, 1.1, Estimate::exact(linearity)));
        }
        for bundle in &self.bundles {
            let promise = format!("bundle, {} {}: MiB", thousands(bundle.policies), bundle.name);
            lines.push(Line::at_most(promise, mebibytes(LIMIT), Estimate::exact(mebibytes(bundle.manifest))));
        }
        if let Some(machine) = &self.machine {
            #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
            let size = Estimate::exact(machine.wasm as f64 / 1e3);
            lines.push(Line::at_most("wasm, KB", 420.0, size));
        }
        self.lines = lines;
    }

    /// Whether every promise holds that was measured.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.lines.iter().all(|line| line.holds)
    }

    /// The tables, in Markdown.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut text = String::new();
        if let Some(machine) = &self.machine {
            let Machine { processor, cores, kernel, envoy, wasm, quick } = machine;
            let look = if *quick { " A look (`--quick`), not a result." } else { "" };
            let _ = writeln!(
                text,
                "{processor}, {cores} cores, Linux {kernel}, Envoy {envoy}, wasm of {} bytes.{look}\n",
                thousands(usize::try_from(*wasm).unwrap_or(usize::MAX))
            );
        }
        let row = |text: &mut String, cells: &[String]| {
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        let head = |text: &mut String, title: &str, cells: &[&str]| {
            let _ = writeln!(text, "### {title}\n\n| {} |", cells.join(" | "));
            let _ = writeln!(text, "|{}", "---|".repeat(cells.len()));
        };
        if !self.lines.is_empty() {
            head(&mut text, "What is promised", &["promise", "at most", "measured", "95 %", "holds"]);
            for line in &self.lines {
                let holds = if line.holds { "yes" } else { "**no**" }.to_owned();
                let interval = interval(line.measured);
                row(
                    &mut text,
                    &[
                        line.promise.clone(),
                        number(line.limit),
                        number(line.measured.median),
                        interval,
                        holds,
                    ],
                );
            }
            text.push('\n');
        }
        if !self.calls.is_empty() {
            head(
                &mut text,
                "Crossings of the sandbox's border, per request",
                &["filter", "callbacks", "host calls", "which"],
            );
            for one in &self.calls {
                row(
                    &mut text,
                    &[one.name.clone(), number(one.callbacks), number(one.host_calls), one.names.join(", ")],
                );
            }
            text.push('\n');
        }
        if let Some(rivals) = &self.rivals {
            head(&mut text, "CPU of the gateway per request", &["filter", "µs", "95 %"]);
            row(
                &mut text,
                &[
                    "none (the whole request)".to_owned(),
                    number(rivals.without.median),
                    interval(rivals.without),
                ],
            );
            for (name, added) in &rivals.added {
                row(&mut text, &[format!("{name}: adds"), number(added.median), interval(*added)]);
            }
            if let Some(anew) = rivals.anew {
                let name = "ours, 10000, no two requests alike: adds".to_owned();
                row(&mut text, &[name, number(anew.median), interval(anew)]);
            }
            text.push('\n');
        }
        if !self.requests.is_empty() {
            head(&mut text, "Added per request, by shape, µs", &["shape", "10", "10,000", "100,000"]);
            for shape in &self.requests {
                let mut cells = vec![shape.shape.to_owned()];
                cells.extend(shape.sizes.iter().map(|size| both(size.added)));
                row(&mut text, &cells);
            }
            text.push('\n');
        }
        if !self.connections.is_empty() {
            head(
                &mut text,
                "Connections on NETWORK",
                &["filter", "µs of CPU", "added", "connections a second and worker"],
            );
            for one in &self.connections {
                row(
                    &mut text,
                    &[one.name.clone(), both(one.cpu), both(one.added), number(one.per_second.median)],
                );
            }
            text.push('\n');
        }
        if !self.latency.is_empty() {
            let title = format!("Latency at {RATE} requests a second, µs");
            head(&mut text, &title, &["filter", "p50", "p99"]);
            for one in &self.latency {
                row(&mut text, &[one.name.clone(), both(one.p50), both(one.p99)]);
            }
            text.push('\n');
        }
        if !self.load.is_empty() {
            let cells = [
                "policies",
                "bytes",
                "worker stands still, ms",
                "file to applied, ms",
                "per VM, MiB",
                "after an update, MiB",
            ];
            head(&mut text, "Loading", &cells);
            for one in &self.load {
                row(
                    &mut text,
                    &[
                        thousands(one.policies),
                        thousands(one.bytes),
                        both(one.worker),
                        both(one.applied),
                        both(one.memory),
                        both(one.memory_after_update),
                    ],
                );
            }
            text.push('\n');
        }
        if !self.bundles.is_empty() {
            head(
                &mut text,
                "Bundles",
                &["host names", "policies", "unpacked", "manifest", "policies in 1.4 MiB"],
            );
            for one in &self.bundles {
                let sizes = [one.policies, one.unpacked, one.manifest, one.fit].map(thousands);
                row(&mut text, &[[one.name.to_owned()].as_slice(), &sizes].concat());
            }
            text.push('\n');
        }
        self.core_tables(&mut text);
        if !self.size.is_empty() {
            head(&mut text, "The binary, by crate", &["part", "bytes"]);
            for part in &self.size {
                row(&mut text, &[part.name.clone(), thousands(part.bytes)]);
            }
            text.push('\n');
        }
        text
    }

    fn core_tables(&self, text: &mut String) {
        if !self.core.is_empty() {
            let _ = writeln!(
                text,
                "### The core natively\n\n| shape | policies | ns a decision | 95 % | instructions |\n|---|---|---|---|---|"
            );
            for one in &self.core {
                let decide = one.decide.map(|decide| decide.scaled(1e3));
                let median = decide.map_or("–".to_owned(), |decide| number(decide.median));
                let interval = decide.map_or("–".to_owned(), interval);
                let counted = counted(one.instructions);
                let _ = writeln!(
                    text,
                    "| {} | {} | {median} | {interval} | {counted} |",
                    one.shape,
                    thousands(one.policies)
                );
            }
            text.push('\n');
        }
        if !self.native_load.is_empty() {
            let _ = writeln!(text, "### Loading natively\n\n| policies | ms | instructions |\n|---|---|---|");
            for one in &self.native_load {
                let counted = counted(one.instructions);
                let _ = writeln!(text, "| {} | {} | {counted} |", thousands(one.policies), both(one.load));
            }
            text.push('\n');
        }
    }

    /// What the last run has left in `target/benchmarks/`.
    ///
    /// # Errors
    /// When there is none, or of another form.
    pub fn kept() -> Result<Self> {
        let path = repo_dir()?.join(FIGURES).join("results.json");
        serde_json::from_slice(&fs::read(&path)?).with_context(|| path.display().to_string())
    }

    /// The page of the tables.
    fn page(&self) -> String {
        format!("# Benchmark results\n\nWritten by `make bench`.\n\n{}", self.tables())
    }

    /// Writes `results.json` into `target/benchmarks/`, and `tables.md` and the plot into `docs/benchmarks/` (those of a look
    /// beside the figures, where they do not pass for a result).
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self) -> Result<()> {
        let figures = repo_dir()?.join(FIGURES);
        fs::create_dir_all(&figures)?;
        fs::write(figures.join("results.json"), serde_json::to_string_pretty(self)? + "\n")?;
        self.show()
    }

    /// Writes what is shown of them: `tables.md` and the plot.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn show(&self) -> Result<()> {
        let dir = self.dir()?;
        fs::write(dir.join("tables.md"), self.page())?;
        self.plot(&dir.join("requests.svg"))
    }

    fn dir(&self) -> Result<PathBuf> {
        let quick = self.machine.as_ref().is_some_and(|machine| machine.quick);
        Ok(repo_dir()?.join(if quick { FIGURES } else { "docs/benchmarks" }))
    }

    fn plot(&self, path: &Path) -> Result<()> {
        match &self.rivals {
            Some(rivals) => crate::plot::requests(rivals, &self.requests, path),
            None => Ok(()),
        }
    }
}

fn both(estimate: Estimate) -> String {
    format!("{} ({})", number(estimate.median), interval(estimate))
}

fn interval(estimate: Estimate) -> String {
    format!("{} – {}", number(estimate.low), number(estimate.high))
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a figure of a table"
            )]
            let whole = value.abs().round() as usize;
            format!("{}{}", if value < 0.0 { "-" } else { "" }, thousands(whole))
        }
        hundreds if hundreds >= 100.0 => format!("{value:.0}"),
        tens if tens >= 10.0 => format!("{value:.1}"),
        ones if ones >= 0.1 || ones == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// A number of instructions, where they could be counted.
fn counted(instructions: Option<u64>) -> String {
    instructions.map_or("–".to_owned(), |count| thousands(usize::try_from(count).unwrap_or(usize::MAX)))
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "some millions")]
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_holds_where_its_interval_does() {
        let measured = Estimate { median: 1.0, low: 0.9, high: 1.2 };
        assert!(Line::at_most("", 1.25, measured).holds);
        assert!(!Line::at_most("", 1.15, measured).holds);
    }

    /// The page that is kept says of each promise what its own figures say.
    #[test]
    fn the_page_says_what_holds() {
        let page = fs::read_to_string(repo_dir().unwrap().join("docs/benchmarks/tables.md")).unwrap();
        let number = |text: &str| text.trim().replace(',', "").parse::<f64>().unwrap();
        let mut promises = 0;
        for line in page.lines().filter(|line| line.ends_with("| yes |") || line.ends_with("| no |")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let (limit, high) = (number(cells[2]), number(cells[4].split('–').nth(1).unwrap()));
            assert_eq!(cells[5] == "yes", high <= limit, "{line}");
            promises += 1;
        }
        assert!(promises >= 30, "{promises} promises");
    }

    #[test]
    fn envoy_tells_its_version() {
        let text = "/a/b/envoy  version: 0123abcd/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(version_number(text), "1.40.0");
        assert_eq!(version_number(""), "unknown");
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.0123, 0.5, 12.34, 123.4, 1_458.2, -2_000.0].map(number),
            ["0.00", "0.0123", "0.50", "12.3", "123", "1,458", "-2,000"]
        );
    }
}
