//! Limits by source. Each loopback address is a source of its own in these tests.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use qshare::internals::{
    code::Slot,
    error::Kind,
    net::{RelayConnection, StreamError},
    relay::{Limits, RelayConfig, RelayLimit},
    transfer::{
        Registration,
        handshake::guess_budget::{BURST, REFILL_INTERVAL},
    },
    wire::{
        Frame, Message,
        relay::{ConnectReply, ConnectRequest, MAX_BODY, RegisterRequest, RejectReason, Rejected},
        reset_code::UNCONFIRMED,
    },
};

use super::harness::{ClientStream, open_bridge, open_stream_with};
use crate::{
    hostile::{
        local_relay::LocalRelay,
        processes::within,
        raw_quic::{self, Grants},
    },
    support::bytes_of,
};

/// Starts a relay that limits loopback addresses.
fn limited_relay(values: &[(RelayLimit, u32)]) -> LocalRelay {
    let limits = values.iter().fold(Limits::default(), |limits, (limit, value)| limits.with(*limit, *value));
    LocalRelay::start(RelayConfig { limits, limit_loopback: true, ..RelayConfig::default() })
}

/// Returns a loopback address that no other role uses.
fn source(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 7, high, low)
}

async fn client(relay: &LocalRelay, number: u16) -> RelayConnection {
    within("a connection", relay.connect_from(source(number))).await.unwrap()
}

async fn register(connection: &RelayConnection, ticket: Option<Vec<u8>>) -> Result<Registration, String> {
    let registered = Registration::request(connection.connection.clone(), None, ticket).await;
    registered.map_err(|e| format!("{:?}: {} {:?}", e.kind(), e.message(), e.hint_text()))
}

/// Requests a bridge. Returns the stream, or why the relay refuses.
async fn connect(connection: &RelayConnection, slot: Slot) -> Result<ClientStream, Rejected> {
    let request = bytes_of(&ConnectRequest { slot, token: None, pass: None });
    let (send, mut recv) = open_stream_with(connection, &request).await;
    let reply = within("a reply", recv.read_frame(MAX_BODY)).await.unwrap();
    match reply.frame().kind {
        ConnectReply::TYPE => Ok((send, recv)),
        _ => Err(reply.frame().decode().unwrap()),
    }
}

/// Connects to a slot and lets the sender report that nobody confirmed the code.
async fn guess_wrongly(
    relay: &LocalRelay,
    guesser: u16,
    sender: &RelayConnection,
    slot: Slot,
    leaves: Leaves,
) -> Result<(), Rejected> {
    let connection = client(relay, guesser).await;
    let (near, mut far) = match connect(&connection, slot).await {
        Ok(near) => (near, within("the relay's stream", sender.connection.accept_stream()).await.unwrap()),
        Err(rejected) => return Err(rejected),
    };
    far.1.read_frame(MAX_BODY).await.unwrap();
    if leaves == Leaves::Early {
        connection.close().await;
        assert!(within("the guesser's end", far.1.read()).await.is_err());
    }
    far.0.reset(UNCONFIRMED);
    far.1.stop(UNCONFIRMED);
    if leaves == Leaves::Late {
        let (_send, mut recv) = near;
        let ended = within("the sender's verdict", recv.read()).await;
        assert_eq!(ended, Err(StreamError::Aborted(UNCONFIRMED)), "the receiver gets the code too");
    }
    Ok(())
}

/// When a guesser leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// Before the sender reports that the code was wrong.
    Early,
    Late,
}

