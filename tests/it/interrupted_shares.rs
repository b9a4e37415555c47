//! Interrupted shares: senders that start again, and `qshare shares`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{FileTree, Process, RelayProcess, SenderProcess, TestEnv, wait_until, write_random_file};

/// Kills a sender and waits for its end.
fn kill(sender: SenderProcess) {
    sender.process.signal(Signal::KILL);
    sender.process.end();
}

fn sharing_field(sender: &SenderProcess, field: &str) -> String {
    sender.sharing[field].as_str().unwrap().to_owned()
}

/// Returns the shares that `qshare shares` lists.
fn listed_shares(env: &TestEnv) -> Vec<Value> {
    env.qshare(&["shares", "--json"]).run().expect(0).event("shares")["shares"].as_array().unwrap().clone()
}

#[test]
fn a_killed_sender_gets_its_code_back() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let share = || env.send(&[&file]).via(&relay).share();
    let first = share();
    let (code, id) = (first.code().to_owned(), sharing_field(&first, "share"));
    kill(first);
    let restarted = share();
    assert_eq!((restarted.code(), sharing_field(&restarted, "share")), (code.as_str(), id.clone()));
    env.recv(&code, &env.path("in")).via(&relay).run().expect(0);

    let beside = share();
    assert!(beside.code() != code && sharing_field(&beside, "share") != id, "a second process has a share of its own");
    env.recv(beside.code(), &env.path("beside")).via(&relay).run().expect(0);
    kill(beside);
    kill(restarted);

    let renewed = env.send(&[&file]).via(&relay).arg("--new-code").share();
    let (new, id, listed) = (renewed.code().to_owned(), sharing_field(&renewed, "share"), listed_shares(&env));
    assert!(listed.iter().any(|share| share["share"] == *id && share["running"] == true), "{listed:?}");
    renewed.stop();
    assert!(listed_shares(&env).iter().all(|share| share["share"] != *id), "a stopped share is forgotten");
    let fresh = share();
    assert_ne!(fresh.code(), new);
}

#[test]
fn a_killed_sender_with_an_embedded_relay_gets_its_link_back() {
    let env = TestEnv::new();
    let file = env.file("file", "content");
    let first = env.send(&[&file]).share();
    let (code, link) = (first.code().to_owned(), sharing_field(&first, "link"));
    kill(first);
    let restarted = env.send(&[&file]).share();
    assert_eq!((restarted.code(), sharing_field(&restarted, "link")), (code.as_str(), link));
    env.recv(&code, &env.path("in")).run().expect(0);
}

#[test]
fn a_share_that_ended_deliberately_is_forgotten() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let once = env.send(&[&file]).via(&relay).arg("--once").share();
    assert_eq!(listed_shares(&env).len(), 1);
    env.recv(once.code(), &env.path("in")).via(&relay).run().expect(0);
    once.process.end().expect(0);
    assert!(listed_shares(&env).is_empty());
    let state = env.state().join("shares");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "nothing is left in {state:?}");
}

#[test]
fn ten_interrupted_shares_each_get_their_code_back() {
    let env = TestEnv::new();
    let relay = env.relay();
    let files: Vec<PathBuf> = (0..10).map(|i| env.file(&format!("file{i}"), format!("content {i}"))).collect();
    let share = |file: &PathBuf| env.send(&[file]).via(&relay).share();
    let senders: Vec<SenderProcess> = files.iter().map(share).collect();
    let codes: Vec<String> = senders.iter().map(|sender| sender.code().to_owned()).collect();
    senders.into_iter().for_each(kill);
    let restarted: Vec<SenderProcess> = files.iter().rev().map(share).collect();
    assert!(restarted.iter().map(SenderProcess::code).eq(codes.iter().rev().map(String::as_str)));
    for (i, code) in codes.iter().enumerate() {
        let into = env.path(&format!("in{i}"));
        env.recv(code, &into).via(&relay).run().expect(0);
        assert_eq!(fs::read_to_string(into.join(format!("file{i}"))).unwrap(), format!("content {i}"));
    }
}

#[test]
fn interrupted_shares_are_listed_and_can_be_forgotten() {
    let env = TestEnv::new();
    let relay = env.relay();
    let [one, two] = ["one", "two"].map(|name| env.file(name, name));
    let share = |file: &Path| env.send(&[file]).via(&relay).share();
    let (first, second) = (share(&one), share(&two));
    let (code, id) = (second.code().to_owned(), sharing_field(&second, "share"));
    kill(first);
    let shares = |args: &[&str]| env.qshare(&[&["shares"], args].concat()).run();
    let human = shares(&[]).expect(0);
    let text = human.text();
    assert!(text.contains(&code) && text.contains("one, expires") && text.contains("two, running"), "{human}");
    for path in [&one, &two] {
        assert!(text.contains(path.canonicalize().unwrap().to_str().unwrap()), "{human}");
    }
    let running = shares(&["forget", &code]);
    assert_eq!(running.code, Some(2), "{running}");
    assert!(running.stderr.contains("is running"), "{running}");
    assert_eq!(shares(&["forget", "nothing-like-that"]).code, Some(3));
    kill(second);
    shares(&["forget", &id[..8]]).expect(0);
    shares(&["forget", one.to_str().unwrap()]).expect(0);
    assert!(listed_shares(&env).is_empty());
    kill(share(&one));
    shares(&["forget", "--all"]).expect(0);
    assert!(shares(&[]).expect(0).stderr.contains("No shares."));
}

