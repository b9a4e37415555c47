//! A relay that is killed under many running downloads, and started again a second later.

use std::{
    env, fs, thread,
    time::{Duration, Instant},
};

use super::{
    Result, Scene,
    data::{Folder, Load, check_content},
    start_relay,
};

const SIZE: u64 = 5_000_000;

pub(super) fn run(folder: &Folder) -> Result<()> {
    let count = match env::var("QSHARE_BENCH_RECEIVERS") {
        Ok(text) => text.parse::<usize>().map_err(|_| "QSHARE_BENCH_RECEIVERS is not a number")?,
        Err(_) => 200,
    };
    let source = Load::File(SIZE).make(folder.path().join("small-file"))?;
    let scene = Scene::start(folder.path(), &source)?;
    let targets: Vec<_> = (0..count).map(|n| folder.path().join(format!("relay-{n}"))).collect();
    let mut receivers = Vec::new();
    for (n, target) in targets.iter().enumerate() {
        fs::create_dir(target)?;
        receivers.push(scene.receive(n, target, "200kB")?);
    }
    for receiver in &receivers {
        receiver.event("progress")?; // every one of them runs
    }
    scene.relay.stop()?;
    let killed = Instant::now();
    thread::sleep(Duration::from_secs(1));
    let (_relay, ..) = start_relay(folder.path(), &scene.addr)?;
    let back = Instant::now();
    let mut last = back;
    for receiver in &receivers {
        last = last.max(receiver.event("reconnected")?.0);
    }
    for (receiver, target) in receivers.into_iter().zip(&targets) {
        receiver.event("finished")?;
        receiver.finish()?;
        check_content(&source, &target.join("small-file"))?;
    }
    scene.sender.stop()?;
    println!(
        "{count} downloads: the last one had its line again {:.1} s after the relay was killed, {:.1} s after it was back; \
         all are whole",
        (last - killed).as_secs_f64(),
        last.saturating_duration_since(back).as_secs_f64()
    );
    Ok(())
}
