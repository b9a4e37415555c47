//! `send --compress`: compressed content arrives unchanged, and in fewer bytes.

use std::{fs, slice::from_ref, time::Duration};

use qshare::internals::{
    relay::RelayConfig,
    transfer::{CompressionMode, ShareSettings},
};
use rustix::process::Signal;

use crate::{
    support::{FileTree, TestEnv, log_lines, write_random_file, write_sparse_file},
    vnet::{CompletedDownload, LinkConfig, Scenario, mbit, run_in_virtual_time},
};

const MIB: u64 = 1024 * 1024;

#[test]
fn content_of_all_kinds_arrives_unchanged() {
    let env = TestEnv::new();
    let relay = env.relay();
    let folder = env.folder("all");
    env.file("all/empty", "");
    env.file("all/tiny", "x");
    env.file("all/logs", log_lines(2_000_000));
    write_random_file(&env.path("all/random"), 3 * MIB + 7);
    write_sparse_file(&env.path("all/zeros"), 40 * MIB + 1);
    let random = fs::read(env.path("all/random")).unwrap();
    env.file("all/mixed", [&random[..300_000], &log_lines(500_000), &[0; 200_000], &random[300_000..]].concat());
    for n in 0..100 {
        env.file(&format!("all/small/{n}.txt"), log_lines(n * 50));
    }
    for mode in ["always", "never", "auto"] {
        let mut sender = env.send(&[&folder]).via(&relay).args(&["--compress", mode]).share();
        let size = &sender.sharing["bytes"];
        let into = env.path(mode);
        let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
        assert_eq!(FileTree::of(&into.join("all")), FileTree::of(&folder), "{mode}");
        assert_eq!(&received.event("finished")["bytes"], size, "{mode}");
        assert_eq!(&sender.process.wait_for("download_finished")["bytes"], size, "{mode}");
    }
}

#[test]
fn a_killed_receiver_resumes_a_compressed_download() {
    const GROUP: u64 = MIB;
    let env = TestEnv::new();
    let relay = env.relay();
    let logs = env.file("logs", log_lines(12_000_000));
    let sender = env.send(&[&logs]).via(&relay).args(&["--compress", "always", "--limit-up", "1MB"]).share();
    let into = env.path("in");
    let mut receiver = env.recv(sender.code(), &into).via(&relay).start();
    while receiver.wait_for("progress")["bytes"].as_u64().unwrap() < 3 * GROUP {}
    receiver.signal(Signal::KILL);
    receiver.end();
    let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert!(received.event("offer")["resumed_bytes"].as_u64().unwrap() >= 2 * GROUP);
    assert_eq!(FileTree::of(&into.join("logs")), FileTree::of(&logs));
}

/// Downloads logs over 20 Mbit/s. Returns the download and the bytes that the sender has sent.
fn download_logs(mode: CompressionMode) -> (CompletedDownload, u64) {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let logs = scenario.scratch.path("logs");
        fs::write(&logs, log_lines(10_000_000)).unwrap();
        let up = network.path(&LinkConfig::new(mbit(20), Duration::from_millis(20)));
        let down = network.path(&LinkConfig::new(mbit(1_000), Duration::from_millis(1)));
        let settings = ShareSettings { compression: mode, ..ShareSettings::default() };
        let share = scenario.share_with_settings(&up, from_ref(&logs), settings).await.unwrap();
        let download = scenario.download(&down, &share.code).await.unwrap();
        assert!(download.contains_copy_of(&logs));
        let sent = up.forward[0].counters().offered.bytes;
        share.stop().await.unwrap();
        scenario.stop().await;
        println!("{mode:?}: {:?}, {sent} bytes", download.duration);
        (download, sent)
    })
}

#[test]
fn logs_over_a_slow_connection_take_less_than_half_of_the_time() {
    let (never, all) = download_logs(CompressionMode::Never);
    assert!(all > 10_000_000);
    for mode in [CompressionMode::Auto, CompressionMode::Always] {
        let (compressed, sent) = download_logs(mode);
        assert!(compressed.duration * 2 < never.duration, "{mode:?}: {:?}", compressed.duration);
        assert!(sent * 2 < all, "{mode:?}: {sent} bytes");
    }
}
