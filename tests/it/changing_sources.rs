//! Files that change while they are sent. The receiver is paused during the change.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::support::{BIG, FileTree, TestEnv, entry_names, write_sparse_file};

/// Shares `box/big`, `box/later` and `box/other`, and changes `box/NAME` while `big` is sent. Checks that this file
/// fails alone with a message that contains `reason` at both ends, that the same command gets the rest afterwards, and
/// that the sender then exits with 0.
#[track_caller]
fn assert_fails_alone(name: &str, change: impl FnOnce(&Path), reason: &str) {
    let env = TestEnv::new();
    let folder = env.folder("box");
    write_sparse_file(&folder.join("big"), BIG);
    env.file("box/later", "content");
    env.file("box/other", "content");
    let relay = env.relay();
    let mut sender = env.send(&[&folder]).arg("--once").via(&relay).share();
    let into = env.path("in");
    let receiver = env.recv_and_pause(&mut sender, &relay, &into);
    change(&folder.join(name));
    receiver.signal(Signal::CONT);

    let ended = receiver.end();
    let message = ended.expect_error(1, "transfer", reason);
    assert!(message.contains(&format!("1 file did not arrive: “box/{name}”")), "{message}");
    assert!(message.contains("run the same command again"), "{message}");
    assert_eq!(ended.event("finished")["incomplete"], serde_json::json!([format!("box/{name}")]));
    let arrived = entry_names(&into.join("box"));
    let expected: Vec<_> = ["big", "later", "other"].into_iter().filter(|other| *other != name).collect();
    assert_eq!(arrived, expected);
    let failed = sender.process.wait_for("download_failed");
    assert_eq!(failed["kind"], "transfer");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains(&format!("“box/{name}” ")) && error.contains(reason), "{failed}");

    // The file of the first run changes, too.
    fs::write(folder.join("other"), "newer").unwrap();
    if name == "big" {
        fs::write(folder.join("big"), "small").unwrap();
    }
    let again = env.recv(sender.code(), &into).via(&relay).run().expect(0);
    let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    let (now, arrived) = (FileTree::of(&folder), FileTree::of(&into.join("box")));
    let left_out = fs::symlink_metadata(folder.join("later")).is_ok() && !is_file(&folder.join("later"));
    let times_of_folders_differ = |tree: FileTree| tree.without("");
    let now = if left_out { now.without("later") } else { now };
    assert_eq!(times_of_folders_differ(arrived), times_of_folders_differ(now), "{again}");
    assert_eq!(entry_names(&into), ["box"]);
    sender.process.end().expect(0);
}

#[test]
fn a_file_truncated_while_it_is_sent_fails_alone() {
    let truncate = |big: &Path| File::options().write(true).open(big).unwrap().set_len(1_000).unwrap();
    assert_fails_alone("big", truncate, "became shorter");
}

#[test]
fn a_file_written_while_it_is_sent_fails_alone() {
    let write =
        |big: &Path| std::os::unix::fs::FileExt::write_at(&File::options().write(true).open(big).unwrap(), b"x", 5);
    assert_fails_alone("big", |big| assert_eq!(write(big).unwrap(), 1), "changed");
}

#[test]
fn a_file_deleted_before_it_is_sent_fails_alone() {
    assert_fails_alone("later", |later| fs::remove_file(later).unwrap(), "no longer exists");
}

#[test]
fn a_file_written_before_it_is_sent_fails_alone() {
    assert_fails_alone("later", |later| fs::write(later, "CONTENT").unwrap(), "changed");
}

#[test]
fn a_file_replaced_before_it_is_sent_fails_alone() {
    let replace = |later: &Path| {
        let other = later.with_file_name("..other");
        fs::write(&other, "another content").unwrap();
        fs::rename(other, later).unwrap();
    };
    assert_fails_alone("later", replace, "changed");
}

#[test]
fn a_file_replaced_by_a_pipe_fails_alone() {
    let replace = |later: &Path| {
        fs::remove_file(later).unwrap();
        mknodat(CWD, later, FileType::Fifo, Mode::RWXU, 0).unwrap();
    };
    assert_fails_alone("later", replace, "no longer a file");
}

#[test]
fn a_file_replaced_by_a_link_out_of_the_share_fails_alone() {
    let replace = |later: &Path| {
        fs::remove_file(later).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", later).unwrap();
    };
    assert_fails_alone("later", replace, "can no longer be read");
}

/// A log that grows arrives as it was announced, and a new hard link or other permissions change nothing.
#[test]
fn a_file_that_only_grows_or_gets_other_permissions_arrives() {
    let env = TestEnv::new();
    let folder = env.folder("box");
    write_sparse_file(&folder.join("big"), BIG);
    env.file("box/log", "line 1\n");
    let relay = env.relay();
    let mut sender = env.send(&[&folder]).via(&relay).share();
    let receiver = env.recv_and_pause(&mut sender, &relay, &env.path("in"));
    let append = |path: &Path| writeln!(File::options().append(true).open(path).unwrap(), "line 2").unwrap();
    append(&folder.join("log"));
    append(&folder.join("big"));
    fs::set_permissions(folder.join("big"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(folder.join("log"), env.path("hard link")).unwrap();
    receiver.signal(Signal::CONT);
    receiver.end().expect(0);
    assert_eq!(fs::read_to_string(env.path("in/box/log")).unwrap(), "line 1\n");
    assert_eq!(fs::metadata(env.path("in/box/big")).unwrap().len(), BIG);
    sender.stop();
}

/// If nobody runs the command again, the exit code of the sender says that something is missing.
#[test]
fn a_sender_with_an_incomplete_download_exits_with_1() {
    let env = TestEnv::new();
    let big = env.path("big");
    write_sparse_file(&big, BIG);
    let relay = env.relay();
    let mut sender = env.send(&[&big]).via(&relay).share();
    let receiver = env.recv_and_pause(&mut sender, &relay, &env.path("in"));
    fs::write(&big, "short").unwrap();
    receiver.signal(Signal::CONT);
    receiver.end().expect_error(1, "transfer", "“big” became shorter");
    assert!(entry_names(&env.path("in")).is_empty());
    sender.process.wait_for("download_failed");
    sender.process.signal(Signal::INT);
    sender.process.end().expect_error(1, "transfer", "1 receiver did not get every file");
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
