//! What is announced and found, with the types of the library.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use qshare::net::{LanAnnouncement, LanReach, LanSearch};
use simple_dns::{
    CLASS, Name, Packet, Question, TYPE,
    rdata::{A, PTR, RData},
};
use tokio::time::timeout;

use crate::support::{Host, Lab, LanResponder, SERVICE, lan_answer};

/// A time in which everything on a bridge has long happened.
const LONG: Duration = Duration::from_secs(20);

/// Runs `work` on a host, in a runtime that allows to open sockets there.
fn on<T: Send>(host: &Host, work: impl Future<Output = T> + Send) -> T {
    host.enter(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work))
}

/// Announces a port on a host. The announcement runs on a thread of its own, so it outlives the call.
fn announce(host: &Host, port: u16) -> LanAnnouncement {
    on(host, async { LanAnnouncement::start(port, LanReach::Multicast).unwrap() })
}

/// Searches on a host until an address with this port is found.
fn find(host: &Host, port: u16) -> SocketAddr {
    on(host, async {
        let mut search = LanSearch::start(LanReach::Multicast);
        timeout(LONG, async {
            loop {
                let found = search.next().await;
                if found.port() == port {
                    return found;
                }
            }
        })
        .await
        .expect("no sender is found")
    })
}

/// Returns everything that an announcement answers to a question on an interface with this IPv4 address.
fn answers_to_a_question(host: &Host, address: &str) -> Vec<u8> {
    host.enter(|| {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        let mut question = Packet::new_query(7);
        let service = Name::new(SERVICE).unwrap();
        question.questions.push(Question::new(service, TYPE::PTR.into(), CLASS::IN.into(), false));
        socket.send_to(&question.build_bytes_vec().unwrap(), "224.0.0.251:5353").unwrap();
        let mut answer = vec![0; 1500];
        let length = socket.recv(&mut answer).unwrap();
        answer.truncate(length);
        answer
    })
}

fn is_random_label(label: &str) -> bool {
    label.len() == 16 && label.chars().all(|c| c.is_ascii_hexdigit())
}

#[test]
#[ignore = "needs root and network namespaces"]
fn an_announcement_contains_a_port_the_addresses_and_random_names() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, receiver) = (lab.host_on(&bridge, &["10.9.0.1/24"]), lab.host_on(&bridge, &["10.9.0.2/24"]));
    let _announcement = announce(&sender, 7000);
    find(&receiver, 7000);
    let message = answers_to_a_question(&receiver, "10.9.0.2");
    let answer = Packet::parse(&message).unwrap();
    let mut kinds = Vec::new();
    for record in answer.answers.iter().chain(&answer.name_servers).chain(&answer.additional_records) {
        let name = record.name.to_string();
        let labels: Vec<_> = name.splitn(2, '.').collect();
        match &record.rdata {
            RData::PTR(PTR(instance)) => {
                assert_eq!(name, SERVICE);
                assert!(is_random_label(instance.to_string().strip_suffix("._qshare._udp.local").unwrap()));
                kinds.push("PTR");
            }
            RData::SRV(location) => {
                assert!(is_random_label(labels[0]) && labels[1] == SERVICE, "{name}");
                assert!(is_random_label(location.target.to_string().strip_suffix(".local").unwrap()));
                assert_eq!((location.port, location.priority, location.weight), (7000, 0, 0));
                kinds.push("SRV");
            }
            RData::TXT(properties) => {
                assert!(properties.attributes().is_empty());
                kinds.push("TXT");
            }
            RData::A(A { address }) => {
                assert!(is_random_label(labels[0]) && labels[1] == "local", "{name}");
                assert_eq!(Ipv4Addr::from(*address), Ipv4Addr::new(10, 9, 0, 1));
                kinds.push("A");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kinds, ["PTR", "SRV", "TXT", "A"]);
}

/// The names of the goodbye are those of the announcement, and it expires at once.
#[test]
#[ignore = "needs root and network namespaces"]
fn an_announcement_ends_with_a_goodbye() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, receiver) = (lab.host_on(&bridge, &["10.9.0.1/24"]), lab.host_on(&bridge, &["10.9.0.2/24"]));
    let socket = receiver.mdns_socket("10.9.0.2".parse().unwrap());
    socket.set_read_timeout(Some(LONG)).unwrap();
    let announcement = announce(&sender, 7000);
    find(&receiver, 7000);
    on(&sender, announcement.stop());
    let mut message = [0; 1500];
    loop {
        let length = socket.recv(&mut message).unwrap();
        let message = Packet::parse(&message[..length]).unwrap();
        if message.answers.iter().any(|record| record.ttl == 0 && record.name.to_string() == SERVICE) {
            break;
        }
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_receiver_on_two_networks_finds_senders_on_both() {
    let lab = Lab::new();
    let (first, second) = (lab.bridge(), lab.bridge());
    let senders = (lab.host_on(&first, &["10.9.0.1/24"]), lab.host_on(&second, &["10.8.0.1/24"]));
    let receiver = lab.host_on(&first, &["10.9.0.2/24"]);
    lab.connect(&receiver, &second, &["10.8.0.2/24"]);
    let _announcements = (announce(&senders.0, 7000), announce(&senders.1, 7001));
    find(&receiver, 7000);
    find(&receiver, 7001);
}

/// A switch that snoops forwards multicasts only to members of a group, and 224.0.0.x and ff02::x to everyone or to
/// members that it has seen. Without a querier it forgets members.
#[test]
#[ignore = "needs root and network namespaces"]
fn snooping_without_a_querier_hides_nothing() {
    let lab = Lab::new();
    let bridge = lab.bridge_with(&["mcast_snooping", "1", "mcast_querier", "0"]);
    let (sender, receiver) = (lab.host_on(&bridge, &["10.9.0.1/24"]), lab.host_on(&bridge, &["10.9.0.2/24"]));
    let _announcement = announce(&sender, 7000);
    find(&receiver, 7000);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn hosts_with_ipv6_only_find_each_other() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, receiver) = (lab.host_on(&bridge, &[]), lab.host_on(&bridge, &[]));
    let _announcement = announce(&sender, 7000);
    let SocketAddr::V6(found) = find(&receiver, 7000) else { panic!("an IPv4 address without IPv4") };
    assert!(found.ip().is_unicast_link_local() && found.scope_id() > 1, "{found}");
}

