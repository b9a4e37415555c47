//! The program with a bare code, on networks without name servers, default routes and configured relays.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use super::print_times;
use crate::support::{Host, Lab, LanResponder, ProcessOutput, RelayProcess, SenderProcess, TestEnv, lan_answer};

/// Users on different hosts: each has a home folder of its own.
struct User<'a> {
    host: &'a Host,
    env: TestEnv,
}

impl<'a> User<'a> {
    fn on(host: &'a Host) -> Self {
        Self { host, env: TestEnv::new() }
    }

    /// Shares a file with this content.
    fn send(&self, content: &str, relay: Option<&RelayProcess>) -> SenderProcess {
        let file = self.env.file("file", content);
        self.host.enter(|| self.env.send(&[&file]).env("QSHARE_LAN", "on").via(relay).share())
    }

    /// Downloads, and checks the content.
    fn receive(&self, sender: &SenderProcess, content: &str, relay: Option<&RelayProcess>) -> ProcessOutput {
        let into = self.env.path("in");
        let received =
            self.host.enter(|| self.env.recv(sender.code(), &into).env("QSHARE_LAN", "on").via(relay).run()).expect(0);
        assert_eq!(fs::read_to_string(into.join("file")).unwrap(), content);
        received
    }
}

/// Asserts that a bare code works between these hosts, over the local network.
fn assert_found(sender: &Host, receiver: &Host) {
    let user = User::on(sender);
    let sender = user.send("content", None);
    let received = User::on(receiver).receive(&sender, "content", None);
    assert_eq!(received.event("finished")["path"], "lan");
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_bare_code_works_without_a_default_route() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    assert_found(&lab.host_on(&bridge, &["10.9.0.1/24"]), &lab.host_on(&bridge, &["10.9.0.2/24"]));
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_receiver_on_two_networks_finds_senders_on_both() {
    let lab = Lab::new();
    let (first, second) = (lab.bridge(), lab.bridge());
    let receiver = lab.host_on(&first, &["10.9.0.2/24"]);
    lab.connect(&receiver, &second, &["10.8.0.2/24"]);
    assert_found(&lab.host_on(&first, &["10.9.0.1/24"]), &receiver);
    assert_found(&lab.host_on(&second, &["10.8.0.1/24"]), &receiver);
}

/// Access points isolate their clients from each other, but not from a relay behind the access point.
#[test]
#[ignore = "needs root and network namespaces"]
fn isolated_hosts_use_the_configured_relay() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, receiver) = (lab.host(), lab.host());
    lab.connect(&sender, &bridge, &["10.9.0.1/24"]).isolate();
    lab.connect(&receiver, &bridge, &["10.9.0.2/24"]).isolate();
    let relay_host = lab.host_on(&bridge, &["10.9.0.3/24"]);
    let operator = User::on(&relay_host);
    let relay = operator
        .host
        .enter(|| RelayProcess::start(operator.env.qshare(&["relay", "--json", "--listen", "10.9.0.3:0"])));
    let user = User::on(&sender);
    let sender = user.send("content", Some(&relay));
    let received = User::on(&receiver).receive(&sender, "content", Some(&relay));
    assert_eq!(received.event("finished")["path"], "relay");
}

/// A switch that snoops on memberships, but has no querier that makes hosts repeat them.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_bare_code_works_on_a_switch_that_snoops_without_a_querier() {
    let lab = Lab::new();
    let bridge = lab.bridge_with(&["mcast_snooping", "1", "mcast_querier", "0"]);
    assert_found(&lab.host_on(&bridge, &["10.9.0.1/24"]), &lab.host_on(&bridge, &["10.9.0.2/24"]));
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_bare_code_works_with_ipv6_only() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    assert_found(&lab.host_on(&bridge, &[]), &lab.host_on(&bridge, &[]));
}

/// The rogue answers every question before the sender does, with a relay that knows no slot and with closed ports.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_rogue_responder_does_not_hide_the_sender() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, receiver) = (lab.host_on(&bridge, &["10.9.0.1/24"]), lab.host_on(&bridge, &["10.9.0.2/24"]));
    let rogue_host = lab.host_on(&bridge, &["10.9.0.3/24"]);
    let rogue = User::on(&rogue_host);
    let relay =
        rogue.host.enter(|| RelayProcess::start(rogue.env.qshare(&["relay", "--json", "--listen", "10.9.0.3:8000"])));
    let _responder = LanResponder::on(rogue_host.mdns_socket("10.9.0.3".parse().unwrap()), |question| {
        (8000..8200).map(|port| lan_answer(question.id, port)).collect()
    });
    assert_found(&sender, &receiver);
    relay.stop();
}

