//! Replies to requests that no honest relay sends.

use std::time::Duration;

use qshare::{
    code::Slot,
    wire::relay::{ConnectReply, RegisterReply, RejectReason, RelayLimits},
};

use crate::{
    hostile::{
        hostile_relay::{BridgePlan, HostileRelay, ReplyPlan, StreamDirection, Then},
        processes::{TestMachine, noise},
    },
    support::bytes_of,
};

use super::harness::{FIRST, NAME, RelayTest, cut};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_relay_answers_a_receiver_ends() {
    let test = RelayTest::new(13).await;
    let limits = RelayLimits { bridge_bytes: 1 };
    let registered = bytes_of(&RegisterReply { slot: Slot::from_number(1), ticket: vec![], limits });
    let connected = bytes_of(&ConnectReply { limits, pass: Vec::new() });
    for (what, exit, answer) in [
        ("another answer", 5, ReplyPlan::Raw(registered, Then::Continue)),
        ("garbage", 5, ReplyPlan::Raw(noise(1, 500), Then::Continue)),
        ("a length without end", 5, ReplyPlan::Raw(vec![0x12, 0xff, 0xff, 0xff, 0xff], Then::Continue)),
        ("a body that is none", 5, ReplyPlan::Raw(vec![0x12, 0, 0, 0, 1, 0x80], Then::Continue)),
        ("the end", 5, ReplyPlan::Raw(vec![0x12], Then::Finish)),
        ("a reset", 5, ReplyPlan::Raw(Vec::new(), Then::Reset)),
        ("connected to nobody", 4, ReplyPlan::Raw(connected.clone(), Then::Finish)),
        ("connected to garbage", 4, ReplyPlan::Raw([&connected[..], &noise(2, 500)].concat(), Then::Continue)),
        ("no such code", 3, ReplyPlan::rejected(RejectReason::NotFound)),
        ("a token is missing", 7, ReplyPlan::rejected(RejectReason::Token)),
        ("full", 7, ReplyPlan::rejected(RejectReason::Full)),
    ] {
        let run = test.download(BridgePlan::answer(answer)).await;
        run.assert_failed(exit, what);
        assert!(run.took < Duration::from_secs(10), "{what}: {:?}", run.took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_never_answers_is_given_up_after_ten_seconds() {
    let (machine, relay) = (TestMachine::new(), HostileRelay::start());
    let test = RelayTest::new(14).await;
    relay.answer_sender(ReplyPlan::Silence);
    let path = machine.file(NAME, b"x");
    let (send, recv) =
        tokio::join!(machine.try_send(relay.addr(), &path), test.download(BridgePlan::answer(ReplyPlan::Silence)));
    for (what, run) in [("send", send), ("recv", recv)] {
        run.assert_failed(5, what);
        assert!(run.message().contains("relay"), "{what}: {}", run.message());
        assert!(run.took > Duration::from_secs(9) && run.took < Duration::from_secs(30), "{what}: {:?}", run.took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_relay_answers_a_sender_ends() {
    let (machine, relay) = (TestMachine::new(), HostileRelay::start());
    let path = machine.file(NAME, b"x");
    let connected = bytes_of(&ConnectReply { limits: RelayLimits { bridge_bytes: 1 }, pass: Vec::new() });
    for (what, exit, answer) in [
        ("another answer", 5, ReplyPlan::Raw(connected, Then::Continue)),
        ("garbage", 5, ReplyPlan::Raw(noise(1, 500), Then::Continue)),
        ("a length without end", 5, ReplyPlan::Raw(vec![0x11, 0xff, 0xff, 0xff, 0xff], Then::Continue)),
        ("a slot that is none", 5, ReplyPlan::Raw(b"\x11\0\0\0\x06abcd\0\0".to_vec(), Then::Continue)),
        ("the end", 5, ReplyPlan::Raw(Vec::new(), Then::Finish)),
        ("a reset", 5, ReplyPlan::Raw(Vec::new(), Then::Reset)),
        ("a token is missing", 7, ReplyPlan::rejected(RejectReason::Token)),
        ("full", 7, ReplyPlan::rejected(RejectReason::Full)),
    ] {
        relay.answer_sender(answer);
        let run = machine.try_send(relay.addr(), &path).await;
        run.assert_failed(exit, what);
        assert!(!run.stdout.contains("sharing"), "{what}: a code was shown");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_about_limits_change_nothing() {
    let mut test = RelayTest::new(15).await;
    for bridge_bytes in [0, 1, u64::MAX] {
        let run = test.download(BridgePlan::answer(ReplyPlan::Limit(bridge_bytes))).await;
        run.assert_saved(NAME, &test.content, &format!("a bridge of {bridge_bytes} bytes"));
        test.sender.event("download_finished").await;
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_dies_is_told_to_both() {
    let mut test = RelayTest::new(16).await;
    let run = test.download(BridgePlan::tamper(cut(StreamDirection::ToReceiver, FIRST, true, Then::Die))).await;
    run.assert_failed(5, "the relay died");
    test.sender.event("reconnecting").await;
}
