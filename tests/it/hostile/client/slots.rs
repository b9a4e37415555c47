//! Slots: who gets one, how many there are, and how long they last.

use qshare::{
    code::Slot,
    error::Kind,
    relay::RelayConfig,
    transfer::Registration,
    wire::{
        Message,
        relay::{ConnectReply, ConnectRequest, MAX_BODY, RegisterReply, RegisterRequest, RejectReason, Rejected},
    },
};

use crate::{
    hostile::{local_relay::LocalRelay, processes::within},
    support::bytes_of,
};

use super::harness::{bridge, end_of, said, sender};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_are_free_resting_or_never_used_answer_alike() {
    let relay = LocalRelay::start(RelayConfig::default());
    let (connection, registration) = sender(&relay).await;
    let freed = registration.slot();
    let taken = |slot: u32| Slot::from_number(slot) == freed;
    connection.close().await;
    let connection = relay.connect().await;
    let mut answers = Vec::new();
    let others = (0..20).filter(|n| !taken(*n)).map(Slot::from_number);
    for slot in others.chain([freed]) {
        let mut answer = None;
        // The relay hears of the sender's end when it does.
        while answer.as_ref().is_none_or(|a: &Vec<u8>| a[0] == ConnectReply::TYPE) {
            answer = end_of(said(&connection, &bytes_of(&ConnectRequest { slot, token: None, pass: None })).await)
                .await
                .ok();
        }
        answers.push(answer.unwrap());
    }
    let expected = bytes_of(&Rejected { reason: RejectReason::NotFound, retry_after: 0 });
    assert!(answers.iter().all(|answer| *answer == expected), "{answers:x?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_good_for_as_long_as_its_stream() {
    let relay = LocalRelay::start(RelayConfig::default());
    let connection = relay.connect().await;
    let receiver = relay.connect().await;
    for end in ["finish", "reset", "a word too much"] {
        let (mut send, mut recv) = said(&connection, &bytes_of(&RegisterRequest { token: None, ticket: None })).await;
        let answer = recv.read_frame(MAX_BODY).await.unwrap();
        let RegisterReply { slot, .. } = answer.frame().decode().unwrap();
        drop(bridge(&receiver, &connection, slot).await);
        match end {
            "finish" => send.finish(),
            "reset" => send.reset(9),
            _ => send.write("!".into()).await.unwrap(),
        }
        let ended = end_of((send, recv)).await;
        assert_eq!(ended.is_ok(), end == "finish", "{end}: {ended:?}");
        let answer =
            end_of(said(&receiver, &bytes_of(&ConnectRequest { slot, token: None, pass: None })).await).await.unwrap();
        assert_eq!(answer, bytes_of(&Rejected { reason: RejectReason::NotFound, retry_after: 0 }), "{end}");
    }
}

/// One connection may hold several slots; they are different, and each leads to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_registration_disturbs_no_slot() {
    let relay = LocalRelay::start(RelayConfig::default());
    let (connection, first) = sender(&relay).await;
    let second = Registration::request(connection.connection.clone(), None, None).await.unwrap();
    assert_ne!(first.slot(), second.slot());
    let receiver = relay.connect().await;
    for slot in [first.slot(), second.slot()] {
        let (mut near, mut far) = bridge(&receiver, &connection, slot).await;
        near.0.write("x".into()).await.unwrap();
        assert_eq!(within("a byte", far.1.read()).await.unwrap().unwrap(), "x");
    }
    drop(first);
    let (_near, _far) = bridge(&receiver, &connection, second.slot()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_token_gets_no_slot() {
    let relay =
        LocalRelay::start(RelayConfig { register_token: Some(b"open sesame".to_vec()), ..RelayConfig::default() });
    let connection = relay.connect().await;
    for token in [None, Some(&b""[..]), Some(b"open"), Some(b"open sesame "), Some(b"OPEN SESAME")] {
        let asked = Registration::request(connection.connection.clone(), token.map(<[u8]>::to_vec), None).await;
        assert_eq!(asked.err().map(|e| e.kind()), Some(Kind::Refused), "{token:?}");
    }
    let registration =
        Registration::request(connection.connection.clone(), Some(b"open sesame".to_vec()), None).await.unwrap();
    let receiver = relay.connect().await;
    drop(bridge(&receiver, &connection, registration.slot()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_as_many_slots_as_the_relay_allows() {
    let relay = LocalRelay::start(RelayConfig { max_senders: 3, ..RelayConfig::default() });
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(sender(&relay).await);
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
    within("a slot that was given back", freed).await;
}
