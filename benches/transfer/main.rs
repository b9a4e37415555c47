//! Whole transfers over loopback between real processes: a relay, a sender and its receivers, and beside them a bare
//! QUIC stream as a yardstick.
//!
//! `cargo bench --bench transfer [-- WORD…]` runs the cases whose names hold one of the words. `QSHARE_BENCH_ROUNDS`
//! (default 3) says how often; the cases of a round follow one another, so that a noisy minute touches them all.
//! `QSHARE_BENCH_DIR` says where files are read and written (default: memory, where there is room, so that no disk is
//! in the figures). Everything is removed at the end.
//!
//! # Where the time goes
//!
//! One file of 1 GB on two cores, sampled with `perf record -F 1999 -g` in each process (a build with
//! `CARGO_PROFILE_RELEASE_DEBUG=1`), page faults with `-e page-faults`:
//!
//! - Sender: 15 % AES (twice: the record, then QUIC's packet), 14 % BLAKE3, the rest the kernel (copies to and from
//!   user space, the UDP stack, switches between threads) and quinn. Before buffers were used again, 13 % went into
//!   pages that the kernel cleared for new records and into zeros that were written before each read.
//! - Relay: 17 % AES, 13 % copies (quinn's of each batch of packets, ours into long blocks, quinn's into packets), the
//!   kernel as above. Forwarding the pieces of packets without the copy into blocks was slower: quinn looks through all
//!   pieces that are not acknowledged for every packet it makes.
//! - Receiver: 12 % BLAKE3, 11 % AES, 10 % the copy into the file. Four fifths of its page faults were new record
//!   buffers. On the main thread of a runtime with workers it was a tenth dearer, for the switches.
//! - Fifty receivers: with quinn's fair streams, each of them got one packet in turn, and every process woke for every
//!   packet: 3.9 s of CPU per GiB in the receivers and 2.0 in the relay, 3.0 and 1.6 with turns of whole records.
//! - What made no difference: another allocator beyond the buffers (and 70 MiB instead of 30), acknowledging every tenth
//!   packet, four records for each blocking call, reading eight records ahead.
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
