//! A bare code on this machine and on the local network. An injected responder stands for the network.

mod rogue_relay;

use qshare::internals::code::{Code, Secret, Slot};
use rogue_relay::{RogueAnswer, RogueRelay};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{FileTree, LanResponder, QshareCommand, SenderProcess, TestEnv};

/// Returns the port of a sender's embedded relay.
fn port_of(env: &TestEnv, sender: &SenderProcess) -> u16 {
    let file = env.state().join("running").join(format!("{}.json", &sender.code()[..4]));
    let address: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    address["addr"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Makes `command` ask `responder` instead of the local network.
fn on_network(command: QshareCommand, responder: &LanResponder) -> QshareCommand {
    command.env("QSHARE_LAN", responder.addr().to_string())
}

#[test]
fn a_code_works_for_another_user_of_the_machine() {
    let (env, other) = (TestEnv::new(), TestEnv::new());
    let sender = env.send(&[&env.file("file", "content")]).share();
    let received = other.recv(sender.code(), &other.path("in")).run().expect(0);
    assert_eq!(received.event("finished")["path"], "local");
    assert_eq!(FileTree::of(&other.path("in/file")), FileTree::of(&env.path("file")));
}

#[test]
fn a_code_is_found_on_the_local_network_among_many_senders() {
    let (env, other) = (TestEnv::new(), TestEnv::new());
    let file = env.file("file", "content");
    let senders: Vec<_> = (0..6).map(|_| env.send(&[&file]).share()).collect();
    let ports: Vec<u16> = senders.iter().map(|sender| port_of(&env, sender)).collect();
    let network = LanResponder::announcing(&ports);
    on_network(other.recv(senders[3].code(), &other.path("in")), &network).run().expect(0);
    assert_eq!(FileTree::of(&other.path("in/file")), FileTree::of(&file));
    for (n, sender) in senders.into_iter().enumerate() {
        let output = sender.stop();
        assert_eq!(output.all("wrong_code").len(), 0, "sender {n}");
        assert_eq!(output.all("download_finished").len(), usize::from(n == 3), "sender {n}");
    }
}

#[test]
fn a_relay_that_claims_every_code_costs_one_exchange_and_hides_nothing() {
    for answer in [RogueAnswer::Garbage, RogueAnswer::Silence] {
        let (env, other) = (TestEnv::new(), TestEnv::new());
        let rogue = RogueRelay::start(answer);
        let sender = env.send(&[&env.file("file", "content")]).share();
        let network = LanResponder::announcing(&[rogue.port(), port_of(&env, &sender)]);
        on_network(other.recv(sender.code(), &other.path("in")), &network).run().expect(0);
        assert_eq!(FileTree::of(&other.path("in/file")), FileTree::of(&env.path("file")));
        assert!(rogue.exchanges() <= 1, "{answer:?}: {}", rogue.exchanges());
        assert_eq!(sender.stop().all("wrong_code").len(), 0, "{answer:?}");
    }
}

#[test]
fn a_rogue_relay_alone_gets_one_guess_and_the_receiver_reports_it() {
    let (env, other) = (TestEnv::new(), TestEnv::new());
    let rogue = RogueRelay::start(RogueAnswer::Garbage);
    let network = LanResponder::announcing(&[rogue.port()]);
    let sender = env.send(&[&env.file("file", "content")]).share();
    let code = sender.code().to_owned();
    sender.stop();
    let refused = on_network(other.recv(&code, &other.path("in")), &network).run();
    refused.expect_error(4, "wrong_code", "the code is wrong");
    assert_eq!(rogue.exchanges(), 1);
}

#[test]
fn a_share_at_a_relay_is_found_nearby_under_the_same_code() {
    let (env, other) = (TestEnv::new(), TestEnv::new());
    let relay = env.relay();
    let nobody = LanResponder::announcing(&[]);
    let mut sender = on_network(env.send(&[&env.file("file", "content")]).via(&relay), &nobody).share();
    assert_eq!((&sender.sharing["embedded"], &sender.sharing["lan"]), (&false.into(), &true.into()));
    let network = LanResponder::announcing(&[port_of(&env, &sender)]);
    let without_relay = on_network(other.recv(sender.code(), &other.path("in1")), &network).run().expect(0);
    assert_eq!(without_relay.event("finished")["path"], "local");
    assert_eq!(sender.process.wait_for("download_finished")["path"], "local");
    let by_relay = other.recv(sender.code(), &other.path("in2")).via(&relay).run().expect(0); // local search is off
    assert_eq!(by_relay.event("finished")["path"], "relay");
    assert_eq!(sender.process.wait_for("download_finished")["path"], "relay");
    on_network(other.recv(sender.code(), &other.path("in3")).via(&relay), &network).run().expect(0);
    assert_eq!(sender.process.wait_for("download_finished")["bytes"], 7);
    assert_eq!(sender.stop().all("wrong_code").len(), 0);
}

#[test]
fn no_lan_keeps_a_share_at_its_relay() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).args(&["--no-lan"]).share();
    assert_eq!(sender.sharing["lan"], false);
    assert!(!env.state().join("embedded").exists());
    let other = TestEnv::new();
    other.recv(sender.code(), &other.path("in")).run().expect_error(3, "not_found", "on this machine");
}

#[test]
fn the_search_says_where_it_looked() {
    let env = TestEnv::new();
    let relay = env.relay();
    let network = LanResponder::announcing(&[]);
    let code = unknown_code();
    let alone = env.recv(&code, &env.path("in")).run();
    alone.expect_error(3, "not_found", "no sender with this code was found on this machine");
    let on_lan = on_network(env.recv(&code, &env.path("in")), &network).run();
    on_lan.expect_error(3, "not_found", "on this machine or its network (searched for 2 seconds)");
    assert!(on_lan.event("error")["hint"].as_str().unwrap().contains("--wait"));
    let both = on_network(env.recv(&code, &env.path("in")).via(&relay), &network).run();
    both.expect_error(3, "not_found", "the relay knows no such code, and no sender with it was found");
    let invalid = env.recv(&code, &env.path("in")).env("QSHARE_LAN", "maybe").run();
    invalid.expect_error(2, "usage", "QSHARE_LAN");
}

/// Returns a code that no sender has.
fn unknown_code() -> String {
    Code::new(Slot::try_from(*b"XKY9").unwrap(), Secret::random(5).unwrap()).reveal().as_str().to_owned()
}

#[test]
fn a_receiver_waits_for_a_sender_that_has_not_started() {
    TestEnv::with_each_relay(|env, relay| {
        let file = env.file("file", "content");
        let sender = env.send(&[&file]).via(relay).share();
        let code = sender.code().to_owned();
        sender.process.signal(Signal::KILL);
        sender.process.end();
        let mut receiver = env.recv(&code, &env.path("in")).via(relay).args(&["--wait", "10m"]).start();
        assert_eq!(receiver.wait_for("waiting")["seconds"], 600);
        let sender = env.send(&[&file]).via(relay).share();
        assert_eq!(sender.code(), code);
        receiver.end().expect(0);
        assert_eq!(FileTree::of(&env.path("in/file")), FileTree::of(&file));
    });
}

#[test]
fn a_wait_ends_with_the_reason() {
    TestEnv::with_each_relay(|env, relay| {
        let code = unknown_code();
        let ended = env.recv(&code, &env.path("in")).via(relay).args(&["--wait", "2s"]).run();
        ended.expect_error(3, "not_found", if relay.is_some() { "the relay knows no such code" } else { "no sender" });
    });
}
