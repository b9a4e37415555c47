//! The parts that all benchmarks share: command line, description of the machine, files to send, measured processes.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub(crate) mod command_line;
pub(crate) mod files;
#[path = "../../tests/it/support/log_lines.rs"]
mod log_lines;
pub(crate) mod machine;
pub(crate) mod process;

/// The result of a benchmark. Its error is printed and ends the program.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