#[test]
#[ignore = "needs root and network namespaces"]
fn hosts_with_ipv4_link_local_addresses_only_find_each_other() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, receiver) = (lab.host_on(&bridge, &["169.254.3.4/16"]), lab.host_on(&bridge, &["169.254.5.6/16"]));
    sender.disable_ipv6();
    receiver.disable_ipv6();
    let _announcement = announce(&sender, 7000);
    assert_eq!(find(&receiver, 7000), "169.254.3.4:7000".parse().unwrap());
}

/// The receiver has no network when it starts to search.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_network_that_appears_during_a_search_is_asked() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let sender = lab.host_on(&bridge, &["10.9.0.1/24"]);
    let receiver = lab.host();
    let _announcement = announce(&sender, 7000);
    on(&receiver, async {
        let mut search = LanSearch::start(LanReach::Multicast);
        assert_eq!(search.asked_networks(), 0);
        lab.connect(&receiver, &bridge, &["10.9.0.2/24"]);
        let found = timeout(LONG, search.next()).await.expect("no sender is found");
        assert_eq!(found.port(), 7000);
        assert_eq!(search.asked_networks(), 1);
    });
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_sender_that_moves_to_another_network_is_found_there() {
    let lab = Lab::new();
    let (first, second) = (lab.bridge(), lab.bridge());
    let sender = lab.host();
    let cable = lab.connect(&sender, &first, &["10.9.0.1/24"]);
    let receivers = (lab.host_on(&first, &["10.9.0.2/24"]), lab.host_on(&second, &["10.8.0.2/24"]));
    let _announcement = announce(&sender, 7000);
    find(&receivers.0, 7000);
    cable.disconnect();
    lab.connect(&sender, &second, &["10.8.0.1/24"]);
    find(&receivers.1, 7000);
}

/// The rogue answers before the sender, at 200 ports.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_rogue_responder_does_not_hide_a_sender() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, receiver) = (lab.host_on(&bridge, &["10.9.0.1/24"]), lab.host_on(&bridge, &["10.9.0.2/24"]));
    let rogue = lab.host_on(&bridge, &["10.9.0.3/24"]);
    let socket = rogue.mdns_socket("10.9.0.3".parse().unwrap());
    let _rogue = LanResponder::on(socket, |question| (8000..8200).map(|port| lan_answer(question.id, port)).collect());
    let _announcement = announce(&sender, 7000);
    find(&receiver, 7000);
}

/// The aims are a median of 150 ms and a maximum of 500 ms for a whole `recv`, of which the search is the first part.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_search_on_a_lossy_network_is_fast() {
    const RUNS: usize = 50;
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, receiver) = (lab.host_on(&bridge, &["10.9.0.1/24"]), lab.host_on(&bridge, &["10.9.0.2/24"]));
    let _announcement = announce(&sender, 7000);
    find(&receiver, 7000);
    lab.lose(5);
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            find(&receiver, 7000);
            started.elapsed()
        })
        .collect();
    times.sort();
    eprintln!("a search with 5 % loss: median {:?}, worst {:?} of {RUNS}", times[RUNS / 2], times[RUNS - 1]);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn an_idle_announcement_sends_nothing() {
    let lab = Lab::new();
    let bridge = lab.bridge();
    let (sender, idle) = (lab.host(), lab.host());
    let interfaces = [(&sender, "10.9.0.1/24"), (&idle, "10.9.0.2/24")]
        .map(|(host, ip)| lab.connect(host, &bridge, &[ip]).interface);
    let _announcement = announce(&sender, 7000);
    let sent = || [sender.sent_packets(&interfaces[0]), idle.sent_packets(&interfaces[1])];
    thread::sleep(Duration::from_secs(30)); // the system itself still looks for routers
    let before = sent();
    thread::sleep(Duration::from_secs(120));
    let after = sent();
    let sent = [after[0] - before[0], after[1] - before[1]];
    eprintln!("packets in two minutes: {} of an announcing host, {} of an idle host", sent[0], sent[1]);
    assert!(sent[0] <= sent[1] + 2);
}
