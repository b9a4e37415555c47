//! Kills a receiver in the middle of a file and starts it again with the same command: at full speed, and behind a slow
//! uplink.

use std::{fs, path::Path, time::Instant};

use crate::{
    scenario::{Scenario, UNLIMITED},
    support::{
        Result,
        files::{BenchFolder, Payload, check_content},
    },
};

const MIB: u64 = 1024 * 1024;

/// The file of one table, and the rate limits under which it is sent.
struct Case {
    name: &'static str,
    size: u64,
    /// The rate limit of the sender.
    uplink: &'static str,
    /// The rate limit of the receiver that is killed.
    downlink: &'static str,
}

const CASES: [Case; 2] = [
    Case { name: "1 GiB over loopback", size: 1024 * MIB, uplink: UNLIMITED, downlink: "300MB" },
    Case { name: "24 MiB, the sender is limited to 8 Mbit/s", size: 24 * MIB, uplink: "1MB", downlink: UNLIMITED },
];

pub(super) fn run(folder: &BenchFolder) -> Result<()> {
    CASES.iter().try_for_each(|case| case.run(folder))
}

impl Case {
    fn run(&self, folder: &BenchFolder) -> Result<()> {
        let home = folder.path().join(self.uplink);
        fs::create_dir(&home)?;
        let source = Payload::File(self.size).create(home.join("one-file"))?;
        let scenario = Scenario::start(&home, &source, self.uplink)?;
        println!("{}; “sent again” without the bytes that were in flight", self.name);
        println!(
            "{:>12}  {:>12}  {:>12}  {:>14}  {:>14}",
            "killed at", "staged", "sent again", "data flows", "complete"
        );
        for (n, percent) in [30, 50, 70, 90].into_iter().enumerate() {
            self.kill_and_resume(&scenario, n, percent, &home, &source)?;
        }
        println!();
        fs::remove_file(source)?;
        Ok(())
    }

    /// Kills receiver `n` once it has received `percent` of the file, starts it again, and prints a row.
    fn kill_and_resume(&self, scenario: &Scenario, n: usize, percent: u64, home: &Path, source: &Path) -> Result<()> {
        let target = home.join(format!("killed-{percent}"));
        fs::create_dir(&target)?;
        let killed = scenario.start_receiver(n, &target, self.downlink)?;
        while killed.wait_for_event("progress")?.1["bytes"].as_u64() < Some(self.size / 100 * percent) {}
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
        check_content(source, &target.join("one-file"))?;
        fs::remove_dir_all(&target)?;
        println!(
            "{percent:>10} %  {:>8} MiB  {:>8.2} MiB  {:>10.2} s  {:>12.2} s",
            staged / MIB,
            staged.saturating_sub(resumed) as f64 / MIB as f64,
            first_data.as_secs_f64(),
            complete.as_secs_f64()
        );
        Ok(())
    }
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
