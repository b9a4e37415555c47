//! Receivers that hold a download permit, a handshake or a guess and do not finish.

use std::time::{Duration, Instant};

use bytes::Bytes;
use qshare::internals::{
    code::{Code, Secret},
    net::StreamError,
    transfer::{
        handshake::Established,
        session::{RecordBuilder, SessionError},
    },
    wire::{
        peer::{Credit, FailureReason},
        relay::{ConnectReply, ConnectRequest},
        reset_code::ENDED,
    },
};

use super::harness::{HostileReceiver, ReceiverTest, file_request};
use crate::{hostile::processes::random_bytes, support::bytes_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_requests_nothing_holds_no_download_permit() {
    let mut test = ReceiverTest::new(&["--max-downloads", "2"]).await;
    let mut idle = Vec::new();
    for _ in 0..30 {
        idle.push(test.confirmed_receiver().await);
    }
    test.assert_alive().await;
    test.assert_alive().await;
    // The share has ended for the others too.
    for receiver in idle {
        let ended = receiver.read_to_end().await.err();
        assert_eq!(ended, Some(SessionError::Stream(StreamError::Aborted(ENDED))));
    }
    test.sender.wait_for("stopped").await;
    assert_eq!(test.sender.wait_for_exit().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_handshake_does_not_delay_the_end_of_a_share() {
    let mut test = ReceiverTest::new(&["--once"]).await;
    let (_silent, _stream) = test.start_handshake(&test.code()).await; // receives flight 2 and does not reply
    let connection = test.relay.connect().await;
    let (mut send, mut recv) = connection.connection.open_stream().await.unwrap();
    send.write(bytes_of(&ConnectRequest { slot: test.code().slot(), token: None, pass: None }).into()).await.unwrap();
    recv.read_frame(4096).await.unwrap().frame().decode::<ConnectReply>().unwrap();
    test.assert_alive().await;
    let ended = Instant::now();
    assert_eq!(test.sender.wait_for_exit().await, Some(0));
    assert!(ended.elapsed() < Duration::from_secs(8), "{:?}", ended.elapsed());
}

/// How a receiver disappears in the middle of a download.
#[derive(Debug, Clone, Copy)]
enum Disappearance {
    /// It closes its connection.
    Close,
    /// It resets its stream.
    Reset,
    /// It sends STOP_SENDING.
    StopReading,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_disappears_releases_its_download_permit() {
    let mut test = ReceiverTest::new(&["--once"]).await;
    for disappearance in [Disappearance::Close, Disappearance::Reset, Disappearance::StopReading] {
        let mut receiver = test.confirmed_receiver().await;
        receiver.send(&file_request(&[(0, 2)])).await;
        receiver.read_to_content().await;
        let mut second = test.confirmed_receiver().await;
        second.send(&file_request(&[(0, 2)])).await;
        assert_eq!(second.read_to_end().await.unwrap().failure.unwrap().reason, FailureReason::DownloadLimitReached);
        let HostileReceiver { session: Established { mut writer, reader, .. }, _connection } = receiver;
        match disappearance {
            Disappearance::Close => _connection.connection.close(),
            Disappearance::Reset => drop(writer),
            Disappearance::StopReading => {
                drop(reader); // sends STOP_SENDING
                let _ =
                    writer.send(RecordBuilder::from_message(&Credit { limit: 1 << 30, received: 0 }).unwrap()).await;
            }
        }
        test.sender.wait_for("download_failed").await;
    }
    test.assert_alive().await;
    assert_eq!(test.sender.wait_for_exit().await, Some(0));
}

/// Four connections with 16 streams each cost neither a guess nor a permit if they do not follow the protocol.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_and_malformed_streams_do_not_block_an_honest_receiver() {
    let mut test = ReceiverTest::new(&[]).await;
    let code = test.code();
    let (mut streams, mut connections) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let connection = test.relay.connect().await;
        for n in 0..16 {
            let (mut send, mut recv) = connection.connection.open_stream().await.unwrap();
            let request = bytes_of(&ConnectRequest { slot: code.slot(), token: None, pass: None });
            send.write(request.into()).await.unwrap();
            recv.read_frame(4096).await.unwrap().frame().decode::<ConnectReply>().unwrap();
            match n % 4 {
                0 => {}
                1 => send.write(Bytes::from_static(&[0x31])).await.unwrap(),
                2 => send.write(random_bytes(n, 300).into()).await.unwrap(),
                _ => send.finish(),
            }
            streams.push((send, recv));
        }
        connections.push(connection);
        test.assert_alive().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_gets_two_guesses_and_is_then_refused() {
    let mut test = ReceiverTest::new(&[]).await;
    let right = test.code();
    let mut replies = 0;
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let wrong = Code::new(right.slot(), Secret::random(5).unwrap());
        let (connection, handshake) = test.start_handshake(&wrong).await;
        guesses.spawn(async move {
            let failure = handshake.finish().await.err().unwrap();
            drop(connection);
            failure.kind()
        });
    }
    while let Some(kind) = guesses.join_next().await {
        match kind.unwrap() {
            qshare::internals::error::Kind::WrongCode => replies += 1,
            kind => assert_eq!(kind, qshare::internals::error::Kind::Refused),
        }
    }
    assert_eq!(replies, 2);
    let mut left = Vec::new();
    for _ in 0..2 {
        left.push(test.sender.wait_for("wrong_code").await["guesses_left"].as_u64().unwrap());
    }
    assert_eq!(left.last(), Some(&3));
    let run = test.machine.run_receiver(test.relay.addr(), test.sender.code()).await;
    run.assert_failed(7, "the budget is spent");
    assert!(run.last()["hint"].as_str().unwrap().contains("minute"), "{}", run.last());
}
