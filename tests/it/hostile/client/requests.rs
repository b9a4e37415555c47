//! Malformed requests, idle clients, and limits on streams and connections.

use std::time::Duration;

use bytes::Bytes;
use qshare::internals::{
    code::Slot,
    error::Kind,
    net::{ConnectionLost, StreamError},
    relay::{Limits, RelayConfig},
    route::Route,
    transfer::Registration,
    wire::{
        Message,
        relay::{ConnectRequest, IncomingDownload, MAX_BODY, RegisterReply, RegisterRequest, SourceTag},
        relay_limit::RelayLimit,
        reset_code,
    },
};
use tokio::task::JoinSet;

use super::harness::{assert_alive, open_bridge, open_stream_with, read_to_end, register_sender};
use crate::{
    hostile::{
        local_relay::LocalRelay,
        processes::{random_bytes, within},
    },
    support::{UnknownFrame, bytes_of},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_request_ends_only_its_stream() {
    let relay = LocalRelay::start(RelayConfig::default());
    let connection = relay.connect().await;
    let slot = Slot::from_number(1);
    let mut bad_slot = bytes_of(&ConnectRequest { slot, token: None, pass: None });
    bad_slot[5..9].copy_from_slice(b"IL01");
    let mut cut_short = bytes_of(&RegisterRequest { token: Some(vec![1; 100]), ticket: None });
    cut_short.truncate(20);
    cut_short[4] = 15;
    for (what, bytes) in [
        ("an invalid slot", bad_slot),
        ("a body that ends too early", cut_short),
        ("an empty register request", vec![RegisterRequest::TYPE, 0, 0, 0, 0]),
        ("an empty connect request", vec![ConnectRequest::TYPE, 0, 0, 0, 0]),
        ("an excessive length", vec![RegisterRequest::TYPE, 0xff, 0xff, 0xff, 0xff]),
        ("a body one byte too long", [&[ConnectRequest::TYPE][..], &(MAX_BODY + 1).to_be_bytes()].concat()),
        ("an unknown type", bytes_of(&UnknownFrame::<0x6f>(1))),
        ("an unknown optional type", bytes_of(&UnknownFrame::<0xef>(1))),
        (
            "a message that only relays send",
            bytes_of(&IncomingDownload { source: SourceTag::alone([0; 8]), route: Route::Relay }),
        ),
        ("garbage", random_bytes(5, 10_000)),
        ("a token of 5,000 bytes", bytes_of(&RegisterRequest { token: Some(vec![7; 5_000]), ticket: None })),
    ] {
        let ended = read_to_end(open_stream_with(&connection, &bytes).await).await;
        assert!(matches!(ended, Err(StreamError::Aborted(_))), "{what}: {ended:?}");
    }
    let (mut send, recv) = connection.connection.open_stream().await.unwrap();
    send.write(Bytes::from_static(&[RegisterRequest::TYPE, 0])).await.unwrap();
    send.finish();
    assert!(read_to_end((send, recv)).await.is_err(), "half a header, then the end");
    // The connection is still usable.
    Registration::request(connection.connection.clone(), None, None).await.unwrap();
    assert_alive(&relay).await;
}

/// A bridge survives the release of its slot, because a share that has expired lets its downloads finish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_times_out_unfinished_requests_and_idle_clients_but_not_bridges() {
    let relay = LocalRelay::start(RelayConfig::default());
    let (connection, busy) = (relay.connect().await, relay.connect().await);
    let (mut send, mut recv) =
        open_stream_with(&connection, &bytes_of(&RegisterRequest { token: None, ticket: None })).await;
    let answer = recv.read_frame(MAX_BODY).await.unwrap();
    let RegisterReply { slot, .. } = answer.frame().decode().unwrap();
    let (mut near, mut far) = open_bridge(&busy, &connection, slot).await;
    send.finish();
    assert_eq!(read_to_end((send, recv)).await, Ok(Vec::new()));

    let mut half = JoinSet::new();
    for bytes in [&[ConnectRequest::TYPE][..], &[RegisterRequest::TYPE, 0, 0, 0, 100, 1, 2, 3]] {
        half.spawn(read_to_end(open_stream_with(&busy, bytes).await));
    }
    for _ in 0..2 {
        // Each idle connection lasts for the relay's timeout. An idle sender would have timed out after the second one.
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
async fn a_client_may_open_sixteen_streams() {
    let relay = LocalRelay::start(RelayConfig::default());
    let connection = relay.connect().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(open_stream_with(&connection, &[ConnectRequest::TYPE]).await);
    }
    let connection = connection.connection.clone();
    let one_more = tokio::spawn(async move { connection.open_stream().await.map(drop) });
    assert_alive(&relay).await;
    assert!(!one_more.is_finished(), "a seventeenth stream was opened");
    open.truncate(8); // several at once, because QUIC does not announce each single one
    within("a stream after some were closed", one_more).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_relay_refuses_connections_immediately() {
    let relay = LocalRelay::start(RelayConfig {
        limits: Limits::default().with(RelayLimit::ConnectionsTotal, 2),
        ..RelayConfig::default()
    });
    let (one, registration) = register_sender(&relay).await;
    let other = relay.connect().await;
    let began = std::time::Instant::now();
    let refused = qshare::internals::net::connect(
        &[relay.addr().into()],
        qshare::internals::net::TrustPolicy::Loopback,
        qshare::internals::net::TransportOptions::default(),
    )
    .await;
    assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Network));
    assert!(began.elapsed() < Duration::from_secs(8), "the relay did not reply");
    drop(open_bridge(&other, &one, registration.slot()).await);
}
