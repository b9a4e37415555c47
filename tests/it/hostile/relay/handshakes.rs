//! Handshakes that a relay changes or redirects to another sender.

use std::time::{Duration, Instant};

use qshare::internals::code::Slot;

use super::harness::{RelayTest, cut, flip};
use crate::hostile::{
    hostile_relay::{BridgePlan, StreamDirection, Then, no_tampering},
    processes::random_bytes,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_modified_handshake_costs_one_guess() {
    let mut test = RelayTest::new(9).await;
    for (what, exit, tamper) in [
        ("the receiver's random bytes", 4, flip(StreamDirection::ToSender, 0, |_| 12, 0)),
        ("the sender's point", 4, flip(StreamDirection::ToReceiver, 0, |length| length - 1, 0)),
        ("the sender's tag", 4, flip(StreamDirection::ToReceiver, 1, |length| length - 1, 0)),
        ("the receiver's tag", 5, flip(StreamDirection::ToSender, 1, |length| length - 1, 0)),
    ] {
        let run = test.download(BridgePlan::tampering(tamper)).await;
        run.assert_failed(exit, what);
        let ended = Instant::now();
        test.sender.wait_for("wrong_code").await;
        // A failing receiver resets its stream, so that the sender does not wait for the whole 10 s of the handshake.
        assert!(ended.elapsed() < Duration::from_secs(8), "{what}: {:?}", ended.elapsed());
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_hello_costs_no_guess() {
    let mut test = RelayTest::new(10).await;
    for round in 0..2 {
        for (what, exit, tamper) in [
            ("no hello", 4, flip(StreamDirection::ToSender, 0, |_| 0, 0)),
            ("a hello with an excessive length", 4, flip(StreamDirection::ToSender, 0, |_| 1, 0)),
            ("half a hello", 5, cut(StreamDirection::ToSender, 0, true, Then::Reset)),
            ("another version", 1, flip(StreamDirection::ToSender, 0, |_| 5, 1)),
        ] {
            let run = test.download(BridgePlan::tampering(tamper)).await;
            run.assert_failed(exit, &format!("{what}, round {round}"));
        }
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_refuses_another_sender_than_that_of_its_code() {
    let mut test = RelayTest::new(11).await;
    let other_content = random_bytes(12, 400_000);
    let path = test.machine.file("other.bin", &other_content);
    let mut other = test.machine.start_sender(test.relay.addr(), &[&path], &[]).await;
    let slot = |code: &str| Slot::try_from(<[u8; 4]>::try_from(&code.as_bytes()[..4]).unwrap()).unwrap();
    let plan = BridgePlan { redirect: Some(slot(other.code())), ..BridgePlan::tampering(no_tampering()) };
    test.download(plan).await.assert_failed(4, "the wrong sender");
    other.wait_for("wrong_code").await;
    let run = test.machine.run_receiver(test.relay.addr(), other.code()).await;
    run.assert_saved("other.bin", &other_content, "the right sender");
    test.assert_alive().await;
}
