//! Measures whole transfers over lossy paths: the real relay, a real sender and a real receiver on a network in memory,
//! in virtual time, with qshare's congestion control, quinn's CUBIC and quinn's BBR.
//!
//! `cargo bench --bench lossy [-- grid|fairness|timeline|whole|satellite|emulated …]` prints the tables; `grid` also
//! draws `docs/lossy.svg`. With the same seed, `grid` and `fairness` compute the same figures on every machine, to
//! about a percent. `emulated` runs in real time: real processes on this machine, whose UDP packets pass a link
//! emulator.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails ends")]

#[path = "../support/mod.rs"]
mod support;
#[path = "../../tests/vnet/mod.rs"]
mod vnet;

mod chart;
mod fairness;
mod grid;
mod grid_cell;
mod parallel;
mod real_time;
mod satellite;
mod timeline;
mod transfer;
mod udp_emulator;
mod whole;

use std::process::ExitCode;

use self::support::{Result, command_line};

fn main() -> ExitCode {
    command_line::run_benchmark(measure)
}

fn measure(names: &[String]) -> Result<()> {
    for part in command_line::select(names, &["grid", "fairness", "timeline", "whole", "satellite", "emulated"])? {
        match part {
            "grid" => grid::run()?,
            "fairness" => fairness::run(),
            "timeline" => timeline::run(),
            "whole" => whole::run(),
            "satellite" => satellite::run(),
            _ => real_time::run()?,
        }
    }
    Ok(())
}
