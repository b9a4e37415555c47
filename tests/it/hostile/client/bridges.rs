//! Bridges: how their ends are passed on, and a receiver that reads nothing.

use bytes::Bytes;
use qshare::{net::StreamError, relay::RelayConfig, wire::reset_code};
use tokio::sync::Semaphore;

use crate::hostile::{local_relay::LocalRelay, processes::within};

use super::harness::{assert_alive, bridge, sender};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_stream_ends_passes_one_to_one() {
    let relay = LocalRelay::start(RelayConfig::default());
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
    let relay = LocalRelay::start(RelayConfig::default());
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
    let relay = LocalRelay::start(RelayConfig { bridge_bytes: BRIDGE as u64, ..RelayConfig::default() });
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
    // What the connection to the stalled receiver holds (16 MiB), the bridge (1 + 1), and what is on its direction to the relay.
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes went to a receiver that reads nothing");
    assert_alive(&relay).await;
}
