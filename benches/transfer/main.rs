//! Whole transfers over loopback between real processes: a relay, a sender and its receivers, and beside them a bare
//! QUIC stream as a yardstick.
//!
//! `cargo bench --bench transfer [-- WORD…]` runs the cases whose names hold one of the words. `QSHARE_BENCH_ROUNDS`
//! (default 3) says how often; the cases of a round follow one another, so that a noisy minute touches them all.
//! `QSHARE_BENCH_DIR` says where files are read and written (default: memory, where there is room, so that no disk is
//! in the figures). Everything is removed at the end.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table for people")]

mod case;
mod data;
mod machine;
mod process;
mod table;
mod yardstick;

use std::{env, error::Error, process::ExitCode, thread};

use self::{
    case::{CASES, Case},
    data::Folder,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let done = match yardstick::End::parse(&words) {
        Some(end) => end.run(),
        None if words.iter().any(|word| word == "--bench") => measure(&words),
        // This is how `cargo test` calls a benchmark.
        None => {
            println!("nothing is measured without cargo bench");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[String]) -> Result<()> {
    let wanted: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let cases: Vec<&Case> =
        CASES.iter().filter(|c| wanted.is_empty() || wanted.iter().any(|w| c.name.contains(w.as_str()))).collect();
    if cases.is_empty() {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        return Err(format!("no such case; there are: {}", names.join(", ")).into());
    }
    let rounds = match env::var("QSHARE_BENCH_ROUNDS") {
        Ok(text) => text.parse::<usize>().ok().filter(|n| *n > 0).ok_or("QSHARE_BENCH_ROUNDS is not a number")?,
        Err(_) => 3,
    };
    let folder = Folder::make()?;
    clean_up_when_interrupted(&folder);
    println!("machine   {}", machine::describe());
    println!("files in  {}", folder.describe());
    println!("rounds    {rounds}\n");

    let mut outcomes = vec![Vec::new(); cases.len()];
    for round in 0..rounds {
        for (case, outcomes) in cases.iter().zip(&mut outcomes) {
            let outcome = case.run(&folder, round).map_err(|e| format!("{}: {e}", case.name))?;
            outcomes.push(outcome);
        }
    }
    table::print(cases.iter().copied().zip(&outcomes));
    Ok(())
}

/// Files in memory must not outlive an impatient user.
fn clean_up_when_interrupted(folder: &Folder) {
    let path = folder.path().to_owned();
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _ = std::fs::remove_dir_all(&path);
            std::process::exit(130);
        }
    });
}
