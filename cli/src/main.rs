//! `egressctl`, the binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    egressctl::run()
}
