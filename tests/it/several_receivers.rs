//! Several receivers of one sender, and download limits.

use std::{
    collections::HashSet,
    fs, thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::process::Signal;

use crate::support::{BIG, FileTree, Process, TestEnv, write_random_file, write_sparse_file};

#[test]
fn twenty_receivers_at_once_get_identical_copies_over_one_socket() {
    TestEnv::with_each_relay(|env, relay| {
        const RECEIVERS: usize = 20;
        write_random_file(&env.folder("share").join("noise"), 4 * 1024 * 1024);
        env.file("share/small", "content");
        let mut sender = env.send(&[&env.path("share")]).via(relay).share();
        let into = |n: usize| env.path(&format!("in{n}"));
        let receivers: Vec<_> = (0..RECEIVERS).map(|n| env.recv(sender.code(), &into(n)).via(relay).start()).collect();
        for receiver in receivers {
            receiver.end().expect(0);
        }
        let sent = FileTree::of(&env.path("share"));
        for n in 0..RECEIVERS {
            assert_eq!(FileTree::of(&into(n).join("share")), sent);
        }
        for _ in 0..RECEIVERS {
            sender.process.wait_for("download_finished");
        }
        if cfg!(target_os = "linux") {
            assert_eq!(udp_sockets(&sender.process), 1);
        }
        let sent = sender.stop();
        assert!(sent.all("wrong_code").is_empty() && sent.all("download_failed").is_empty(), "{sent}");
        let numbers: HashSet<_> = sent.all("download_finished").iter().map(|e| e["download"].as_u64()).collect();
        assert_eq!(numbers.len(), RECEIVERS, "{sent}");
    });
}

/// Returns the number of UDP sockets that a process has open.
fn udp_sockets(process: &Process) -> usize {
    let table = |version| fs::read_to_string(format!("/proc/{}/net/{version}", process.id())).unwrap_or_default();
    let (v4, v6) = (table("udp"), table("udp6"));
    let inodes: HashSet<_> = v4.lines().chain(v6.lines()).filter_map(|line| line.split_whitespace().nth(9)).collect();
    let open = fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap();
    let links = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    links
        .filter(|link| {
            let inode = link.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
            inode.is_some_and(|inode| inodes.contains(inode))
        })
        .count()
}

#[test]
fn a_share_serves_one_receiver_after_another() {
    TestEnv::with_each_relay(|env, relay| {
        let file = env.file("file", "content");
        let sender = env.send(&[&file]).via(relay).share();
        for n in 0..7 {
            let into = env.path(&format!("in{n}"));
            env.recv(sender.code(), &into).via(relay).run().expect(0);
            assert_eq!(FileTree::of(&into.join("file")), FileTree::of(&file));
        }
        let sent = sender.stop();
        assert_eq!(sent.all("download_finished").len(), 7, "{sent}");
        assert_eq!(sent.event("stopped")["reason"], "interrupted");
    });
}

#[test]
fn a_share_ends_after_max_downloads() {
    TestEnv::with_each_relay(|env, relay| {
        let sender = env.send(&[&env.file("file", "content")]).via(relay).args(&["--max-downloads", "2"]).share();
        let code = sender.code().to_owned();
        for n in 0..2 {
            env.recv(&code, &env.path(&format!("in{n}"))).via(relay).run().expect(0);
        }
        let sent = sender.process.end().expect(0);
        assert_eq!(sent.event("stopped")["reason"], "max_downloads");
        let late = env.recv(&code, &env.path("late")).via(relay).run();
        late.expect_error(
            3,
            "not_found",
            if relay.is_some() { "no such code" } else { "no sender with this code was found on this machine" },
        );
    });
}

#[test]
fn listing_failing_and_declining_do_not_count_as_downloads() {
    let env = TestEnv::new();
    let relay = env.relay();
    let mut sender = env.send(&[&env.file("file", "content")]).via(&relay).arg("--once").share();
    let code = sender.code().to_owned();
    let listed = env.recv(&code, &env.path("list")).via(&relay).arg("--list").run().expect(0);
    assert_eq!(listed.event("entries")["entries"][0]["path"], "file");

    let taken = env.path("taken");
    env.file("taken/file", "mine");
    env.recv(&code, &taken).via(&relay).run().expect_error(6, "disk", "file");

    let (asked, mut keyboard) = env.recv_until_prompt(&code, &relay, &env.path("declined"));
    keyboard.line("n");
    asked.wait_for_message("declined");
    let declined = asked.end().expect(7);
    assert_eq!(declined.text(), "");

    assert!(sender.process.is_running());
    env.recv(&code, &env.path("in")).via(&relay).run().expect(0);
    assert_eq!(sender.process.wait_for("stopped")["reason"], "once");
    let sent = sender.process.end().expect(0);
    assert_eq!(sent.all("download_started").len(), 1, "{sent}");
}

#[test]
fn a_receiver_is_refused_while_another_one_holds_the_only_permit() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.path("big");
    write_sparse_file(&file, BIG);
    let mut sender = env.send(&[&file]).via(&relay).arg("--once").share();
    let first = env.recv_and_pause(&mut sender, &relay, &env.path("first"));
    let second = env.recv(sender.code(), &env.path("second")).via(&relay).run();
    second.expect_error(7, "refused", "download limit");
    first.signal(Signal::CONT);
    first.end().expect(0);
    let sent = sender.process.end().expect(0);
    assert_eq!(sent.event("stopped")["reason"], "once");
}

#[test]
fn a_running_download_may_finish_after_its_share_has_expired() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.path("big");
    write_sparse_file(&file, BIG);
    let mut sender = env.send(&[&file]).via(&relay).args(&["--expire", "4s"]).share();
    let expires = UNIX_EPOCH + Duration::from_secs(sender.sharing["expires"].as_u64().unwrap());
    let first = env.recv_and_pause(&mut sender, &relay, &env.path("first"));
    // No event announces that a share has expired while a download is running, so the test waits for the time itself.
    // The event gives it in whole seconds.
    let expired = expires + Duration::from_secs(1);
    thread::sleep(expired.duration_since(SystemTime::now()).unwrap_or_default());
    let other = TestEnv::new();
    let late = other.recv(sender.code(), &other.path("late")).via(&relay).arg("--list").run();
    late.expect_error(3, "not_found", "the sender is gone");
    assert!(sender.process.is_running());
    first.signal(Signal::CONT);
    first.end().expect(0);
    let sent = sender.process.end().expect(0);
    assert_eq!(sent.event("stopped")["reason"], "expired");
}
