//! Processes killed or interrupted in the middle of a transfer.
//!
//! A killed process closes no connection, so that its peers notice only after the idle timeout of about 12 s. Most of
//! these tests take that long.

use rustix::process::Signal;

use crate::support::{
    BIG, FileTree, Process, RelayProcess, SenderProcess, TestEnv, assert_only_staged, entry_names, write_sparse_file,
};

/// Makes a receiver fail when it loses its connection.
const NO_RETRY: [&str; 2] = ["--retry-for", "0"];

/// A download in progress.
struct RunningDownload {
    env: TestEnv,
    relay: RelayProcess,
    sender: SenderProcess,
    receiver: Process,
}

impl RunningDownload {
    fn new() -> Self {
        let env = TestEnv::new();
        write_sparse_file(&env.path("big"), BIG);
        let relay = env.relay();
        let mut sender = env.send(&[&env.path("big")]).via(&relay).share();
        let mut receiver = env.recv(sender.code(), &env.path("in")).via(&relay).args(&NO_RETRY).start();
        sender.process.wait_for("download_started");
        let progress = receiver.wait_for("progress");
        assert!(
            progress["bytes"].as_u64().unwrap() < BIG,
            "the download ended before the test could interrupt it: {progress}"
        );
        Self { env, relay, sender, receiver }
    }

    /// Checks that a second receiver gets the file.
    fn assert_still_serves(&self) {
        let into = self.env.path("next");
        self.env.recv(self.sender.code(), &into).via(&self.relay).run().expect(0);
        assert_eq!(FileTree::of(&into.join("big")), FileTree::of(&self.env.path("big")));
    }
}

#[test]
fn a_receiver_reports_a_killed_sender_as_a_network_error() {
    let RunningDownload { env, relay, sender, receiver } = RunningDownload::new();
    let code = sender.code().to_owned();
    sender.process.signal(Signal::KILL);
    let late = env.recv(&code, &env.path("late")).via(&relay).start();
    receiver.end().expect_error(5, "network", "lost its connection");
    assert_only_staged(&env.path("in"), "after the interruption");
    late.end().expect_error(3, "not_found", "sender is gone");
    let restarted = env.send(&[&env.file("small", "content")]).via(&relay).share();
    env.recv(restarted.code(), &env.path("again")).via(&relay).run().expect(0);
}

/// Checks that a sender has lost its relay for this reason, reports its download as failed, reconnects, and stops on
/// Ctrl-C.
#[track_caller]
fn assert_reconnects(sender: SenderProcess, reason: &str) {
    let mut sender = sender.process;
    let failed = sender.wait_for("download_failed");
    assert_eq!(failed["kind"], "network", "{failed}");
    sender.signal(Signal::INT);
    let sent = sender.end().expect(0);
    assert_eq!(sent.all("reconnecting")[0]["reason"], reason, "{sent}");
}

#[test]
fn both_ends_report_a_killed_relay_as_a_lost_connection() {
    let RunningDownload { env, relay, sender, receiver } = RunningDownload::new();
    relay.process.signal(Signal::KILL);
    receiver.end().expect_error(5, "network", "lost connection to the relay");
    assert_only_staged(&env.path("in"), "after the interruption");
    assert_reconnects(sender, "lost connection to the relay");
}

#[test]
fn both_ends_report_that_the_relay_closed_the_connection() {
    let RunningDownload { env, relay, sender, receiver } = RunningDownload::new();
    relay.stop();
    receiver.end().expect_error(5, "network", "relay");
    assert_only_staged(&env.path("in"), "after the interruption");
    assert_reconnects(sender, "the relay closed the connection");
}

#[test]
fn a_killed_receiver_fails_only_its_own_download() {
    let mut download = RunningDownload::new();
    download.receiver.signal(Signal::KILL);
    download.assert_still_serves();
    let failed = download.sender.process.wait_for("download_failed");
    assert_eq!((&failed["download"], &failed["kind"]), (&1.into(), &"network".into()));

    let into = download.env.path("in");
    assert_only_staged(&into, "after the interruption");
    download.env.recv(download.sender.code(), &into).via(&download.relay).run().expect(0);
    assert_eq!(entry_names(&into), ["big"]);
    assert_eq!(FileTree::of(&into.join("big")), FileTree::of(&download.env.path("big")));
    download.sender.stop();
}

#[test]
fn an_interrupted_receiver_keeps_its_staged_data() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut download = RunningDownload::new();
        download.receiver.signal(signal);
        let failed = download.sender.process.wait_for("download_failed");
        assert_eq!(failed["kind"], "refused", "{failed}");
        assert!(failed["error"].as_str().unwrap().contains("the receiver stopped"), "{failed}");
        download.receiver.end().expect_error(130, "interrupted", "interrupted");
        assert_only_staged(&download.env.path("in"), "after the interruption");
        download.sender.stop();
    }
}

#[test]
fn an_interrupted_sender_ends_the_share_for_its_receivers() {
    for signal in [Signal::INT, Signal::TERM] {
        let RunningDownload { env, relay, sender, receiver } = RunningDownload::new();
        let code = sender.code().to_owned();
        sender.process.signal(signal);
        receiver.end().expect_error(3, "not_found", "the sender is gone");
        assert_only_staged(&env.path("in"), "after the interruption");
        let sent = sender.process.end();
        sent.expect_error(130, "interrupted", "1 download running");
        assert_eq!(sent.all("download_failed").len(), 1, "{sent}");
        let late = |env: &TestEnv| env.recv(&code, &env.path("in")).via(&relay).run();
        late(&env).expect_error(3, "not_found", "the sender has ended its share");
        late(&TestEnv::new()).expect_error(3, "not_found", "no such code");
    }
}

#[test]
fn an_embedded_relay_dies_with_its_killed_sender() {
    let env = TestEnv::new();
    write_sparse_file(&env.path("big"), BIG);
    let mut sender = env.send(&[&env.path("big")]).share();
    let mut receiver = env.recv(sender.code(), &env.path("in")).args(&NO_RETRY).start();
    sender.process.wait_for("download_started");
    receiver.wait_for("progress");
    let code = sender.code().to_owned();
    sender.process.signal(Signal::KILL);
    receiver.end().expect_error(5, "network", "lost connection to the relay");
    assert_only_staged(&env.path("in"), "after the interruption");
    let late = env.recv(&code, &env.path("in")).run();
    late.expect_error(3, "not_found", "no sender with this code was found on this machine");
}

#[test]
fn a_killed_sender_and_relay_can_start_again() {
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
