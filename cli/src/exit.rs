//! How a command ends.

use crate::diagnostics::Diagnostic;
use std::process::ExitCode;

/// What a command comes to: an exit code, or why there is none to give.
pub(crate) type Outcome = Result<Exit, Vec<Diagnostic>>;

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is so: valid, allowed, passed, nothing flips.
    Ok,
    /// An error: bad usage, bad input, a failed case.
    Error,
    /// `explain`: denied. `diff`: some verdict flips.
    Negative,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Ok => Self::from(0),
            Exit::Error => Self::from(1),
            Exit::Negative => Self::from(2),
        }
    }
}
