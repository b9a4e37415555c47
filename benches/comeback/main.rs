//! What it costs to come back, with real processes over loopback: receivers that are killed in the middle of a large file
//! and started again, and a relay that is killed under many running downloads.
//!
//! `cargo bench --bench comeback [-- receiver|relay …]` prints both. `QSHARE_BENCH_RECEIVERS` (default 200) is how many
//! downloads run when the relay is killed. Files are in memory, where there is room.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table for people")]

#[path = "../transfer/data.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod data;
#[path = "../transfer/machine.rs"]
mod machine;
#[path = "../transfer/process.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod process;

mod receiver;
mod relay;

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use self::{
    data::Folder,
    process::{Process, qshare},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        println!("nothing is measured without cargo bench"); // this is how `cargo test` calls a benchmark
        return ExitCode::SUCCESS;
    }
    let wanted = |name| words.iter().all(|word| word.starts_with('-') || word == name);
    let measure = || -> Result<()> {
        let folder = Folder::make()?;
        println!("machine   {}", machine::describe());
        println!("files in  {}\n", folder.describe());
        if wanted("receiver") {
            receiver::run(&folder)?;
        }
        if wanted("relay") {
            relay::run(&folder)?;
        }
        Ok(())
    };
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// A relay, and a sender that shares one path through it.
struct Scene {
    home: PathBuf,
    relay: Process,
    sender: Process,
    /// Where the relay listens.
    addr: String,
    link: String,
}

impl Scene {
    fn start(home: &Path, source: &Path) -> Result<Self> {
        let (relay, addr, pin) = start_relay(home, "127.0.0.1:0")?;
        let mut command = qshare(home, "sender");
        let spec = format!("{addr}#{pin}");
        let sender = Process::start("sender", command.args(["send", "--relay", &spec]).arg(source))?;
        let (_, sharing) = sender.event("sharing")?;
        let link = sharing["link"].as_str().ok_or("the sender shows no link")?.to_owned();
        Ok(Self { home: home.to_owned(), relay, sender, addr, link })
    }

    /// A receiver with a home of its own, which takes so much a second.
    fn receive(&self, number: usize, target: &Path, limit: &str) -> Result<Process> {
        let mut command = qshare(&self.home, &format!("receiver-{number}"));
        command.args(["recv", "--yes", "--limit-down", limit, "--out"]).arg(target).arg(&self.link);
        Process::start("receiver", &mut command)
    }
}

fn start_relay(home: &Path, listen: &str) -> Result<(Process, String, String)> {
    let relay = Process::start("relay", qshare(home, "relay").args(["relay", "--listen", listen]))?;
    let (_, listening) = relay.event("relay_listening")?;
    let text =
        |name: &str| listening[name].as_str().map(str::to_owned).ok_or("the relay does not say where it listens");
    let (addr, pin) = (text("addr")?, text("pin")?);
    Ok((relay, addr, pin))
}
