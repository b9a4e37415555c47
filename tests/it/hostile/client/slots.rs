//! Slots: registration, their number, and their lifetime.

use qshare::internals::{
    code::Slot,
    error::Kind,
    relay::{Limits, RelayConfig, SenderPolicy},
    transfer::Registration,
    wire::{
        Message,
        relay::{ConnectReply, ConnectRequest, MAX_BODY, RegisterReply, RegisterRequest, RejectReason, Rejected},
        relay_limit::RelayLimit,
    },
};

use super::harness::{open_bridge, open_stream_with, read_to_end, register_sender};
use crate::{
    hostile::{local_relay::LocalRelay, processes::within},
    support::bytes_of,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_resting_and_unused_slots_get_identical_replies() {
    let relay = LocalRelay::start(RelayConfig::default());
    let (connection, registration) = register_sender(&relay).await;
    let freed = registration.slot();
    connection.close().await;
    let client = relay.connect().await;
    let request = |slot| {
        let client = &client;
        async move { open_stream_with(client, &bytes_of(&ConnectRequest { slot, token: None, pass: None })).await }
    };
    // The relay may notice the end of the sender after the first requests.
    let reply_once_free = async |slot| loop {
        match read_to_end(request(slot).await).await {
            Ok(reply) if reply[0] != ConnectReply::TYPE => return reply,
            _ => {}
        }
    };
    let unused = (0..20).map(Slot::from_number).filter(|slot| *slot != freed);
    let mut replies = Vec::new();
    for slot in unused.chain([freed]) {
        replies.push(within("a rejection", reply_once_free(slot)).await);
    }
    let expected = bytes_of(&Rejected { reason: RejectReason::NotFound, retry_after: 0 });
    assert!(replies.iter().all(|reply| *reply == expected), "{replies:x?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_valid_as_long_as_its_registration_stream() {
    let relay = LocalRelay::start(RelayConfig::default());
    let connection = relay.connect().await;
    let receiver = relay.connect().await;
    for end in ["finish", "reset", "unexpected data"] {
        let (mut send, mut recv) =
            open_stream_with(&connection, &bytes_of(&RegisterRequest { token: None, ticket: None })).await;
        let answer = recv.read_frame(MAX_BODY).await.unwrap();
        let RegisterReply { slot, .. } = answer.frame().decode().unwrap();
        drop(open_bridge(&receiver, &connection, slot).await);
        match end {
            "finish" => send.finish(),
            "reset" => send.reset(9),
            _ => send.write("!".into()).await.unwrap(),
        }
        let ended = read_to_end((send, recv)).await;
        assert_eq!(ended.is_ok(), end == "finish", "{end}: {ended:?}");
        let answer = read_to_end(
            open_stream_with(&receiver, &bytes_of(&ConnectRequest { slot, token: None, pass: None })).await,
        )
        .await
        .unwrap();
        assert_eq!(answer, bytes_of(&Rejected { reason: RejectReason::NotFound, retry_after: 0 }), "{end}");
    }
}

/// One connection may register several slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_slots_of_one_connection_are_independent() {
    let relay = LocalRelay::start(RelayConfig::default());
    let (connection, first) = register_sender(&relay).await;
    let second = Registration::request(connection.connection.clone(), None, None).await.unwrap();
    assert_ne!(first.slot(), second.slot());
    let receiver = relay.connect().await;
    for slot in [first.slot(), second.slot()] {
        let (mut near, mut far) = open_bridge(&receiver, &connection, slot).await;
        near.0.write("x".into()).await.unwrap();
        assert_eq!(within("a byte", far.1.read()).await.unwrap().unwrap(), "x");
    }
    drop(first);
    let (_near, _far) = open_bridge(&receiver, &connection, second.slot()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_needs_the_exact_token() {
    let relay = LocalRelay::start(RelayConfig {
        senders: SenderPolicy::WithToken(b"open sesame".to_vec()),
        ..RelayConfig::default()
    });
    let connection = relay.connect().await;
    for token in [None, Some(&b""[..]), Some(b"open"), Some(b"open sesame "), Some(b"OPEN SESAME")] {
        let asked = Registration::request(connection.connection.clone(), token.map(<[u8]>::to_vec), None).await;
        assert_eq!(asked.err().map(|e| e.kind()), Some(Kind::Refused), "{token:?}");
    }
    let registration =
        Registration::request(connection.connection.clone(), Some(b"open sesame".to_vec()), None).await.unwrap();
    let receiver = relay.connect().await;
    drop(open_bridge(&receiver, &connection, registration.slot()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_has_at_most_so_many_senders() {
    let relay = LocalRelay::start(RelayConfig {
        limits: Limits::default().with(RelayLimit::SlotsTotal, 3),
        ..RelayConfig::default()
    });
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(register_sender(&relay).await);
    }
    let connection = relay.connect().await;
    let full = Registration::request(connection.connection.clone(), None, None).await.err().unwrap();
    assert_eq!(full.kind(), Kind::Refused);
    let (leaving, registration) = taken.pop().unwrap();
    drop(registration);
    leaving.close().await;
    let freed = async {
        while Registration::request(connection.connection.clone(), None, None).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("a slot after another sender left", freed).await;
}
