//! Receivers that accept or acknowledge nothing cost the relay little, and do not slow others.

use qshare::internals::{
    code::{Code, Secret},
    error::Kind,
    relay::MemoryBudget,
    route::Route,
    transfer::handshake::{Credential, Initiator, InitiatorOptions},
    wire::{
        peer::Credit,
        relay::{ConnectReply, ConnectRequest, RelayLimits},
    },
};
use tokio::time::sleep;

use super::{
    super::units::{HOUR, MIB, MS, SECOND},
    harness::{failures, max_direction_bytes, unbounded_queue},
    isolation::{assert_as_fast_as_undisturbed, max_held, three_downloads_beside},
    manual_receiver::ManualReceiver,
};
use crate::{
    hostile::raw_quic::{Grants, connect_over},
    support::bytes_of,
    vnet::{LinkConfig, Network, NetworkPath, RelayKind, Scenario, ShareTask, mbit},
};

/// The longest packet that still reaches a receiver which acknowledges no data: acknowledgements and keep-alives are
/// shorter, so its connection stays open.
const KEEP_ALIVES_ONLY: u64 = 200;

/// The peers without the code, and their streams.
const STRANGERS: usize = 6;
const STREAMS: usize = 16;

fn fast_path(network: &Network) -> NetworkPath {
    network.path(&unbounded_queue(mbit(100), 30 * MS))
}

fn keep_alives_only(link: &mut LinkConfig) {
    link.mtu = KEEP_ALIVES_ONLY;
}

/// The receiver has the code and grants as much credit as the relay allows. It acknowledges a megabyte, and then
/// nothing.
#[test]
fn a_receiver_that_stops_acknowledging_does_not_slow_others() {
    let other = async |network: &Network, scenario: &Scenario, share: &ShareTask, memory: &MemoryBudget| {
        let down = fast_path(network);
        let host = scenario.add_host(&down);
        let mut receiver = ManualReceiver::request_file(scenario, &host, &share.code).await;
        receiver.session.reader.set_reorder_window(32 * MIB);
        receiver.send(&Credit { limit: 16 * MIB, received: 0 }).await;
        receiver.read_to(MIB).await;
        down.reverse[0].change(keep_alives_only);
        sleep(10 * SECOND).await;
        let usage = memory.usage();
        println!("after the other downloads: {usage:?}");
        assert_eq!(usage.directions, 2, "the connection is still open");
        assert!(usage.unacknowledged as u64 > MIB, "the attack has no effect: {usage:?}");
        let max = max_held(memory, HOUR).await;
        println!("an hour later: {:?}, at most {max}", memory.usage());
        assert!(max <= max_direction_bytes(16 * MIB), "{max}");
        assert_eq!((memory.usage().directions, memory.usage().held), (0, 0));
        let failures = failures(share);
        assert!(matches!(&failures[..], [(_, Kind::Network, _)]), "{failures:?}");
        drop(receiver);
    };
    for kind in RelayKind::ALL {
        let (durations, _) = three_downloads_beside(kind, other);
        assert_as_fast_as_undisturbed(kind, &durations);
    }
}

/// What peers without the code withhold from the relay.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Withheld {
    /// Room on their streams for more than the relay's reply.
    Window,
    /// Acknowledgements of data.
    Acknowledgements,
    /// They only do not read.
    Reads,
}

/// Connects a peer without the code, which opens every stream that it may and begins a handshake on each.
async fn open_every_stream(
    network: &Network,
    scenario: &Scenario,
    share: &ShareTask,
    withheld: Withheld,
) -> (quinn::Connection, Vec<(quinn::SendStream, quinn::RecvStream)>) {
    let path = fast_path(network);
    let host = scenario.add_host(&path);
    let endpoint = host.endpoint();
    let slot = share.code.slot();
    let reply = ConnectReply { limits: RelayLimits { bridge_bytes: 16 * MIB }, pass: vec![0; 48], route: Route::Relay };
    let stream_window = match withheld {
        Withheld::Window => bytes_of(&reply).len() as u32,
        _ => Grants::AMPLE.stream_window,
    };
    let connection = connect_over(&endpoint, scenario.relay_addr(), Grants { stream_window, ..Grants::AMPLE }).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let wrong = Code::new(slot, Secret::random(5).unwrap());
        let initiator = Initiator::new(Credential::Code(&wrong), InitiatorOptions::default()).unwrap();
        let request = bytes_of(&ConnectRequest { slot, token: None, pass: None });
        let mut stream = connection.open_bi().await.unwrap();
        stream.0.write_all(&[&request[..], initiator.flight_1()].concat()).await.unwrap();
        streams.push(stream);
    }
    if withheld == Withheld::Acknowledgements {
        path.reverse[0].change(keep_alives_only);
    }
    (connection, streams)
}

/// Peers without the code occupy no stream of the sender for long.
#[test]
fn peers_without_the_code_that_accept_nothing_lose_their_bridges() {
    for withheld in [Withheld::Window, Withheld::Acknowledgements, Withheld::Reads] {
        let other = async |network: &Network, scenario: &Scenario, share: &ShareTask, memory: &MemoryBudget| {
            sleep(SECOND).await; // the honest receivers have confirmed the code
            let mut strangers = Vec::new();
            for _ in 0..STRANGERS {
                strangers.push(open_every_stream(network, scenario, share, withheld).await);
            }
            sleep(9 * SECOND).await;
            let usage = memory.usage();
            println!("{withheld:?}, after the other downloads: {usage:?}");
            assert!(usage.directions > 0, "the attack has no effect");
            let max = max_held(memory, 3 * 60 * SECOND).await;
            let usage = memory.usage();
            println!("{withheld:?}, three minutes later: {usage:?}, at most {max}");
            assert!(max <= STRANGERS * STREAMS * 128 * 1024, "{max}");
            assert_eq!((usage.directions, usage.held), (0, 0), "{withheld:?}");
            drop(strangers);
        };
        for kind in RelayKind::ALL {
            let (durations, _) = three_downloads_beside(kind, other);
            assert_as_fast_as_undisturbed(kind, &durations);
        }
    }
}
