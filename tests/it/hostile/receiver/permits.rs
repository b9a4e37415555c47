//! Receivers that hold a download permit, a handshake or a guess and do not finish.

use std::time::{Duration, Instant};

use bytes::Bytes;
use qshare::{
    code::{Code, Secret},
    transfer::{handshake::Established, session::RecordBuilder},
    wire::{
        peer::{Credit, FailureReason},
        relay::{ConnectReply, ConnectRequest},
    },
};

use crate::{hostile::processes::random_bytes, support::bytes_of};

use super::harness::{HostileReceiver, ReceiverTest, wanted};

/// A confirmed receiver that never asks holds nobody up, and takes no place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_confirms_and_never_requests_takes_no_place() {
    let mut test = ReceiverTest::new(&["--max-downloads", "2"]).await;
    let mut idle = Vec::new();
    for _ in 0..30 {
        idle.push(test.receiver().await);
    }
    test.assert_alive().await;
    test.assert_alive().await;
    // The share is over for those who have not accepted, too.
    for receiver in idle {
        assert_eq!(receiver.hear().await.unwrap().failure.unwrap().reason, FailureReason::ShareEnded);
    }
    test.sender.wait_for("stopped").await;
    assert_eq!(test.sender.wait_for_exit().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_handshake_does_not_hold_up_the_end_of_a_share() {
    let mut test = ReceiverTest::new(&["--once"]).await;
    let (_silent, _stream) = test.connect(&test.code()).await; // flight 2 came and is not answered
    let connection = test.relay.connect().await;
    let (mut send, mut recv) = connection.connection.open_stream().await.unwrap();
    send.write(bytes_of(&ConnectRequest { slot: test.code().slot(), token: None, pass: None }).into()).await.unwrap();
    recv.read_frame(4096).await.unwrap().frame().decode::<ConnectReply>().unwrap();
    test.assert_alive().await;
    let over = Instant::now();
    assert_eq!(test.sender.wait_for_exit().await, Some(0));
    assert!(over.elapsed() < Duration::from_secs(8), "{:?}", over.elapsed());
}

/// Those who took a place and vanish give it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_vanishes_gives_its_place_back() {
    let mut test = ReceiverTest::new(&["--once"]).await;
    for goodbye in 0..3 {
        let mut receiver = test.receiver().await;
        receiver.say(&wanted(&[(0, 2)])).await;
        receiver.hear_content().await;
        let mut second = test.receiver().await;
        second.say(&wanted(&[(0, 2)])).await;
        assert_eq!(second.hear().await.unwrap().failure.unwrap().reason, FailureReason::DownloadLimitReached);
        let HostileReceiver { session: Established { writer: mut out, reader: incoming, .. }, _connection } = receiver;
        match goodbye {
            0 => _connection.connection.close(),
            1 => drop(out),
            _ => {
                drop(incoming); // asks the sender to stop
                let _ = out.send(RecordBuilder::from_message(&Credit { limit: 1 << 30, received: 0 }).unwrap()).await;
            }
        }
        test.sender.wait_for("download_failed").await;
    }
    test.assert_alive().await;
    assert_eq!(test.sender.wait_for_exit().await, Some(0));
}

/// Sixteen streams of one connection, and four connections: whoever speaks no protocol costs no guess and no place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_that_say_nothing_or_nonsense_do_not_matter() {
    let mut test = ReceiverTest::new(&[]).await;
    let code = test.code();
    let (mut open, mut lines) = (Vec::new(), Vec::new());
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
            open.push((send, recv));
        }
        lines.push(connection);
        test.assert_alive().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_codes_are_told_to_the_sender_and_stop_at_the_budget() {
    let mut test = ReceiverTest::new(&[]).await;
    let right = test.code();
    let mut answered = 0;
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let wrong = Code::new(right.slot(), Secret::random(5).unwrap());
        let (connection, begun) = test.connect(&wrong).await;
        guesses.spawn(async move {
            let ended = begun.finish().await.err().unwrap();
            drop(connection);
            ended.kind()
        });
    }
    while let Some(kind) = guesses.join_next().await {
        match kind.unwrap() {
            qshare::error::Kind::WrongCode => answered += 1,
            kind => assert_eq!(kind, qshare::error::Kind::Refused),
        }
    }
    assert_eq!(answered, 5);
    let mut left = Vec::new();
    for _ in 0..5 {
        left.push(test.sender.wait_for("wrong_code").await["guesses_left"].as_u64().unwrap());
    }
    assert_eq!(left.last(), Some(&0));
    let run = test.machine.run_receiver(test.relay.addr(), test.sender.code()).await;
    run.assert_failed(7, "the budget is spent");
    assert!(run.last()["hint"].as_str().unwrap().contains("minute"), "{}", run.last());
}
