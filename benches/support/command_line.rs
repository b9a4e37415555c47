//! The command line of a benchmark.

use std::{env, process::ExitCode};

use super::Result;

/// Runs `measure` with the words of the command line that are not flags.
///
/// `cargo bench` calls a benchmark with `--bench`. `cargo test` calls it without, and then nothing is measured.
pub(crate) fn run_benchmark(measure: impl FnOnce(&[String]) -> Result<()>) -> ExitCode {
    let (flags, names): (Vec<String>, Vec<String>) = env::args().skip(1).partition(|word| word.starts_with('-'));
    if !flags.iter().any(|flag| flag == "--bench") {
        println!("nothing is measured without cargo bench");
        return ExitCode::SUCCESS;
    }
    exit_code(measure(&names))
}

/// Prints the error, if there is one, and returns the exit code of the process.
pub(crate) fn exit_code(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the parts that `names` selects, in the order of `parts`, or all of them if `names` is empty.
pub(crate) fn select<'a>(names: &[String], parts: &[&'a str]) -> Result<Vec<&'a str>> {
    if let Some(unknown) = names.iter().find(|name| !parts.contains(&name.as_str())) {
        return Err(format!("there is no part `{unknown}`; choose from {}", parts.join(", ")).into());
    }
    Ok(parts.iter().copied().filter(|part| names.is_empty() || names.iter().any(|name| name == part)).collect())
}
