//! Files that change while they are sent. The receiver is held in the middle, so that the change is in the middle too.

use std::{
    fs::{self, File},
    path::Path,
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::support::{BIG, FileTree, TestEnv, assert_only_staged, write_sparse_file};

/// Shares `box/big` and `box/later`, changes `name` in the middle of `big`, and checks that the receiver fails, naming
/// it, and that the next one gets what is there now.
#[track_caller]
fn fails_and_recovers(name: &str, change: impl FnOnce(&Path), says: &str) {
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

    let told = receiver.end().expect_error(1, "transfer", says);
    assert!(told.contains(&format!("“box/{name}”")), "{told}");
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
fn a_file_that_becomes_shorter() {
    fails_and_recovers(
        "big",
        |big| File::options().write(true).open(big).unwrap().set_len(1_000).unwrap(),
        "truncated",
    );
}

#[test]
fn a_file_that_grows() {
    let grow = |big: &Path| File::options().write(true).open(big).unwrap().set_len(BIG + 1).unwrap();
    fails_and_recovers("big", grow, "changed");
}

#[test]
fn a_file_that_is_deleted_while_it_is_read() {
    let delete_and_make_anew = |big: &Path| {
        fs::remove_file(big).unwrap();
        fs::write(big, "another").unwrap();
    };
    fails_and_recovers("big", delete_and_make_anew, "changed");
}

#[test]
fn a_file_that_is_deleted_before_its_turn() {
    fails_and_recovers("later", |later| fs::remove_file(later).unwrap(), "no longer exists");
}

#[test]
fn a_file_that_is_written_before_its_turn() {
    fails_and_recovers("later", |later| fs::write(later, "CONTENT").unwrap(), "has changed");
}

#[test]
fn a_file_that_is_replaced_before_its_turn() {
    let replace = |later: &Path| {
        let other = later.with_file_name("..other");
        fs::write(&other, "content").unwrap();
        fs::rename(other, later).unwrap();
    };
    fails_and_recovers("later", replace, "has changed");
}

#[test]
fn a_file_that_becomes_a_pipe() {
    let replace = |later: &Path| {
        fs::remove_file(later).unwrap();
        mknodat(CWD, later, FileType::Fifo, Mode::RWXU, 0).unwrap();
    };
    fails_and_recovers("later", replace, "not a file");
}

#[test]
fn a_file_that_becomes_a_link_out_of_the_share() {
    let replace = |later: &Path| {
        fs::remove_file(later).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", later).unwrap();
    };
    fails_and_recovers("later", replace, "");
}

#[test]
fn a_new_download_gets_the_present_state() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "one");
    let sender = env.send(&[&file]).via(&relay).share();
    env.recv(sender.code(), &env.path("in1")).via(&relay).run().expect(0);
    assert_eq!(fs::read_to_string(env.path("in1/file")).unwrap(), "one");
    fs::write(&file, "two").unwrap();
    let into = env.path("in2");
    let recv = || env.recv(sender.code(), &into).via(&relay).run();
    // A change within seconds of the last scan is noticed when the file is opened.
    let second = recv();
    if second.code != Some(0) {
        second.expect_error(1, "transfer", "“file” has changed since it was shared");
        recv().expect(0);
    }
    assert_eq!(fs::read_to_string(into.join("file")).unwrap(), "two");
}

/// However short ago it was shared.
#[test]
fn the_next_receiver_gets_what_is_there() {
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

/// Neither the path that was named nor what is told of it leads to anything else.
#[test]
fn a_path_that_becomes_a_link_is_not_followed() {
    let env = TestEnv::new();
    let relay = env.relay();
    let shared = env.file("shared", "content");
    env.file("victim", "secret");
    let mut sender = env.send(&[&shared]).via(&relay).share();
    fs::remove_file(&shared).unwrap();
    std::os::unix::fs::symlink("victim", &shared).unwrap();
    let refused = env.recv(sender.code(), &env.path("in")).via(&relay).run();
    let told = refused.expect_error(1, "transfer", "cannot continue");
    assert!(!told.contains(shared.to_str().unwrap()), "no path of the sender is told: {told}");
    let warning = sender.process.wait_for("warning");
    assert!(warning["message"].as_str().unwrap().contains("was replaced by a symbolic link"), "{warning}");
    fs::remove_file(&shared).unwrap();
    fs::write(&shared, "back").unwrap();
    env.recv(sender.code(), &env.path("in")).via(&relay).run().expect(0);
}
