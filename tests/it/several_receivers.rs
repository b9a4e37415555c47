//! Several receivers of one sender, and where a share ends.

use std::{collections::HashSet, fs};

use rustix::process::Signal;

use crate::support::{BIG, FileTree, Process, TestEnv, write_random_file, write_sparse_file};

#[test]
fn twenty_receivers_at_once_get_the_same() {
    const RECEIVERS: usize = 20;
    let env = TestEnv::new();
    let relay = env.relay();
    write_random_file(&env.folder("share").join("noise"), 4 * 1024 * 1024);
    env.file("share/small", "content");
    let mut sender = env.send(&[&env.path("share")]).via(&relay).share();
    let into = |n: usize| env.path(&format!("in{n}"));
    let receivers: Vec<_> = (0..RECEIVERS).map(|n| env.recv(sender.code(), &into(n)).via(&relay).start()).collect();
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
}

/// The UDP sockets that a process has open.
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
fn one_after_another_each_gets_it() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let sender = env.send(&[&file]).via(&relay).share();
    for n in 0..7 {
        let into = env.path(&format!("in{n}"));
        env.recv(sender.code(), &into).via(&relay).run().expect(0);
        assert_eq!(FileTree::of(&into.join("file")), FileTree::of(&file));
    }
    let sent = sender.stop();
    assert_eq!(sent.all("download_finished").len(), 7, "{sent}");
    assert_eq!(sent.event("stopped")["reason"], "interrupted");
}

#[test]
fn a_share_ends_after_so_many_downloads() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).args(&["--max-downloads", "2"]).share();
    let code = sender.code().to_owned();
    for n in 0..2 {
        env.recv(&code, &env.path(&format!("in{n}"))).via(&relay).run().expect(0);
    }
    let sent = sender.process.end().expect(0);
    assert_eq!(sent.event("stopped")["reason"], "max_downloads");
    let late = env.recv(&code, &env.path("late")).via(&relay).run();
    late.expect_error(3, "not_found", "no such code");
}

#[test]
fn only_a_download_that_is_done_counts() {
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
fn who_comes_while_the_only_place_is_taken_is_refused() {
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
fn a_download_that_runs_when_the_time_is_up_may_finish() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.path("big");
    write_sparse_file(&file, BIG);
    let mut sender = env.send(&[&file]).via(&relay).args(&["--expire", "4s"]).share();
    assert!(sender.sharing["expires"].is_u64());
    let first = env.recv_and_pause(&mut sender, &relay, &env.path("first"));
    let looks = || env.recv(sender.code(), &env.path("look")).via(&relay).arg("--list").run().code;
    let mut looked = looks();
    while matches!(looked, Some(0 | 5)) {
        // Whoever is in the middle of the handshake when the time is up is cut.
        looked = looks();
    }
    assert_eq!(looked, Some(3));
    assert!(sender.process.is_running());
    first.signal(Signal::CONT);
    first.end().expect(0);
    let sent = sender.process.end().expect(0);
    assert_eq!(sent.event("stopped")["reason"], "expired");
}
