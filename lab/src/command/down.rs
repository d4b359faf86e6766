//! `egress-lab down`

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::state::State;

pub(super) fn run() -> Result<ExitCode> {
    let state = State::open()?;
    let Some(pid) = state.supervisor() else {
        // Envoy ends with its supervisor in whatever way that ends, so after a crash there is nothing to kill.
        state.clear();
        println!("No mesh is up.");
        return Ok(ExitCode::SUCCESS);
    };
    stop(pid, Signal::TERM);
    if !gone(&state, Duration::from_secs(5)) {
        stop(pid, Signal::KILL);
        if !gone(&state, Duration::from_secs(5)) {
            bail!("process {pid} does not end");
        }
    }
    state.clear();
    println!("The mesh is down. Its policy stays in {}.", state.policy().display());
    Ok(ExitCode::SUCCESS)
}

fn stop(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may just have ended by itself; whether it is gone is looked at afterwards.
        let _ = kill_process(pid, signal);
    }
}

fn gone(state: &State, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if state.supervisor().is_none() {
            return true;
        }
        sleep(Duration::from_millis(50));
    }
    false
}
