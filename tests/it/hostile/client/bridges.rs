//! Bridges: how the relay forwards the end of a stream, and a receiver that reads nothing.

use bytes::Bytes;
use qshare::internals::{net::StreamError, relay::RelayConfig, wire::reset_code};
use tokio::sync::Semaphore;

use super::harness::{assert_alive, open_bridge, register_sender};
use crate::hostile::{local_relay::LocalRelay, processes::within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_forwards_resets_stops_and_finishes_unchanged() {
    let relay = LocalRelay::start(RelayConfig::default());
    let (sender, registration) = register_sender(&relay).await;
    let receiver = relay.connect().await;
    for code in [0, 1, 77, 1 << 20, u32::MAX >> 2] {
        for from_receiver in [true, false] {
            let (near, far) = open_bridge(&receiver, &sender, registration.slot()).await;
            let ((mut send, mut recv), mut other) = if from_receiver { (near, far) } else { (far, near) };
            send.write("last words".into()).await.unwrap();
            assert_eq!(within("the data", other.1.read()).await.unwrap().unwrap(), "last words");
            send.reset(code);
            assert_eq!(within("a reset", other.1.read()).await, Err(StreamError::Aborted(code)));
            recv.stop(code);
            assert_eq!(within("a stop", other.0.stopped()).await, StreamError::Aborted(code));
        }
    }
    let ((mut send, mut recv), mut far) = open_bridge(&receiver, &sender, registration.slot()).await;
    send.write("all of it".into()).await.unwrap();
    send.finish();
    assert_eq!(within("the data", far.1.read()).await.unwrap().unwrap(), "all of it");
    assert_eq!(within("the finish", far.1.read()).await, Ok(None));
    far.0.write("an answer".into()).await.unwrap(); // the other direction is still open
    far.0.finish();
    assert_eq!(within("the answer", recv.read()).await.unwrap().unwrap(), "an answer");
    assert_eq!(within("its finish", recv.read()).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_resets_the_other_side_if_a_connection_closes() {
    let relay = LocalRelay::start(RelayConfig::default());
    let (sender, registration) = register_sender(&relay).await;
    let receiver = relay.connect().await;
    let (_near, mut far) = open_bridge(&receiver, &sender, registration.slot()).await;
    receiver.close().await;
    let ended = within("the receiver's end", far.1.read()).await;
    assert_eq!(ended, Err(StreamError::Aborted(reset_code::PEER_CLOSED)));
    let receiver = relay.connect().await;
    let (mut near, _far) = open_bridge(&receiver, &sender, registration.slot()).await;
    sender.close().await;
    let ended = within("the sender's end", near.1.read()).await;
    assert_eq!(
        ended,
        Err(StreamError::Aborted(reset_code::PEER_CLOSED)),
        "only the sender itself can say that the share has ended"
    );
}

/// One receiver reads nothing, and its sender sends until the relay resets the bridge. A second receiver of the same
/// sender downloads in the meantime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_reads_nothing_does_not_stall_others() {
    const PIECE: usize = 256 * 1024;
    const BRIDGE: usize = 1024 * 1024;
    const HEALTHY: usize = 64 * 1024 * 1024;
    let relay = LocalRelay::start(RelayConfig { max_bridge_bytes: BRIDGE as u64, ..RelayConfig::default() });
    let (sender, registration) = register_sender(&relay).await;
    let (stalled, healthy) = (relay.connect().await, relay.connect().await);
    let (_unread, mut flood) = open_bridge(&stalled, &sender, registration.slot()).await;
    let (mut reading, mut writing) = open_bridge(&healthy, &sender, registration.slot()).await;
    let piece = Bytes::from(vec![7; PIECE]);
    let flooding = async {
        let mut sent = 0u64;
        while let Ok(()) = flood.0.write(piece.clone()).await {
            sent += PIECE as u64;
        }
        (sent, flood.0.stopped().await)
    };
    // The healthy pair never exceeds the limit of the relay.
    let room = Semaphore::new(BRIDGE / PIECE);
    let serving = async {
        for _ in 0..HEALTHY / PIECE {
            room.acquire().await.unwrap().forget();
            writing.0.write(piece.clone()).await.unwrap();
        }
        writing.0.finish();
    };
    let reading_all = async {
        let mut received = 0;
        while let Some(bytes) = reading.1.read().await.unwrap() {
            room.add_permits((received % PIECE + bytes.len()) / PIECE);
            received += bytes.len();
        }
        received
    };
    let all = async { tokio::join!(flooding, serving, reading_all) };
    let ((sent, ended), (), received) = within("a healthy download", all).await;
    assert_eq!(received, HEALTHY);
    assert!(matches!(ended, StreamError::Aborted(reset_code::OVERRUN)), "{ended:?}");
    // The connection to the stalled receiver holds 16 MiB and the bridge 1 + 1 MiB. The rest is in flight to the relay.
    assert!(sent < 64 * 1024 * 1024, "the relay took {sent} bytes for a receiver that reads nothing");
    assert_alive(&relay).await;
}
