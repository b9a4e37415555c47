//! Files that change while they are sent. The receiver is paused during the change.

use std::{
    fs::{self, File},
    path::Path,
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::support::{BIG, FileTree, TestEnv, assert_only_staged, write_sparse_file};

/// Shares `box/big` and `box/later`, and changes `box/NAME` while `big` is sent. Checks that the receiver fails with a
/// message that names the file and contains `reason`, and that the next receiver gets the present state.
#[track_caller]
fn assert_fails_and_recovers(name: &str, change: impl FnOnce(&Path), reason: &str) {
    let env = TestEnv::new();
    let folder = env.folder("box");
    write_sparse_file(&folder.join("big"), BIG);
    env.file("box/later", "content");
    let relay = env.relay();
    let mut sender = env.send(&[&folder]).via(&relay).share();
    let into = env.path("in");
    let receiver = env.recv_and_pause(&mut sender, &relay, &into);
    change(&folder.join(name));
    receiver.signal(Signal::CONT);

    let message = receiver.end().expect_error(1, "transfer", reason);
    assert!(message.contains(&format!("“box/{name}”")), "{message}");
    assert_only_staged(&into, name);
    let failed = sender.process.wait_for("download_failed");
    assert_eq!(failed["kind"], "transfer");
    assert!(failed["error"].as_str().unwrap().contains(name), "{failed}");

    fs::remove_file(folder.join("big")).unwrap();
    env.recv(sender.code(), &into).via(&relay).run().expect(0);
    let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    let (now, arrived) = (FileTree::of(&folder), FileTree::of(&into.join("box")));
    let left_out = fs::symlink_metadata(folder.join("later")).is_ok() && !is_file(&folder.join("later"));
    assert_eq!(arrived, if left_out { now.without("later") } else { now });
}

#[test]
fn a_file_truncated_while_it_is_sent_fails_the_download() {
    assert_fails_and_recovers(
        "big",
        |big| File::options().write(true).open(big).unwrap().set_len(1_000).unwrap(),
        "truncated",
    );
}

#[test]
fn a_file_that_grows_while_it_is_sent_fails_the_download() {
    let grow = |big: &Path| File::options().write(true).open(big).unwrap().set_len(BIG + 1).unwrap();
    assert_fails_and_recovers("big", grow, "changed");
}

#[test]
fn a_file_recreated_while_it_is_sent_fails_the_download() {
    let recreate = |big: &Path| {
        fs::remove_file(big).unwrap();
        fs::write(big, "another").unwrap();
    };
    assert_fails_and_recovers("big", recreate, "changed");
}

#[test]
fn a_file_deleted_before_it_is_sent_fails_the_download() {
    assert_fails_and_recovers("later", |later| fs::remove_file(later).unwrap(), "no longer exists");
}

#[test]
fn a_file_written_before_it_is_sent_fails_the_download() {
    assert_fails_and_recovers("later", |later| fs::write(later, "CONTENT").unwrap(), "has changed");
}

#[test]
fn a_file_replaced_before_it_is_sent_fails_the_download() {
    let replace = |later: &Path| {
        let other = later.with_file_name("..other");
        fs::write(&other, "content").unwrap();
        fs::rename(other, later).unwrap();
    };
    assert_fails_and_recovers("later", replace, "has changed");
}

#[test]
fn a_file_replaced_by_a_pipe_fails_the_download() {
    let replace = |later: &Path| {
        fs::remove_file(later).unwrap();
        mknodat(CWD, later, FileType::Fifo, Mode::RWXU, 0).unwrap();
    };
    assert_fails_and_recovers("later", replace, "not a file");
}

#[test]
fn a_file_replaced_by_a_link_out_of_the_share_fails_the_download() {
    let replace = |later: &Path| {
        fs::remove_file(later).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", later).unwrap();
    };
    assert_fails_and_recovers("later", replace, "can no longer be read");
}

#[test]
fn the_next_download_gets_the_present_state() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "one");
    let sender = env.send(&[&file]).via(&relay).share();
    env.recv(sender.code(), &env.path("in1")).via(&relay).run().expect(0);
    assert_eq!(fs::read_to_string(env.path("in1/file")).unwrap(), "one");
    fs::write(&file, "two").unwrap();
    let into = env.path("in2");
    env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(fs::read_to_string(into.join("file")).unwrap(), "two");
}

#[test]
fn the_next_download_gets_a_change_made_just_before_it() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "0");
    let sender = env.send(&[&file]).via(&relay).share();
    for n in 1..=5 {
        fs::write(&file, format!("{n}").repeat(n)).unwrap();
        let into = env.path(&format!("in{n}"));
        env.recv(sender.code(), &into).via(&relay).run().expect(0);
        assert_eq!(fs::read_to_string(into.join("file")).unwrap(), format!("{n}").repeat(n));
    }
}

/// The sender does not follow the link, and its own path is not revealed.
#[test]
fn a_shared_path_replaced_by_a_link_is_not_followed() {
    let env = TestEnv::new();
    let relay = env.relay();
    let shared = env.file("shared", "content");
    env.file("victim", "secret");
    let mut sender = env.send(&[&shared]).via(&relay).share();
    fs::remove_file(&shared).unwrap();
    std::os::unix::fs::symlink("victim", &shared).unwrap();
    let refused = env.recv(sender.code(), &env.path("in")).via(&relay).run();
    let message = refused.expect_error(1, "transfer", "cannot continue");
    assert!(!message.contains(shared.to_str().unwrap()), "the message reveals the sender's path: {message}");
    let warning = sender.process.wait_for("warning");
    assert!(warning["message"].as_str().unwrap().contains("was replaced by a symbolic link"), "{warning}");
    fs::remove_file(&shared).unwrap();
    fs::write(&shared, "back").unwrap();
    env.recv(sender.code(), &env.path("in")).via(&relay).run().expect(0);
}
