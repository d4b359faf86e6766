//! Tests that share something that takes long to start, and end it when the last of them is done.
//!
//! The usual harness keeps what tests share in a `static`, which nobody drops: Envoy's folders would stay behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

/// A named test of something that is shared.
pub struct Test<S> {
    name: String,
    #[expect(clippy::type_complexity, reason = "a test is any closure; a name for it would say no more")]
    run: Box<dyn FnOnce(&mut S) -> Result<()> + Send>,
}

// === impl Test ===

impl<S> Test<S> {
    /// A test.
    pub fn new(name: impl Into<String>, run: impl FnOnce(&mut S) -> Result<()> + Send + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// Names the functions given as tests of one suite.
#[macro_export]
macro_rules! tests {
    ($($test:ident),+ $(,)?) => {
        vec![$($crate::suite::Test::new(stringify!($test), $test)),+]
    };
}

/// Runs the tests one after the other, as `cargo test` expects it of a test binary. What they share is started for the
/// first that runs, and dropped after the last.
pub fn run<S: Send + 'static>(start: fn() -> Result<S>, tests: Vec<Test<S>>) -> ExitCode {
    run_on(1, start, tests)
}

/// Runs so many tests at a time, each on one of what they share that is its own meanwhile: for tests that wait more than
/// they work, and that need nothing of what another did.
pub fn run_on<S: Send + 'static>(
    at_a_time: usize,
    start: fn() -> Result<S>,
    tests: Vec<Test<S>>,
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(at_a_time);
    let shared = Arc::new(Mutex::new(Vec::new()));
    let trials = tests
        .into_iter()
        .map(|test| {
            let shared = Arc::clone(&shared);
            Trial::test(test.name, move || run_one(&shared, start, test.run))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(take_all(&shared));
    conclusion.exit_code()
}

fn take_all<S>(shared: &Mutex<Vec<S>>) -> Vec<S> {
    std::mem::take(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner))
}

fn run_one<S>(
    idle: &Mutex<Vec<S>>,
    start: fn() -> Result<S>,
    test: impl FnOnce(&mut S) -> Result<()>,
) -> Result<(), Failed> {
    let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut shared = match free {
        Some(shared) => shared,
        None => start().map_err(|error| failed(&error))?,
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| test(&mut shared)));
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(shared);
    match outcome {
        Ok(outcome) => outcome.map_err(|error| failed(&error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(text.unwrap_or_else(|| "a panic without a text".to_owned()).into())
        }
    }
}

fn failed(error: &anyhow::Error) -> Failed {
    format!("{error:#}").into()
}
