//! Processes killed or interrupted in the middle of a transfer. A line that is cut counts as dead after some 12 s of
//! silence, and so long most of these take.

use rustix::process::Signal;

use crate::support::{BIG, Process, Relay, Sender, Tree, World, assert_only_staged, names, sparse};

/// The first cut is the end.
const IMPATIENT: [&str; 2] = ["--retry-for", "0"];

/// A download that is under way.
struct Middle {
    world: World,
    relay: Relay,
    sender: Sender,
    receiver: Process,
}

impl Middle {
    fn new() -> Self {
        let world = World::new();
        sparse(&world.path("big"), BIG);
        let relay = world.relay();
        let mut sender = world.send(&[&world.path("big")]).via(&relay).share();
        let mut receiver = world.recv(sender.code(), &world.path("in")).via(&relay).args(&IMPATIENT).start();
        sender.process.wait_for("download_started");
        let progress = receiver.wait_for("progress");
        assert!(progress["bytes"].as_u64().unwrap() < BIG, "over before it could be caught: {progress}");
        Self { world, relay, sender, receiver }
    }

    /// A second receiver gets everything.
    fn still_serves(&self) {
        let into = self.world.path("next");
        self.world.recv(self.sender.code(), &into).via(&self.relay).run().expect(0);
        assert_eq!(Tree::of(&into.join("big")), Tree::of(&self.world.path("big")));
    }
}

#[test]
fn a_killed_sender_is_a_dead_line() {
    let Middle { world, relay, sender, receiver } = Middle::new();
    let code = sender.code().to_owned();
    sender.process.signal(Signal::KILL);
    let late = world.recv(&code, &world.path("late")).via(&relay).start();
    receiver.end().expect_error(5, "network", "line");
    assert_only_staged(&world.path("in"), "");
    late.end().expect_error(3, "not_found", "sender is gone");
    let again = world.send(&[&world.file("small", "content")]).via(&relay).share();
    world.recv(again.code(), &world.path("again")).via(&relay).run().expect(0);
}

/// A sender that has lost its relay, for this reason: its download has failed, and it ends when it is told to.
#[track_caller]
fn tries_to_come_back(sender: Sender, why: &str) {
    let mut sender = sender.process;
    let failed = sender.wait_for("download_failed");
    assert_eq!(failed["kind"], "network", "{failed}");
    sender.signal(Signal::INT);
    let sent = sender.end().expect(0);
    assert_eq!(sent.all("reconnecting")[0]["reason"], why, "{sent}");
}

#[test]
fn a_killed_relay_is_a_dead_line_for_both() {
    let Middle { world, relay, sender, receiver } = Middle::new();
    relay.process.signal(Signal::KILL);
    receiver.end().expect_error(5, "network", "lost connection to the relay");
    assert_only_staged(&world.path("in"), "");
    tries_to_come_back(sender, "lost connection to the relay");
}

#[test]
fn a_relay_that_stops_says_so_to_both() {
    let Middle { world, relay, sender, receiver } = Middle::new();
    relay.stop();
    receiver.end().expect_error(5, "network", "relay");
    assert_only_staged(&world.path("in"), "");
    tries_to_come_back(sender, "the relay closed the connection");
}

#[test]
fn a_killed_receiver_costs_only_its_own_download() {
    let mut middle = Middle::new();
    middle.receiver.signal(Signal::KILL);
    middle.still_serves();
    let failed = middle.sender.process.wait_for("download_failed");
    assert_eq!((&failed["download"], &failed["kind"]), (&1.into(), &"network".into()));

    let into = middle.world.path("in");
    assert_only_staged(&into, "");
    middle.world.recv(middle.sender.code(), &into).via(&middle.relay).run().expect(0);
    assert_eq!(names(&into), ["big"]);
    assert_eq!(Tree::of(&into.join("big")), Tree::of(&middle.world.path("big")));
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
        assert_only_staged(&middle.world.path("in"), "");
        middle.sender.stop();
    }
}

#[test]
fn a_share_that_its_user_stops_tells_its_receivers() {
    for signal in [Signal::INT, Signal::TERM] {
        let Middle { world, relay, sender, receiver } = Middle::new();
        let code = sender.code().to_owned();
        sender.process.signal(signal);
        receiver.end().expect_error(3, "not_found", "the sender is gone");
        assert_only_staged(&world.path("in"), "");
        let sent = sender.process.end();
        sent.expect_error(130, "interrupted", "1 download running");
        assert_eq!(sent.all("download_failed").len(), 1, "{sent}");
        let late = |world: &World| world.recv(&code, &world.path("late")).via(&relay).run();
        late(&world).expect_error(3, "not_found", "the sender has ended its share");
        late(&World::new()).expect_error(3, "not_found", "no such code");
    }
}

#[test]
fn an_embedded_relay_goes_with_its_sender() {
    let world = World::new();
    sparse(&world.path("big"), BIG);
    let mut sender = world.send(&[&world.path("big")]).share();
    let mut receiver = world.recv(sender.code(), &world.path("in")).args(&IMPATIENT).start();
    sender.process.wait_for("download_started");
    receiver.wait_for("progress");
    let code = sender.code().to_owned();
    sender.process.signal(Signal::KILL);
    receiver.end().expect_error(5, "network", "lost connection to the relay");
    assert_only_staged(&world.path("in"), "");
    let late = world.recv(&code, &world.path("in")).run();
    late.expect_error(3, "not_found", "no sender on this machine");
}

#[test]
fn a_killed_process_leaves_its_state_usable() {
    let world = World::new();
    let file = world.file("file", "content");
    let relay = world.relay();
    let sender = world.send(&[&file]).via(&relay).share();
    sender.process.signal(Signal::KILL);
    relay.process.signal(Signal::KILL);
    let pin = relay.pin.clone();
    let relay = world.relay();
    assert_eq!(relay.pin, pin);
    let sender = world.send(&[&file]).via(&relay).share();
    world.recv(sender.code(), &world.path("in")).via(&relay).run().expect(0);
}
