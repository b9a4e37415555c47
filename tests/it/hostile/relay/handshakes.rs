//! Handshakes that a relay changes or leads to another sender.

use std::time::{Duration, Instant};

use qshare::code::Slot;

use crate::hostile::{
    hostile_relay::{BridgePlan, StreamDirection, Then, no_tampering},
    processes::noise,
};

use super::harness::{RelayTest, cut, flip};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_handshake_costs_a_guess_and_nothing_more() {
    let mut test = RelayTest::new(9).await;
    for (what, exit, tamper) in [
        ("the receiver's random bytes", 4, flip(StreamDirection::ToSender, 0, |_| 12, 0)),
        ("the sender's point", 4, flip(StreamDirection::ToReceiver, 0, |length| length - 1, 0)),
        ("the sender's tag", 4, flip(StreamDirection::ToReceiver, 1, |length| length - 1, 0)),
        ("the receiver's tag", 5, flip(StreamDirection::ToSender, 1, |length| length - 1, 0)),
    ] {
        let run = test.download(BridgePlan::tamper(tamper)).await;
        run.assert_failed(exit, what);
        let ended = Instant::now();
        test.sender.event("wrong_code").await;
        // A receiver that gives up says so: its sender does not wait for a proof until the 10 s are over.
        assert!(ended.elapsed() < Duration::from_secs(8), "{what}: {:?}", ended.elapsed());
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_handshakes_cost_no_guess_where_none_was_made() {
    let mut test = RelayTest::new(10).await;
    for round in 0..2 {
        for (what, exit, tamper) in [
            ("no hello", 4, flip(StreamDirection::ToSender, 0, |_| 0, 0)),
            ("a hello without end", 4, flip(StreamDirection::ToSender, 0, |_| 1, 0)),
            ("half a hello", 5, cut(StreamDirection::ToSender, 0, true, Then::Reset)),
            ("another version", 1, flip(StreamDirection::ToSender, 0, |_| 5, 1)),
        ] {
            let run = test.download(BridgePlan::tamper(tamper)).await;
            run.assert_failed(exit, &format!("{what}, round {round}"));
        }
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_senders_behind_one_slot_are_told_apart() {
    let mut test = RelayTest::new(11).await;
    let other_content = noise(12, 400_000);
    let path = test.machine.file("other.bin", &other_content);
    let mut other = test.machine.sender(test.relay.addr(), &[&path], &[]).await;
    let slot = |code: &str| Slot::try_from(<[u8; 4]>::try_from(&code.as_bytes()[..4]).unwrap()).unwrap();
    let plan = BridgePlan { to: Some(slot(other.code())), ..BridgePlan::tamper(no_tampering()) };
    test.download(plan).await.assert_failed(4, "the wrong sender");
    other.event("wrong_code").await;
    let run = test.machine.recv(test.relay.addr(), other.code()).await;
    run.assert_saved("other.bin", &other_content, "the right one");
    test.assert_alive().await;
}
