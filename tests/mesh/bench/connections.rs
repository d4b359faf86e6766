//! Live TLS connections, and what changes of policy do to them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use egress_mesh_tests::eventually;

use crate::client::Live;
use crate::policies::{Engine, change, change_of_somebody_else};
use crate::{Bench, FLIPPED, STEADY};

/// Connections whose verdict no change touches, and those that some of our changes refuse.
const STEADY_CONNECTIONS: usize = 20;
const FLIPPED_CONNECTIONS: usize = 5;
/// Our changes are felt at once, and are repeated; Istio cuts after its drain time, so one is enough to be seen.
const OUR_CHANGES: usize = 10;
const NATIVE_CHANGES: usize = 1;
/// Longer than Istio's drain time of 45 s.
const DRAINED: Duration = Duration::from_secs(60);

/// What became of live connections.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) changes: usize,
    pub(crate) steady: usize,
    pub(crate) steady_cut: usize,
    pub(crate) flipped: usize,
    pub(crate) flipped_cut: usize,
    /// When the last of the steady ones was cut, after the last change.
    pub(crate) seconds: Option<f32>,
}

pub(crate) fn cut_by_changes(bench: &mut Bench, engine: Engine) -> Result<Cut> {
    turn(bench, engine, 0)?;
    let identity = bench.identity()?;
    sleep(Duration::from_secs(2));
    let mut live: Vec<Live> = Vec::new();
    for host in [STEADY; STEADY_CONNECTIONS].into_iter().chain([FLIPPED; FLIPPED_CONNECTIONS]) {
        live.push(bench.connect(&identity, host)?);
    }
    let changes = if engine == Engine::Ours { OUR_CHANGES } else { NATIVE_CHANGES };
    for number in 1..=changes {
        turn(bench, engine, number)?;
        // Connections speak after each change: those that are refused are closed at their next bytes.
        live.retain_mut(Live::is_alive);
    }
    let begin = Instant::now();
    let mut seconds = None;
    while begin.elapsed() < DRAINED {
        let before = live.iter().filter(|one| one.is_steady()).count();
        live.retain_mut(Live::is_alive);
        if live.iter().filter(|one| one.is_steady()).count() < before {
            seconds = Some(begin.elapsed().as_secs_f32());
        }
        sleep(Duration::from_secs(1));
    }
    let left = |steady: bool| live.iter().filter(|one| one.is_steady() == steady).count();
    let mut cut = Cut {
        changes,
        steady: STEADY_CONNECTIONS,
        steady_cut: STEADY_CONNECTIONS - left(true),
        flipped: FLIPPED_CONNECTIONS,
        flipped_cut: FLIPPED_CONNECTIONS - left(false),
        seconds,
    };
    if engine == Engine::Native {
        // Its changes refuse none of them.
        (cut.steady, cut.flipped) = (cut.steady + cut.flipped, 0);
        (cut.steady_cut, cut.flipped_cut) = (cut.steady_cut + cut.flipped_cut, 0);
    }
    ensure!(
        engine == Engine::Native || cut.steady_cut == 0,
        "our changes cut connections of allowed workloads: {cut:?}"
    );
    Ok(cut)
}

/// One change, in force. Ours refuses the flipped host and allows it again; Istio's is about somebody else, so that all of the
/// connections stay allowed.
fn turn(bench: &mut Bench, engine: Engine, number: usize) -> Result<()> {
    if engine == Engine::Native {
        change_of_somebody_else(number).apply(bench)?;
        return bench.mesh.settle(&[]);
    }
    let refused = number % 2 == 1;
    change(bench, engine, 1, refused)?.apply(bench)?;
    let identity = bench.identity()?;
    let expected = if refused { 403 } else { 200 };
    eventually("the new verdict", Duration::from_secs(60), || {
        let got = bench.status(&identity, FLIPPED)?;
        ensure!(got == expected, "{got}");
        Ok(())
    })?;
    Ok(())
}
