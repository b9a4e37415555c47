//! A receiver that is killed in the middle of 1 GiB, and started again with the same command.

use std::{fs, path::Path, time::Instant};

use super::{
    Result, Scene,
    data::{Folder, Load, check_content},
};

const MIB: u64 = 1024 * 1024;
const SIZE: u64 = 1024 * MIB;

/// Fast enough not to matter where nothing is to be caught.
const UNLIMITED: &str = "100GB";

pub(super) fn run(folder: &Folder) -> Result<()> {
    let source = Load::File(SIZE).make(folder.path().join("one-file"))?;
    let scene = Scene::start(folder.path(), &source)?;
    println!("{:>12}  {:>12}  {:>12}  {:>14}  {:>14}", "killed at", "was here", "moved again", "bytes flow", "whole");
    for (n, percent) in [30, 50, 70, 90].into_iter().enumerate() {
        let target = folder.path().join(format!("killed-{percent}"));
        fs::create_dir(&target)?;
        let killed = scene.receive(n, &target, "300MB")?;
        while killed.event("progress")?.1["bytes"].as_u64() < Some(SIZE / 100 * percent) {}
        killed.stop()?;
        let there = part_of(&target)?;
        let began = Instant::now();
        let again = scene.receive(n, &target, UNLIMITED)?;
        let resumed = again.event("offer")?.1["resumed_bytes"].as_u64().ok_or("nothing is resumed")?;
        let flows = loop {
            let (at, progress) = again.event("progress")?;
            if progress["bytes"].as_u64() > Some(resumed) {
                break at - began;
            }
        };
        let whole = again.event("finished")?.0 - began;
        again.finish()?;
        check_content(&source, &target.join("one-file"))?;
        fs::remove_dir_all(&target)?;
        println!(
            "{percent:>10} %  {:>8} MiB  {:>8.1} MiB  {:>10.2} s  {:>12.2} s",
            there / MIB,
            there.saturating_sub(resumed) as f64 / MIB as f64,
            flows.as_secs_f64(),
            whole.as_secs_f64()
        );
    }
    println!();
    Ok(())
}

/// Bytes of the file that were written before the end.
fn part_of(target: &Path) -> Result<u64> {
    for entry in fs::read_dir(target)? {
        let part = entry?.path().join("files/one-file");
        if part.exists() {
            return Ok(fs::metadata(part)?.len());
        }
    }
    Err("the receiver left nothing".into())
}
