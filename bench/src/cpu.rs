//! What the scheduler says of a process: nanoseconds on a CPU, whatever else the machine did meanwhile.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// CPU time of all threads of a process.
///
/// # Errors
/// Where the kernel keeps no `schedstat`.
pub fn process(pid: u32) -> Result<Duration> {
    threads(pid, |_| true)
}

/// CPU time of the threads whose name has this prefix (Envoy's workers are `wrk:worker_0` and so on).
///
/// # Errors
/// Where the kernel keeps no `schedstat`.
pub fn of_threads(pid: u32, prefix: &str) -> Result<Duration> {
    threads(pid, |name| name.starts_with(prefix))
}

fn threads(pid: u32, wanted: impl Fn(&str) -> bool) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = entry?.path();
        // A thread that ends meanwhile has no more to say.
        let (Ok(name), Ok(stat)) =
            (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("schedstat")))
        else {
            continue;
        };
        if wanted(name.trim_end()) {
            let nanos = stat.split_whitespace().next().and_then(|text| text.parse().ok());
            sum += Duration::from_nanos(nanos.context("an odd schedstat")?);
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen() {
        let before = process(std::process::id()).unwrap();
        let sum = (0..20_000_000_u64).fold(0_u64, |sum, number| std::hint::black_box(sum ^ number));
        assert!(std::hint::black_box(sum) < u64::MAX);
        let after = process(std::process::id()).unwrap();
        assert!(after > before);
        assert_eq!(of_threads(std::process::id(), "no such thread").unwrap(), Duration::ZERO);
    }
}
