//! The `qshare` program: see the library for all of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(qshare::cli::run())
}
