//! Kills a relay with many running downloads and restarts it one second later.

use std::{
    env, fs, thread,
    time::{Duration, Instant},
};

use crate::{
    scenario::{Scenario, UNLIMITED, start_relay},
    support::{
        Result,
        files::{BenchFolder, Payload, check_content},
    },
};

const SIZE: u64 = 5_000_000;

pub(super) fn run(folder: &BenchFolder) -> Result<()> {
    let count = match env::var("QSHARE_BENCH_RECEIVERS") {
        Ok(text) => text.parse::<usize>().map_err(|_| "QSHARE_BENCH_RECEIVERS is not a number")?,
        Err(_) => 200,
    };
    let source = Payload::File(SIZE).create(folder.path().join("small-file"))?;
    let scenario = Scenario::start(folder.path(), &source, UNLIMITED)?;
    let targets: Vec<_> = (0..count).map(|n| folder.path().join(format!("relay-{n}"))).collect();
    let mut receivers = Vec::new();
    for (n, target) in targets.iter().enumerate() {
        fs::create_dir(target)?;
        receivers.push(scenario.start_receiver(n, target, "200kB")?);
    }
    for receiver in &receivers {
        receiver.wait_for_event("progress")?; // all downloads are running
    }
    scenario.relay.kill()?;
    let killed = Instant::now();
    thread::sleep(Duration::from_secs(1));
    let (_relay, ..) = start_relay(folder.path(), &scenario.relay_addr)?;
    let restarted = Instant::now();
    let mut last = restarted;
    for receiver in &receivers {
        last = last.max(receiver.wait_for_event("reconnected")?.0);
    }
    for (receiver, target) in receivers.into_iter().zip(&targets) {
        receiver.wait_for_event("finished")?;
        receiver.wait_for_success()?;
        check_content(&source, &target.join("small-file"))?;
    }
    scenario.sender.kill()?;
    println!(
        "{count} downloads: the last one reconnected {:.1} s after the relay was killed, {:.1} s after it was \
         restarted; all files are intact",
        (last - killed).as_secs_f64(),
        last.saturating_duration_since(restarted).as_secs_f64()
    );
    Ok(())
}
