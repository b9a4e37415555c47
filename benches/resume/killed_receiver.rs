//! Kills a receiver in the middle of a file of 1 GiB and starts it again with the same command.

use std::{fs, path::Path, time::Instant};

use crate::{
    scenario::Scenario,
    support::{
        Result,
        files::{BenchFolder, Payload, check_content},
    },
};

const MIB: u64 = 1024 * 1024;
const SIZE: u64 = 1024 * MIB;

/// A rate limit that loopback never reaches.
const UNLIMITED: &str = "100GB";

pub(super) fn run(folder: &BenchFolder) -> Result<()> {
    let source = Payload::File(SIZE).create(folder.path().join("one-file"))?;
    let scenario = Scenario::start(folder.path(), &source)?;
    println!("{:>12}  {:>12}  {:>12}  {:>14}  {:>14}", "killed at", "staged", "sent again", "data flows", "complete");
    for (n, percent) in [30, 50, 70, 90].into_iter().enumerate() {
        let target = folder.path().join(format!("killed-{percent}"));
        fs::create_dir(&target)?;
        let killed = scenario.start_receiver(n, &target, "300MB")?;
        while killed.wait_for_event("progress")?.1["bytes"].as_u64() < Some(SIZE / 100 * percent) {}
        killed.kill()?;
        let staged = staged_bytes(&target)?;
        let start = Instant::now();
        let receiver = scenario.start_receiver(n, &target, UNLIMITED)?;
        let offer = receiver.wait_for_event("offer")?.1;
        let resumed = offer["resumed_bytes"].as_u64().ok_or("nothing is resumed")?;
        let first_data = loop {
            let (at, progress) = receiver.wait_for_event("progress")?;
            if progress["bytes"].as_u64() > Some(resumed) {
                break at - start;
            }
        };
        let complete = receiver.wait_for_event("finished")?.0 - start;
        receiver.wait_for_success()?;
        check_content(&source, &target.join("one-file"))?;
        fs::remove_dir_all(&target)?;
        println!(
            "{percent:>10} %  {:>8} MiB  {:>8.1} MiB  {:>10.2} s  {:>12.2} s",
            staged / MIB,
            staged.saturating_sub(resumed) as f64 / MIB as f64,
            first_data.as_secs_f64(),
            complete.as_secs_f64()
        );
    }
    println!();
    Ok(())
}

/// Returns the number of bytes of the file that the killed receiver has staged.
fn staged_bytes(target: &Path) -> Result<u64> {
    for entry in fs::read_dir(target)? {
        let staged = entry?.path().join("files/one-file");
        if staged.exists() {
            return Ok(fs::metadata(staged)?.len());
        }
    }
    Err("the receiver has staged nothing".into())
}
