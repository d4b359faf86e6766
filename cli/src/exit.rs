//! How a command ends.

use std::process::ExitCode;

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
