//! Measures whole transfers over loopback with real processes: a relay, a sender and its receivers, and for comparison
//! a bare QUIC stream.
//!
//! `cargo bench --bench transfer [-- WORD…]` runs the cases whose names contain one of the words. `QSHARE_BENCH_ROUNDS`
//! (default 3) is the number of rounds; each round runs every case once, so that a noisy minute affects all of them.
//! `QSHARE_BENCH_DIR` is the folder in which files are read and written (default: in memory if enough is available, so
//! that no disk is measured). `QSHARE_BENCH_BINARY` is the path of another build, to compare two of them. All files are
//! removed at the end.
//!
//! # Where the time goes
//!
//! One file of 1 GB on two cores, sampled with `perf record -F 1999 -g` in each process (a build with
//! `CARGO_PROFILE_RELEASE_DEBUG=1`), page faults with `-e page-faults`:
//!
//! - Sender: 15 % AES (twice: the record, then QUIC's packet), 14 % BLAKE3, the rest the kernel (copies to and from
//!   user space, the UDP stack, thread switches) and quinn. Before buffers were pooled, 13 % went into pages that the
//!   kernel cleared for new records and into zeros that were written before each read.
//! - Relay: 17 % AES, 13 % copies (quinn copies each batch of packets, the relay copies into long blocks, quinn copies
//!   into packets), the kernel as above. Forwarding the chunks of packets without the copy into blocks was slower:
//!   quinn scans all unacknowledged chunks for every packet that it builds.
//! - Receiver: 12 % BLAKE3, 11 % AES, 10 % the copy into the file. Four fifths of its page faults were new record
//!   buffers. On the main thread of a multi-threaded runtime it used a tenth more CPU, because of thread switches.
//! - Fifty receivers: with quinn's fair streams, each stream sent one packet in turn, and every process woke for every
//!   packet: 3.9 s of CPU per GiB in the receivers and 2.0 in the relay. When each stream sends a whole record in turn,
//!   it is 3.0 and 1.6.
//! - What made no difference: another allocator in addition to the pooled buffers (it took 70 MiB instead of 30),
//!   acknowledging every tenth packet, four records for each blocking call, reading eight records ahead.

#[path = "../support/mod.rs"]
mod support;

mod bare_stream;
mod case;
mod measurement;
mod sharing;
mod table;

use std::{env, process::ExitCode, thread};

use self::{
    case::{CASES, Case},
    support::{Result, command_line, files::BenchFolder, machine},
};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match bare_stream::End::parse(&args) {
        Some(end) => command_line::exit_code(end.run()),
        None => command_line::run_benchmark(measure),
    }
}

fn measure(words: &[String]) -> Result<()> {
    let is_chosen = |case: &&Case| words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str()));
    let cases: Vec<&Case> = CASES.iter().filter(is_chosen).collect();
    if cases.is_empty() {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        return Err(format!("no such case; choose from {}", names.join(", ")).into());
    }
    let rounds = match env::var("QSHARE_BENCH_ROUNDS") {
        Ok(text) => text.parse::<usize>().ok().filter(|n| *n > 0).ok_or("QSHARE_BENCH_ROUNDS is not a number")?,
        Err(_) => 3,
    };
    let folder = BenchFolder::create()?;
    remove_when_interrupted(&folder);
    println!("machine   {}", machine::describe());
    println!("files in  {}", folder.describe());
    println!("rounds    {rounds}\n");

    let mut measurements = vec![Vec::new(); cases.len()];
    for round in 0..rounds {
        for (case, measurements) in cases.iter().zip(&mut measurements) {
            let measurement = case.run(&folder, round).map_err(|e| format!("{}: {e}", case.name))?;
            measurements.push(measurement);
        }
    }
    table::print(cases.iter().copied().zip(&measurements));
    Ok(())
}

/// Removes the files on Ctrl-C: files in memory must not outlive the benchmark.
fn remove_when_interrupted(folder: &BenchFolder) {
    let path = folder.path().to_owned();
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _ = std::fs::remove_dir_all(&path); // on failure the system removes temporary files later
            std::process::exit(130);
        }
    });
}