#[test]
fn stored_shares_are_private_and_ignored_when_damaged() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let first = env.send(&[&file]).via(&relay).share();
    let code = first.code().to_owned();
    let folder = env.state().join("shares");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
    kill(first);
    let state = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().unwrap() == "json");
    let state = state.unwrap();
    let text = fs::read(&state).unwrap();
    for damage in [&text[..text.len() / 2], b"{}", b""] {
        fs::write(&state, damage).unwrap();
        assert!(listed_shares(&env).is_empty());
    }
    let restarted = env.send(&[&file]).via(&relay).share();
    assert_ne!(restarted.code(), code);
    env.recv(restarted.code(), &env.path("in")).via(&relay).run().expect(0);
}

/// Starts a download that is slow enough to be interrupted, and waits until a third of it is done.
fn start_slow_download() -> (TestEnv, RelayProcess, SenderProcess, Process) {
    let env = TestEnv::new();
    let relay = env.relay();
    let big = env.path("big");
    write_random_file(&big, 60_000_000);
    let sender = env.send(&[&big]).via(&relay).share();
    let receiver = env.recv(sender.code(), &env.path("in")).via(&relay);
    let mut receiver = receiver.args(&["--limit-down", "30MB"]).start();
    while receiver.wait_for("progress")["bytes"].as_u64().unwrap() < 20_000_000 {}
    (env, relay, sender, receiver)
}

#[test]
fn a_receiver_continues_its_download_when_a_killed_sender_starts_again() {
    let (env, relay, first, mut receiver) = start_slow_download();
    let big = env.path("big");
    kill(first);
    receiver.wait_for("reconnecting");
    let second = env.send(&[&big]).via(&relay).share();
    let ended = receiver.end().expect(0);
    assert_eq!(FileTree::of(&env.path("in/big")), FileTree::of(&big));
    assert!(!ended.all("reconnected").is_empty(), "{ended}");
    let mut sender = second.process;
    assert_eq!(sender.wait_for("download_finished")["bytes"], 60_000_000);
}

#[test]
fn a_receiver_that_reattaches_learns_that_the_share_has_ended() {
    let (_world, _relay, sender, receiver) = start_slow_download();
    receiver.signal(Signal::STOP);
    sender.process.signal(Signal::INT);
    sender.process.end().expect_error(130, "interrupted", "1 download running");
    receiver.signal(Signal::CONT);
    receiver.end().expect_error(3, "not_found", "the sender");
}

#[test]
fn a_code_stays_valid_until_a_new_one_replaces_it() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (spec, addr) = (relay.spec(), relay.addr.clone());
    let file = env.file("file", "content");
    let share = || env.send(&[&file]).args(&["--relay", &spec]);
    let first = share().share();
    let code = first.code().to_owned();
    kill(first);
    relay.stop();
    share().arg("--new-code").run().expect_error(5, "network", "cannot reach the relay");
    let relay = RelayProcess::start(env.qshare(&["relay", "--json", "--listen", &addr]));
    let longer = share().args(&["--keep", "1week"]).share();
    assert_eq!(longer.code(), code, "a longer --keep needs no new code");
    kill(longer);
    let other = share().args(&["--code-length", "8"]).share();
    assert_ne!(other.code(), code);
    env.recv(&code, &env.path("in")).via(&relay).run().expect_error(3, "not_found", "no such code");
}

#[test]
fn a_waiting_receiver_learns_that_the_share_was_forgotten() {
    for forget in [&["shares", "forget", "big"][..], &["send", "--json", "--new-code", "big"]] {
        let (env, relay, first, mut receiver) = start_slow_download();
        kill(first);
        receiver.wait_for("reconnecting");
        let forgetting = env.qshare(forget).env("QSHARE_RELAY", relay.spec()).start();
        receiver.end().expect_error(3, "not_found", "ended its share");
        forgetting.signal(Signal::INT);
        forgetting.end().expect(0);
    }
}

#[test]
fn refunded_guesses_survive_a_kill() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    for _ in 0..2 {
        let sender = env.send(&[&file]).via(&relay).share();
        let receivers: Vec<_> = (0..5)
            .map(|_| {
                let other_user = TestEnv::new();
                let receiver = other_user.recv(sender.code(), &other_user.path("in")).via(&relay).start();
                (other_user, receiver)
            })
            .collect();
        receivers.into_iter().for_each(|(_other_user, receiver)| drop(receiver.end().expect(0)));
        let guesses = env.state().join("shares").join(format!("{}.guesses", sharing_field(&sender, "share")));
        let is_full = || fs::read_to_string(&guesses).unwrap().contains("\"taken\":[]");
        wait_until("the refunded guesses are saved", is_full);
        kill(sender);
    }
}
