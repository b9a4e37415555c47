//! Hostile clients against a relay: each costs itself its stream or its connection, and nobody else anything.

use std::time::Duration;

use bytes::Bytes;
use qshare::{
    code::Slot,
    error::Kind,
    net::{ConnectionLost, RecvHalf, RelayConnection as Line, SendHalf, StreamError},
    relay::RelayConfig,
    transfer::Registration,
    wire::{
        Message,
        relay::{
            ConnectReply, ConnectRequest, IncomingDownload, MAX_BODY, RegisterReply, RegisterRequest, RejectReason,
            Rejected,
        },
        reset_code,
    },
};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    hostile::{
        evil::bytes_of,
        stage::{noise, within},
    },
    hostile_sender::Relay,
};

type Stream = (SendHalf, RecvHalf);

/// A sender that has a slot.
async fn sender(relay: &Relay) -> (Line, Registration) {
    let line = relay.connect().await;
    let registration = Registration::request(line.connection.clone(), None, None).await.unwrap();
    (line, registration)
}

/// A stream on which these bytes were sent.
async fn said(line: &Line, bytes: &[u8]) -> Stream {
    let (mut send, recv) = line.connection.open_stream().await.unwrap();
    send.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    (send, recv)
}

/// The two ends of a bridge: the receiver's, and the sender's.
async fn bridge(receiver: &Line, sender: &Line, slot: Slot) -> (Stream, Stream) {
    let mut near = said(receiver, &bytes_of(&ConnectRequest { slot, token: None, pass: None })).await;
    let mut far = within("the relay's stream", sender.connection.accept_stream()).await.unwrap();
    far.1.read_frame(0).await.unwrap().frame().decode::<IncomingDownload>().unwrap();
    near.1.read_frame(MAX_BODY).await.unwrap().frame().decode::<ConnectReply>().unwrap();
    (near, far)
}

/// The relay still serves: a byte goes through it in both directions.
async fn assert_alive(relay: &Relay) {
    let (sender, registration) = sender(relay).await;
    let receiver = relay.connect().await;
    let (mut near, mut far) = bridge(&receiver, &sender, registration.slot()).await;
    near.0.write("there".into()).await.unwrap();
    assert_eq!(within("there", far.1.read()).await.unwrap().unwrap(), "there");
    far.0.write("back".into()).await.unwrap();
    assert_eq!(within("back", near.1.read()).await.unwrap().unwrap(), "back");
}

