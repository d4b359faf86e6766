//! What does the core take by itself? Times are criterion's, instructions are callgrind's.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shapes::Shape;
use crate::stats::Estimate;

/// The numbers of policies that criterion measures.
pub const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
/// The name of criterion's group of decisions.
pub const DECIDE: &str = "decide";
/// The name of criterion's group of loads.
pub const LOAD: &str = "load";
/// What is counted of a decision, and of loading: the functions, and how this program is told to run them.
const DECIDING: (&str, &str) = ("*counted_decisions*", "decide");
const LOADING: (&str, &str) = ("*counted_load*", "load");
/// How many decisions are counted in one run.
pub const COUNTED_DECISIONS: u32 = 10;

/// The core with one configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Core {
    /// The shape.
    pub shape: String,
    /// So many policies.
    pub policies: usize,
    /// One decision, µs.
    pub decide: Option<Estimate>,
    /// Instructions of one decision.
    pub instructions: Option<u64>,
}

/// Loading natively.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct NativeLoad {
    /// So many policies.
    pub policies: usize,
    /// From JSON text to engine, ms.
    pub load: Estimate,
    /// Instructions of that.
    pub instructions: Option<u64>,
}

/// How many more instructions one policy takes to load at the last size than at the one before: 1 is linear.
#[must_use]
pub fn linearity(loads: &[NativeLoad]) -> Option<f64> {
    let each = |policies: usize| {
        let load = loads.iter().find(|load| load.policies == policies)?;
        #[expect(clippy::cast_precision_loss, reason = "some thousand millions")]
        load.instructions.map(|instructions| instructions as f64 / super::as_f64(policies))
    };
    Some(each(100_000)? / each(10_000)?)
}

/// What criterion left, and what callgrind counts where valgrind is installed.
///
/// # Errors
/// When a program of the two fails.
pub fn measure(quick: bool) -> Result<(Vec<Core>, Vec<NativeLoad>)> {
    let results = criterion_dir()?;
    let (counted, counted_loads): (&[usize], &[usize]) = match (quick, has_valgrind()) {
        (_, false) => (&[], &[]),
        (true, true) => (&[10, 1_000], &[1_000, 10_000]),
        (false, true) => (&[10, 10_000], &[10_000, 100_000]),
    };
    let mut cores = Vec::new();
    for shape in Shape::ALL {
        for policies in SIZES {
            let decide = criterion(&results, DECIDE, shape.name(), policies)?.map(|nanos| nanos.scaled(1e-3));
            let instructions =
                if counted.contains(&policies) { Some(decision(shape, policies)?) } else { None };
            if decide.is_some() || instructions.is_some() {
                cores.push(Core { shape: shape.name().to_owned(), policies, decide, instructions });
            }
        }
    }
    let mut loads = Vec::new();
    for policies in SIZES {
        if let Some(nanos) = criterion(&results, LOAD, Shape::Namespaces.name(), policies)? {
            let counted = counted_loads.contains(&policies);
            let instructions =
                if counted { Some(instructions(LOADING, Shape::Namespaces, policies)?) } else { None };
            loads.push(NativeLoad { policies, load: nanos.scaled(1e-6), instructions });
        }
    }
    Ok((cores, loads))
}

/// Whether instructions can be counted here.
#[must_use]
pub fn has_valgrind() -> bool {
    let mut command = Command::new("valgrind");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Where criterion writes: beside the folder that this program is in.
fn criterion_dir() -> Result<PathBuf> {
    let exe = env::current_exe()?;
    let target = exe.parent().and_then(Path::parent).context("a program without a folder")?;
    Ok(target.join("criterion"))
}

/// Criterion's median and its interval, in ns; none where it has not run.
fn criterion(results: &Path, group: &str, name: &str, policies: usize) -> Result<Option<Estimate>> {
    let path = results.join(group).join(name).join(policies.to_string()).join("new/estimates.json");
    let Ok(text) = fs::read(&path) else {
        return Ok(None);
    };
    let json: Value = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    let number = |pointer: &str| json.pointer(pointer).and_then(Value::as_f64).context("criterion's format");
    Ok(Some(Estimate {
        median: number("/median/point_estimate")?,
        low: number("/median/confidence_interval/lower_bound")?,
        high: number("/median/confidence_interval/upper_bound")?,
    }))
}

/// Instructions of one decision.
fn decision(shape: Shape, policies: usize) -> Result<u64> {
    Ok(instructions(DECIDING, shape, policies)? / u64::from(COUNTED_DECISIONS))
}

/// Instructions of a function, counted by running this program in callgrind.
fn instructions((function, command): (&str, &str), shape: Shape, policies: usize) -> Result<u64> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("callgrind.out");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={function}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args([command, shape.name(), &policies.to_string()])
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("callgrind ended with {status}");
    }
    let text = fs::read_to_string(&out)?;
    let line = text.lines().find_map(|line| line.strip_prefix("summary: ")).context("callgrind's format")?;
    Ok(line.trim().parse()?)
}
