//! Whole transfers over bad lines, in virtual time: the real relay, a real sender and a real receiver on a network in
//! memory, with our own congestion control, with quinn's CUBIC, and with quinn's BBR.
//!
//! `cargo bench --bench lossy [-- grid|fairness|emulated …]` prints the tables; `grid` also draws `docs/lossy.svg`. All
//! of it is computed: the same seed gives the same figures on every machine (to about a percent), and nothing but the
//! time that it takes depends on the machine. Only `emulated` runs in real time: real processes over a line emulator
//! between UDP sockets of this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, reason = "a table")]

#[path = "../../tests/vnet/mod.rs"]
mod vnet;

#[path = "../transfer/machine.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod machine;
#[path = "../transfer/process.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod process;

mod emulated;
mod fairness;
mod grid;
mod picture;

use std::{
    env,
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::Mutex,
    thread,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        println!("nothing is measured without cargo bench"); // this is how `cargo test` calls a benchmark
        return ExitCode::SUCCESS;
    }
    let named: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name| named.is_empty() || named.contains(&name);
    if let Some(unknown) = named.iter().find(|name| !["grid", "fairness", "emulated"].contains(name)) {
        eprintln!("error: there is no {unknown}; there are grid, fairness and emulated");
        return ExitCode::FAILURE;
    }
    let done = || -> Result<()> {
        if wanted("grid") {
            grid::run()?;
        }
        if wanted("fairness") {
            fairness::run();
        }
        if wanted("emulated") {
            emulated::run()?;
        }
        Ok(())
    };
    match done() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs jobs on all processors, and gives what came of them in their order; `None` for one that failed.
fn all<T: Send>(jobs: Vec<impl FnOnce() -> T + Send>) -> Vec<Option<T>> {
    let outcomes: Vec<Mutex<Option<T>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let jobs = Mutex::new(jobs.into_iter().enumerate());
    let work = || {
        loop {
            let next = jobs.lock().unwrap().next();
            let Some((number, job)) = next else { return };
            *outcomes[number].lock().unwrap() = catch_unwind(AssertUnwindSafe(job)).ok();
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(work);
        }
    });
    outcomes.into_iter().map(|outcome| outcome.into_inner().unwrap()).collect()
}
