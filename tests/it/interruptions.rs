//! Processes killed or interrupted in the middle of a transfer. A line that is cut counts as dead after some 12 s of
//! silence, and so long most of these take.

use rustix::process::Signal;

use crate::support::{
    BIG, FileTree, Process, RelayProcess, SenderProcess, TestEnv, assert_only_staged, entry_names, write_sparse_file,
};

/// The first cut is the end.
const IMPATIENT: [&str; 2] = ["--retry-for", "0"];

/// A download that is under way.
struct Middle {
    env: TestEnv,
    relay: RelayProcess,
    sender: SenderProcess,
    receiver: Process,
}

impl Middle {
    fn new() -> Self {
        let env = TestEnv::new();
        write_sparse_file(&env.path("big"), BIG);
        let relay = env.relay();
        let mut sender = env.send(&[&env.path("big")]).via(&relay).share();
        let mut receiver = env.recv(sender.code(), &env.path("in")).via(&relay).args(&IMPATIENT).start();
        sender.process.wait_for("download_started");
        let progress = receiver.wait_for("progress");
        assert!(progress["bytes"].as_u64().unwrap() < BIG, "over before it could be caught: {progress}");
        Self { env, relay, sender, receiver }
    }

    /// A second receiver gets everything.
    fn still_serves(&self) {
        let into = self.env.path("next");
        self.env.recv(self.sender.code(), &into).via(&self.relay).run().expect(0);
        assert_eq!(FileTree::of(&into.join("big")), FileTree::of(&self.env.path("big")));
    }
}

#[test]
fn a_killed_sender_is_a_dead_line() {
    let Middle { env, relay, sender, receiver } = Middle::new();
    let code = sender.code().to_owned();
    sender.process.signal(Signal::KILL);
    let late = env.recv(&code, &env.path("late")).via(&relay).start();
    receiver.end().expect_error(5, "network", "line");
    assert_only_staged(&env.path("in"), "");
    late.end().expect_error(3, "not_found", "sender is gone");
    let again = env.send(&[&env.file("small", "content")]).via(&relay).share();
    env.recv(again.code(), &env.path("again")).via(&relay).run().expect(0);
}

/// A sender that has lost its relay, for this reason: its download has failed, and it ends when it is told to.
#[track_caller]
fn tries_to_come_back(sender: SenderProcess, why: &str) {
    let mut sender = sender.process;
    let failed = sender.wait_for("download_failed");
    assert_eq!(failed["kind"], "network", "{failed}");
    sender.signal(Signal::INT);
    let sent = sender.end().expect(0);
    assert_eq!(sent.all("reconnecting")[0]["reason"], why, "{sent}");
}

#[test]
fn a_killed_relay_is_a_dead_line_for_both() {
    let Middle { env, relay, sender, receiver } = Middle::new();
    relay.process.signal(Signal::KILL);
    receiver.end().expect_error(5, "network", "lost connection to the relay");
    assert_only_staged(&env.path("in"), "");
    tries_to_come_back(sender, "lost connection to the relay");
}

#[test]
fn a_relay_that_stops_says_so_to_both() {
    let Middle { env, relay, sender, receiver } = Middle::new();
    relay.stop();
    receiver.end().expect_error(5, "network", "relay");
    assert_only_staged(&env.path("in"), "");
    tries_to_come_back(sender, "the relay closed the connection");
}

#[test]
fn a_killed_receiver_costs_only_its_own_download() {
    let mut middle = Middle::new();
    middle.receiver.signal(Signal::KILL);
    middle.still_serves();
    let failed = middle.sender.process.wait_for("download_failed");
    assert_eq!((&failed["download"], &failed["kind"]), (&1.into(), &"network".into()));

    let into = middle.env.path("in");
    assert_only_staged(&into, "");
    middle.env.recv(middle.sender.code(), &into).via(&middle.relay).run().expect(0);
    assert_eq!(entry_names(&into), ["big"]);
    assert_eq!(FileTree::of(&into.join("big")), FileTree::of(&middle.env.path("big")));
    middle.sender.stop();
}

#[test]
fn a_download_that_its_user_stops_leaves_what_it_can_go_on_with() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut middle = Middle::new();
        middle.receiver.signal(signal);
        let failed = middle.sender.process.wait_for("download_failed");
        assert_eq!(failed["kind"], "refused", "{failed}");
        assert!(failed["error"].as_str().unwrap().contains("the receiver stopped"), "{failed}");
        middle.receiver.end().expect_error(130, "interrupted", "stopped");
        assert_only_staged(&middle.env.path("in"), "");
        middle.sender.stop();
    }
}

#[test]
fn a_share_that_its_user_stops_tells_its_receivers() {
    for signal in [Signal::INT, Signal::TERM] {
        let Middle { env, relay, sender, receiver } = Middle::new();
        let code = sender.code().to_owned();
        sender.process.signal(signal);
        receiver.end().expect_error(3, "not_found", "the sender is gone");
        assert_only_staged(&env.path("in"), "");
        let sent = sender.process.end();
        sent.expect_error(130, "interrupted", "1 download running");
        assert_eq!(sent.all("download_failed").len(), 1, "{sent}");
        let late = |env: &TestEnv| env.recv(&code, &env.path("late")).via(&relay).run();
        late(&env).expect_error(3, "not_found", "the sender has ended its share");
        late(&TestEnv::new()).expect_error(3, "not_found", "no such code");
    }
}

#[test]
fn an_embedded_relay_goes_with_its_sender() {
    let env = TestEnv::new();
    write_sparse_file(&env.path("big"), BIG);
    let mut sender = env.send(&[&env.path("big")]).share();
    let mut receiver = env.recv(sender.code(), &env.path("in")).args(&IMPATIENT).start();
    sender.process.wait_for("download_started");
    receiver.wait_for("progress");
    let code = sender.code().to_owned();
    sender.process.signal(Signal::KILL);
    receiver.end().expect_error(5, "network", "lost connection to the relay");
    assert_only_staged(&env.path("in"), "");
    let late = env.recv(&code, &env.path("in")).run();
    late.expect_error(3, "not_found", "no sender on this machine");
}

#[test]
fn a_killed_process_leaves_its_state_usable() {
    let env = TestEnv::new();
    let file = env.file("file", "content");
    let relay = env.relay();
    let sender = env.send(&[&file]).via(&relay).share();
    sender.process.signal(Signal::KILL);
    relay.process.signal(Signal::KILL);
    let pin = relay.pin.clone();
    let relay = env.relay();
    assert_eq!(relay.pin, pin);
    let sender = env.send(&[&file]).via(&relay).share();
    env.recv(sender.code(), &env.path("in")).via(&relay).run().expect(0);
}