fn limit_of(rejected: &Rejected) -> RelayLimit {
    assert!(rejected.retry_after > 0, "{rejected:?}");
    match rejected.reason {
        RejectReason::Limit(limit) => limit,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_scans_slots_is_refused_before_it_learns_more() {
    let relay = limited_relay(&[]);
    let sender = client(&relay, 1).await;
    let registration = register(&sender, None).await.unwrap();
    let slots = (0..).map(Slot::from_number).filter(|slot| *slot != registration.slot());
    let mut scanner = client(&relay, 2).await;
    let mut misses = 0;
    let refused = 'scan: {
        for (i, slot) in slots.enumerate() {
            if i % 10 == 9 {
                scanner = client(&relay, 2).await; // another connection is no other source
            }
            match connect(&scanner, slot).await {
                Err(Rejected { reason: RejectReason::NotFound, .. }) => misses += 1,
                Err(other) => break 'scan other,
                Ok(_) => panic!("nobody has {slot}"),
            }
        }
        unreachable!()
    };
    assert_eq!((misses, limit_of(&refused)), (60, RelayLimit::Misses));
    let hit = connect(&scanner, registration.slot()).await.err().unwrap();
    assert_eq!(limit_of(&hit), RelayLimit::Misses, "the slot of a sender is refused like any other");
    let honest = client(&relay, 3).await;
    assert!(connect(&honest, registration.slot()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_guesses_codes_of_several_shares_is_barred() {
    for leaves in [Leaves::Late, Leaves::Early] {
        let relay = limited_relay(&[]);
        let mut shares = Vec::new();
        for number in 1..=3 {
            let sender = client(&relay, number).await;
            let registration = register(&sender, None).await.unwrap();
            shares.push((sender, registration));
        }
        let mut guesses = 0;
        let refused = loop {
            let (sender, registration) = &shares[guesses % 3];
            match guess_wrongly(&relay, 9, sender, registration.slot(), leaves).await {
                Ok(()) => guesses += 1,
                Err(rejected) => break rejected,
            }
            assert!(guesses < 40, "the relay does not count guesses");
        };
        // The relay may count a guess after it has admitted the next one.
        assert!((11..=16).contains(&guesses), "{guesses} guesses, {leaves:?}");
        assert_eq!(limit_of(&refused), RelayLimit::Unconfirmed);
        assert!(refused.retry_after > 3_000, "{refused:?}");
        let honest = client(&relay, 10).await;
        assert!(connect(&honest, shares[0].1.slot()).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_many_sources_guess_is_slow_for_new_ones() {
    let relay = limited_relay(&[(RelayLimit::SlotUnconfirmed, 3)]);
    let (sender, other) = (client(&relay, 1).await, client(&relay, 2).await);
    let (attacked, quiet) = (register(&sender, None).await.unwrap(), register(&other, None).await.unwrap());
    let refused = 'attack: {
        for guesser in 100..140 {
            if let Err(rejected) = guess_wrongly(&relay, guesser, &sender, attacked.slot(), Leaves::Late).await {
                break 'attack rejected;
            }
        }
        panic!("the relay does not protect the slot")
    };
    assert_eq!(limit_of(&refused), RelayLimit::SlotUnconfirmed);
    assert!((1..=5).contains(&refused.retry_after), "{refused:?}");
    let honest = client(&relay, 3).await;
    assert!(connect(&honest, quiet.slot()).await.is_ok(), "other shares are not affected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_and_handshakes_of_one_source_are_bounded() {
    let relay = limited_relay(&[(RelayLimit::Connections, 10), (RelayLimit::Handshakes, 40)]);
    let mut open = Vec::new();
    for _ in 0..30 {
        let Ok(connection) = relay.connect_from(source(1)).await else { continue };
        let is_served = connect(&connection, Slot::from_number(1)).await.is_err();
        open.extend(is_served.then_some(connection));
    }
    assert_eq!(open.len(), 10);
    let refused = relay.connect_from(source(1)).await.unwrap_err();
    assert!(refused.kind() == Kind::Network && refused.message().contains("may be full, or limit"), "{refused}");
    drop(client(&relay, 2).await);
    let mut handshakes = 0;
    for _ in 0..100 {
        if let Ok(connection) = relay.connect_from(source(3)).await {
            handshakes += 1;
            connection.close().await;
        }
    }
    assert!((20..60).contains(&handshakes), "{handshakes} handshakes");
    drop(client(&relay, 2).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_are_bounded_by_connection_and_by_source_and_tickets_change_nothing() {
    let relay = limited_relay(&[(RelayLimit::Slots, 6)]);
    let (one, two, three) = (client(&relay, 1).await, client(&relay, 1).await, client(&relay, 1).await);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(register(&one, None).await.unwrap());
    }
    let refused = register(&one, None).await.err().unwrap();
    assert!(refused.contains("Refused") && refused.contains("slots-per-connection"), "{refused}");
    let mut freed = register(&two, None).await.unwrap();
    within("a release", freed.release()).await;
    held.push(register(&two, None).await.unwrap());
    held.push(register(&two, None).await.unwrap());
    for ticket in [None, Some(freed.ticket().to_vec())] {
        let refused = register(&three, ticket).await.err().unwrap();
        assert!(refused.contains("limit slots)") && refused.contains("try again in"), "{refused}");
    }
    // A sender that reconnects replaces its own slot, and closes its lost connection.
    let replaced = register(&three, Some(held[5].ticket().to_vec())).await.unwrap();
    assert_eq!(replaced.slot(), held[5].slot());
    within("the end of the replaced connection", two.connection.closed()).await;
    assert!(register(&client(&relay, 2).await, None).await.is_ok(), "other sources are not affected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_registers_again_and_again_is_refused_and_then_closed() {
    let relay = limited_relay(&[]);
    let churner = client(&relay, 1).await;
    let mut registrations = 0;
    let refused = loop {
        match register(&churner, None).await {
            Ok(mut registration) => within("a release", registration.release()).await,
            Err(refused) => break refused,
        }
        registrations += 1;
    };
    assert_eq!(registrations, 16);
    assert!(refused.contains("registrations-per-connection"), "{refused}");
    within("the end of the connection", async {
        while register(&churner, None).await.is_err() && !churner.connection.is_closed() {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_of_one_source_are_bounded_over_all_connections() {
    let relay = limited_relay(&[(RelayLimit::Registrations, 40)]);
    let mut registrations = 0;
    let refused = 'churn: loop {
        let churner = client(&relay, 1).await;
        for _ in 0..15 {
            match register(&churner, None).await {
                Ok(registration) => drop(registration),
                Err(refused) => break 'churn refused,
            }
            registrations += 1;
        }
    };
    assert!((40..45).contains(&registrations), "{registrations}");
    assert!(refused.contains("limit registrations)"), "{refused}");
    assert!(register(&client(&relay, 2).await, None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridges_and_waiting_streams_of_one_source_are_bounded() {
    let relay = limited_relay(&[(RelayLimit::Bridges, 4), (RelayLimit::StartingBridges, 3), (RelayLimit::Streams, 5)]);
    let sender = client(&relay, 1).await;
    let registration = register(&sender, None).await.unwrap();
    let receiver = client(&relay, 2).await;
    let mut bridges = Vec::new();
    for _ in 0..3 {
        bridges.push(open_bridge(&receiver, &sender, registration.slot()).await);
    }
    let refused = connect(&receiver, registration.slot()).await.err().unwrap();
    assert_eq!(limit_of(&refused), RelayLimit::StartingBridges);
    let waiting_client = client(&relay, 3).await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(open_stream_with(&waiting_client, &[RegisterRequest::TYPE]).await);
    }
    let refused = connect(&waiting_client, registration.slot()).await.err().unwrap();
    assert_eq!(limit_of(&refused), RelayLimit::Streams);
    let other = client(&relay, 4).await;
    assert!(connect(&other, registration.slot()).await.is_ok());
}

/// QUIC follows a client to another address, and a hostile client can choose any address there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_changes_its_address_keeps_the_source_of_its_handshake() {
    let relay = limited_relay(&[(RelayLimit::Misses, 5)]);
    let socket = |number| std::net::UdpSocket::bind((source(number), 0)).unwrap();
    let endpoint = quinn::Endpoint::new(Default::default(), None, socket(1), Arc::new(quinn::TokioRuntime)).unwrap();
    let moving = raw_quic::connect_over(&endpoint, relay.addr(), Grants::AMPLE).await;
    let connect_raw = async || {
        let (mut send, mut recv) = moving.open_bi().await.unwrap();
        let slot = Slot::from_number(1);
        send.write_all(&bytes_of(&ConnectRequest { slot, token: None, pass: None })).await.unwrap();
        let reply = within("a reply", raw_quic::read_frame(&mut recv)).await;
        Frame::split(&mut &reply[..]).unwrap().decode::<Rejected>().unwrap().reason
    };
    for number in 2..7 {
        assert_eq!(connect_raw().await, RejectReason::NotFound);
        endpoint.rebind(socket(number)).unwrap();
    }
    assert_eq!(connect_raw().await, RejectReason::Limit(RelayLimit::Misses));
    let other = client(&relay, 3).await; // an address that the client has passed through
    assert_eq!(connect(&other, Slot::from_number(1)).await.err().unwrap().reason, RejectReason::NotFound);
    let first = client(&relay, 1).await;
    assert_eq!(limit_of(&connect(&first, Slot::from_number(1)).await.err().unwrap()), RelayLimit::Misses);
}

/// An honest sender loses a burst of attempts, and one more every [`REFILL_INTERVAL`]. The relay must see an attack in
/// that, and none in a burst.
#[test]
fn a_slot_is_protected_if_its_sender_keeps_losing_attempts() {
    let limit = Limits::default().get(RelayLimit::SlotUnconfirmed);
    assert!(limit >= BURST);
    assert!(Duration::from_secs(3600) / limit > REFILL_INTERVAL);
}
