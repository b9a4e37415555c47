//! The `qshare` program. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(qshare::run_command_line())
}
