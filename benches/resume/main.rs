//! Measures how fast downloads resume after a process is killed, with real processes over loopback: receivers in the
//! middle of a file, and a relay with many running downloads.
//!
//! `cargo bench --bench resume [-- receiver|relay …]` prints both parts. `QSHARE_BENCH_RECEIVERS` (default 200) is the
//! number of downloads that run when the relay is killed. `QSHARE_BENCH_BINARY` is the path of another build, to
//! compare two of them. Files are in memory if enough is available.

#[path = "../support/mod.rs"]
mod support;

mod killed_receiver;
mod killed_relay;
mod scenario;

use std::process::ExitCode;

use self::support::{Result, command_line, files::BenchFolder, machine};

fn main() -> ExitCode {
    command_line::run_benchmark(measure)
}

fn measure(names: &[String]) -> Result<()> {
    let parts = command_line::select(names, &["receiver", "relay"])?;
    let folder = BenchFolder::create()?;
    println!("machine   {}", machine::describe());
    println!("files in  {}\n", folder.describe());
    for part in parts {
        match part {
            "receiver" => killed_receiver::run(&folder)?,
            _ => killed_relay::run(&folder)?,
        }
    }
    Ok(())
}