#[test]
#[ignore = "needs root and network namespaces"]
fn among_twenty_senders_only_the_right_one_is_charged() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let hosts: Vec<_> = (1..=20).map(|n| lab.host_on(&bridge, &[&format!("10.9.0.{n}/24")])).collect();
    let users: Vec<_> = hosts.iter().map(User::on).collect();
    let senders: Vec<_> = users.iter().enumerate().map(|(n, user)| user.send(&format!("content {n}"), None)).collect();
    let receiver = lab.host_on(&bridge, &["10.9.0.100/24"]);
    for (n, sender) in senders.iter().enumerate() {
        User::on(&receiver).receive(sender, &format!("content {n}"), None);
    }
    for sender in senders {
        let sent = sender.stop();
        assert_eq!(sent.all("download_finished").len(), 1);
        assert!(sent.all("wrong_code").is_empty() && sent.all("download_failed").is_empty());
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_sender_that_moves_to_another_network_is_found_there() {
    let lab = Lab::new();
    let (first, second) = (lab.bridge(), lab.bridge());
    let host = lab.host();
    let cable = lab.connect(&host, &first, &["10.9.0.1/24"]);
    let receivers = [lab.host_on(&first, &["10.9.0.2/24"]), lab.host_on(&second, &["10.8.0.2/24"])];
    let user = User::on(&host);
    let sender = user.send("content", None);
    User::on(&receivers[0]).receive(&sender, "content", None);
    cable.disconnect();
    lab.connect(&host, &second, &["10.8.0.1/24"]);
    let receiver = User::on(&receivers[1]);
    let into = receiver.env.path("in");
    // The sender may notice its new network a moment after the receiver has asked.
    receiver
        .host
        .enter(|| receiver.env.recv(sender.code(), &into).env("QSHARE_LAN", "on").args(&["--wait", "1m"]).run())
        .expect(0);
}

/// The aims are a median of 150 ms and a maximum of 500 ms.
#[test]
#[ignore = "needs root and network namespaces"]
fn the_offer_arrives_quickly_on_a_lossy_network() {
    const RUNS: usize = 50;
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, receiver) = (lab.host_on(&bridge, &["10.9.0.1/24"]), lab.host_on(&bridge, &["10.9.0.2/24"]));
    let (user, receiving) = (User::on(&sender), User::on(&receiver));
    let sender = user.send("content", None);
    lab.lose(5);
    let list = |_| {
        let started = Instant::now();
        let env = &receiving.env;
        let mut process =
            receiver.enter(|| env.recv(sender.code(), &env.path("in")).env("QSHARE_LAN", "on").arg("--list").start());
        process.wait_for("offer");
        let elapsed = started.elapsed();
        process.end().expect(0);
        elapsed
    };
    print_times("the offer with 5 % loss", (0..RUNS).map(list).collect());
}

/// The aim is one packet a minute. The system itself looks for routers and neighbours, also on an idle host.
#[test]
#[ignore = "needs root and network namespaces"]
fn an_idle_sender_sends_nothing() {
    const MINUTES: u64 = 2;
    let lab = Lab::new();
    let bridge = lab.bridge();
    let hosts = [lab.host(), lab.host()];
    let interfaces = [0, 1].map(|n| lab.connect(&hosts[n], &bridge, &[&format!("10.9.0.{}/24", n + 1)]).interface);
    let (user, receiver) = (User::on(&hosts[0]), lab.host_on(&bridge, &["10.9.0.3/24"]));
    let sender = user.send("content", None);
    User::on(&receiver).receive(&sender, "content", None);
    let sent = || [0, 1].map(|n| hosts[n].sent_packets(&interfaces[n]));
    thread::sleep(Duration::from_secs(30)); // the second announcement, and the start of the system's own search
    let before = sent();
    thread::sleep(Duration::from_secs(60 * MINUTES));
    let after = sent();
    let [of_sender, of_idle] = [0, 1].map(|n| after[n] - before[n]);
    eprintln!("packets in {MINUTES} minutes: {of_sender} of the host of an idle sender, {of_idle} of an idle host");
    assert!(of_sender <= of_idle + MINUTES);
}