/// How a stream ends on which nothing sensible was said.
async fn end_of((_send, mut recv): Stream) -> Result<Vec<u8>, StreamError> {
    let mut all = Vec::new();
    while let Some(bytes) = within("the end of a stream", recv.read()).await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// A frame of a type that relays do not have.
#[derive(Serialize, Deserialize)]
struct Unknown<const TYPE: u8>(u32);

impl<const TYPE: u8> Message for Unknown<TYPE> {
    const TYPE: u8 = TYPE;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_end_their_stream_and_nothing_else() {
    let relay = Relay::start(RelayConfig::default());
    let line = relay.connect().await;
    let slot = Slot::from_number(1);
    let mut bad_slot = bytes_of(&ConnectRequest { slot, token: None, pass: None });
    bad_slot[5..9].copy_from_slice(b"IL01");
    let mut cut_short = bytes_of(&RegisterRequest { token: Some(vec![1; 100]), ticket: None });
    cut_short.truncate(20);
    cut_short[4] = 15;
    for (what, bytes) in [
        ("a slot that is none", bad_slot),
        ("a body that ends too early", cut_short),
        ("a register of nothing", vec![RegisterRequest::TYPE, 0, 0, 0, 0]),
        ("a connect of nothing", vec![ConnectRequest::TYPE, 0, 0, 0, 0]),
        ("a length without end", vec![RegisterRequest::TYPE, 0xff, 0xff, 0xff, 0xff]),
        ("a byte too much", [&[ConnectRequest::TYPE][..], &(MAX_BODY + 1).to_be_bytes()].concat()),
        ("an unknown type", bytes_of(&Unknown::<0x6f>(1))),
        ("an unknown type that others may skip", bytes_of(&Unknown::<0xef>(1))),
        ("an answer", bytes_of(&IncomingDownload {})),
        ("garbage", noise(5, 10_000)),
        ("a token without end", bytes_of(&RegisterRequest { token: Some(vec![7; 5_000]), ticket: None })),
    ] {
        let ended = end_of(said(&line, &bytes).await).await;
        assert!(matches!(ended, Err(StreamError::Aborted(_))), "{what}: {ended:?}");
    }
    let (mut send, recv) = line.connection.open_stream().await.unwrap();
    send.write(Bytes::from_static(&[RegisterRequest::TYPE, 0])).await.unwrap();
    send.finish();
    assert!(end_of((send, recv)).await.is_err(), "half a header and the end");
    // The same connection is still good.
    Registration::request(line.connection.clone(), None, None).await.unwrap();
    assert_alive(&relay).await;
}

/// Half a frame is not waited for, nor a client on whose connection nothing goes on. A bridge goes on though the slot
/// that it came by is given back: a share that has expired lets its downloads finish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_streams_and_idle_clients_are_ended_and_bridges_are_not() {
    let relay = Relay::start(RelayConfig::default());
    let (line, busy) = (relay.connect().await, relay.connect().await);
    let (mut send, mut recv) = said(&line, &bytes_of(&RegisterRequest { token: None, ticket: None })).await;
    let answer = recv.read_frame(MAX_BODY).await.unwrap();
    let RegisterReply { slot, .. } = answer.frame().decode().unwrap();
    let (mut near, mut far) = bridge(&busy, &line, slot).await;
    send.finish();
    assert_eq!(end_of((send, recv)).await, Ok(Vec::new()));

    let mut half = JoinSet::new();
    for bytes in [&[ConnectRequest::TYPE][..], &[RegisterRequest::TYPE, 0, 0, 0, 100, 1, 2, 3]] {
        half.spawn(end_of(said(&busy, bytes).await));
    }
    for _ in 0..2 {
        // Each of them is as patient as the relay. An idle sender would be gone after the second one.
        let idle = relay.connect().await;
        let lost = within("the end of an idle connection", idle.connection.closed()).await;
        assert_eq!(lost, ConnectionLost::ClosedByPeer(reset_code::ENDED));
    }
    while let Some(ended) = half.join_next().await {
        assert!(matches!(ended.unwrap(), Err(StreamError::Aborted(_))));
    }
    near.0.write("still there".into()).await.unwrap();
    assert_eq!(within("the bridge", far.1.read()).await.unwrap().unwrap(), "still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_are_free_resting_or_never_used_answer_alike() {
    let relay = Relay::start(RelayConfig::default());
    let (line, registration) = sender(&relay).await;
    let freed = registration.slot();
    let taken = |slot: u32| Slot::from_number(slot) == freed;
    line.close().await;
    let line = relay.connect().await;
    let mut answers = Vec::new();
    let others = (0..20).filter(|n| !taken(*n)).map(Slot::from_number);
    for slot in others.chain([freed]) {
        let mut answer = None;
        // The relay hears of the sender's end when it does.
        while answer.as_ref().is_none_or(|a: &Vec<u8>| a[0] == ConnectReply::TYPE) {
            answer = end_of(said(&line, &bytes_of(&ConnectRequest { slot, token: None, pass: None })).await).await.ok();
        }
        answers.push(answer.unwrap());
    }
    let expected = bytes_of(&Rejected { reason: RejectReason::NotFound, retry_after: 0 });
    assert!(answers.iter().all(|answer| *answer == expected), "{answers:x?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_good_for_as_long_as_its_stream() {
    let relay = Relay::start(RelayConfig::default());
    let line = relay.connect().await;
    let receiver = relay.connect().await;
    for end in ["finish", "reset", "a word too much"] {
        let (mut send, mut recv) = said(&line, &bytes_of(&RegisterRequest { token: None, ticket: None })).await;
        let answer = recv.read_frame(MAX_BODY).await.unwrap();
        let RegisterReply { slot, .. } = answer.frame().decode().unwrap();
        drop(bridge(&receiver, &line, slot).await);
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
    let relay = Relay::start(RelayConfig::default());
    let (line, first) = sender(&relay).await;
    let second = Registration::request(line.connection.clone(), None, None).await.unwrap();
    assert_ne!(first.slot(), second.slot());
    let receiver = relay.connect().await;
    for slot in [first.slot(), second.slot()] {
        let (mut near, mut far) = bridge(&receiver, &line, slot).await;
        near.0.write("x".into()).await.unwrap();
        assert_eq!(within("a byte", far.1.read()).await.unwrap().unwrap(), "x");
    }
    drop(first);
    let (_near, _far) = bridge(&receiver, &line, second.slot()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_token_gets_no_slot() {
    let relay = Relay::start(RelayConfig { register_token: Some(b"open sesame".to_vec()), ..RelayConfig::default() });
    let line = relay.connect().await;
    for token in [None, Some(&b""[..]), Some(b"open"), Some(b"open sesame "), Some(b"OPEN SESAME")] {
        let asked = Registration::request(line.connection.clone(), token.map(<[u8]>::to_vec), None).await;
        assert_eq!(asked.err().map(|e| e.kind()), Some(Kind::Refused), "{token:?}");
    }
    let registration =
        Registration::request(line.connection.clone(), Some(b"open sesame".to_vec()), None).await.unwrap();
    let receiver = relay.connect().await;
    drop(bridge(&receiver, &line, registration.slot()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_as_many_slots_as_the_relay_allows() {
    let relay = Relay::start(RelayConfig { max_senders: 3, ..RelayConfig::default() });
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(sender(&relay).await);
    }
    let line = relay.connect().await;
    let full = Registration::request(line.connection.clone(), None, None).await.err().unwrap();
    assert_eq!(full.kind(), Kind::Refused);
    let (leaving, registration) = taken.pop().unwrap();
    drop(registration);
    leaving.close().await;
    let freed = async {
        while Registration::request(line.connection.clone(), None, None).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("a slot that was given back", freed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_sixteen_streams_and_no_more() {
    let relay = Relay::start(RelayConfig::default());
    let line = relay.connect().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(said(&line, &[ConnectRequest::TYPE]).await);
    }
    let connection = line.connection.clone();
    let one_more = tokio::spawn(async move { connection.open_stream().await.map(drop) });
    assert_alive(&relay).await;
    assert!(!one_more.is_finished(), "a seventeenth stream was opened");
    open.truncate(8); // a few at once: QUIC does not announce each single one
    within("a stream that was given back", one_more).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_stream_ends_passes_one_to_one() {
    let relay = Relay::start(RelayConfig::default());
    let (sender, registration) = sender(&relay).await;
    let receiver = relay.connect().await;
    for why in [0, 1, 77, 1 << 20, u32::MAX >> 2] {
        for from_receiver in [true, false] {
            let (near, far) = bridge(&receiver, &sender, registration.slot()).await;
            let ((mut send, mut recv), mut other) = if from_receiver { (near, far) } else { (far, near) };
            send.write("last words".into()).await.unwrap();
            assert_eq!(within("them", other.1.read()).await.unwrap().unwrap(), "last words");
            send.reset(why);
            assert_eq!(within("a reset", other.1.read()).await, Err(StreamError::Aborted(why)));
            recv.stop(why);
            assert_eq!(within("a stop", other.0.stopped()).await, StreamError::Aborted(why));
        }
    }
    let ((mut send, mut recv), mut far) = bridge(&receiver, &sender, registration.slot()).await;
    send.write("all of it".into()).await.unwrap();
    send.finish();
    assert_eq!(within("it", far.1.read()).await.unwrap().unwrap(), "all of it");
    assert_eq!(within("the finish", far.1.read()).await, Ok(None));
    far.0.write("an answer".into()).await.unwrap(); // the other direction is still open
    far.0.finish();
    assert_eq!(within("the answer", recv.read()).await.unwrap().unwrap(), "an answer");
    assert_eq!(within("its finish", recv.read()).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_connection_is_told_to_the_other_side() {
    let relay = Relay::start(RelayConfig::default());
    let (sender, registration) = sender(&relay).await;
    let receiver = relay.connect().await;
    let (_near, mut far) = bridge(&receiver, &sender, registration.slot()).await;
    receiver.close().await;
    let told = within("the receiver's end", far.1.read()).await;
    assert_eq!(told, Err(StreamError::Aborted(reset_code::PEER_CLOSED)));
    let receiver = relay.connect().await;
    let (mut near, _far) = bridge(&receiver, &sender, registration.slot()).await;
    sender.close().await;
    let told = within("the sender's end", near.1.read()).await;
    assert_eq!(
        told,
        Err(StreamError::Aborted(reset_code::PEER_CLOSED)),
        "that its share has ended, a sender says on the stream"
    );
}

/// One receiver reads nothing, and its sender goes on until the relay has enough of it. Another one is served at full
/// speed all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_reads_nothing_stalls_nobody_else() {
    const PIECE: usize = 256 * 1024;
    const BRIDGE: usize = 1024 * 1024;
    const HEALTHY: usize = 64 * 1024 * 1024;
    let relay = Relay::start(RelayConfig { bridge_bytes: BRIDGE as u64, ..RelayConfig::default() });
    let (sender, registration) = sender(&relay).await;
    let (stalled, healthy) = (relay.connect().await, relay.connect().await);
    let (_unread, mut flood) = bridge(&stalled, &sender, registration.slot()).await;
    let (mut reading, mut writing) = bridge(&healthy, &sender, registration.slot()).await;
    let piece = Bytes::from(vec![7; PIECE]);
    let flooding = async {
        let mut sent = 0u64;
        while let Ok(()) = flood.0.write(piece.clone()).await {
            sent += PIECE as u64;
        }
        (sent, flood.0.stopped().await)
    };
    // The healthy pair keeps to what the relay allows.
    let room = Semaphore::new(BRIDGE / PIECE);
    let serving = async {
        for _ in 0..HEALTHY / PIECE {
            room.acquire().await.unwrap().forget();
            writing.0.write(piece.clone()).await.unwrap();
        }
        writing.0.finish();
    };
    let drinking = async {
        let mut got = 0;
        while let Some(bytes) = reading.1.read().await.unwrap() {
            room.add_permits((got % PIECE + bytes.len()) / PIECE);
            got += bytes.len();
        }
        got
    };
    let all = async { tokio::join!(flooding, serving, drinking) };
    let ((sent, why), (), got) = within("a healthy download", all).await;
    assert_eq!(got, HEALTHY);
    assert!(matches!(why, StreamError::Aborted(reset_code::OVERRUN)), "{why:?}");
    // What the line to the stalled receiver holds (16 MiB), the bridge (1 + 1), and what is on its way to the relay.
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes went to a receiver that reads nothing");
    assert_alive(&relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_relay_refuses_connections_at_once() {
    let relay = Relay::start(RelayConfig { max_connections: 2, ..RelayConfig::default() });
    let (one, registration) = sender(&relay).await;
    let other = relay.connect().await;
    let began = std::time::Instant::now();
    let refused = qshare::net::connect(
        &[relay.addr().into()],
        qshare::net::TrustPolicy::AnyKey,
        qshare::net::TransportOptions::default(),
    )
    .await;
    assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Network));
    assert!(began.elapsed() < Duration::from_secs(8), "refused by silence");
    drop(bridge(&other, &one, registration.slot()).await);
}
