//! Replies that no honest relay sends.

use std::time::Duration;

use qshare::internals::{
    code::Slot,
    route::Route,
    wire::relay::{ConnectReply, RegisterReply, RejectReason, RelayLimits},
};

use super::harness::{FIRST_CONTENT, NAME, RelayTest, cut};
use crate::{
    hostile::{
        hostile_relay::{BridgePlan, HostileRelay, ReplyPlan, StreamDirection, Then},
        processes::{TestMachine, random_bytes},
    },
    support::bytes_of,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_fails_on_any_invalid_reply() {
    let test = RelayTest::new(13).await;
    let limits = RelayLimits { bridge_bytes: 1 };
    let registered = bytes_of(&RegisterReply { slot: Slot::from_number(1), ticket: vec![], limits });
    let connected = bytes_of(&ConnectReply { limits, pass: Vec::new(), route: Route::Relay });
    for (what, exit, reply) in [
        ("a reply to another request", 5, ReplyPlan::Raw(registered, Then::Continue)),
        ("garbage", 5, ReplyPlan::Raw(random_bytes(1, 500), Then::Continue)),
        ("an excessive length", 5, ReplyPlan::Raw(vec![0x12, 0xff, 0xff, 0xff, 0xff], Then::Continue)),
        ("an invalid body", 5, ReplyPlan::Raw(vec![0x12, 0, 0, 0, 1, 0x80], Then::Continue)),
        ("the end of the stream", 5, ReplyPlan::Raw(vec![0x12], Then::Finish)),
        ("a reset", 5, ReplyPlan::Raw(Vec::new(), Then::Reset)),
        ("connected, then the end", 4, ReplyPlan::Raw(connected.clone(), Then::Finish)),
        (
            "connected, then garbage",
            4,
            ReplyPlan::Raw([&connected[..], &random_bytes(2, 500)].concat(), Then::Continue),
        ),
        ("no such code", 3, ReplyPlan::rejected(RejectReason::NotFound)),
        ("a token is missing", 7, ReplyPlan::rejected(RejectReason::Token)),
        ("full", 7, ReplyPlan::rejected(RejectReason::Full)),
    ] {
        let run = test.download(BridgePlan::replying(reply)).await;
        run.assert_failed(exit, what);
        assert!(run.took < Duration::from_secs(10), "{what}: {:?}", run.took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_time_out_after_ten_seconds_without_a_reply() {
    let (machine, relay) = (TestMachine::new(), HostileRelay::start());
    let test = RelayTest::new(14).await;
    relay.plan_registration(ReplyPlan::Silence);
    let path = machine.file(NAME, b"x");
    let (send, recv) =
        tokio::join!(machine.run_sender(relay.addr(), &path), test.download(BridgePlan::replying(ReplyPlan::Silence)));
    for (what, run) in [("send", send), ("recv", recv)] {
        run.assert_failed(5, what);
        assert!(run.message().contains("relay"), "{what}: {}", run.message());
        assert!(run.took > Duration::from_secs(9) && run.took < Duration::from_secs(30), "{what}: {:?}", run.took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_fails_on_any_invalid_reply() {
    let (machine, relay) = (TestMachine::new(), HostileRelay::start());
    let path = machine.file(NAME, b"x");
    let connected =
        bytes_of(&ConnectReply { limits: RelayLimits { bridge_bytes: 1 }, pass: Vec::new(), route: Route::Relay });
    for (what, exit, reply) in [
        ("a reply to another request", 5, ReplyPlan::Raw(connected, Then::Continue)),
        ("garbage", 5, ReplyPlan::Raw(random_bytes(1, 500), Then::Continue)),
        ("an excessive length", 5, ReplyPlan::Raw(vec![0x11, 0xff, 0xff, 0xff, 0xff], Then::Continue)),
        ("an invalid slot", 5, ReplyPlan::Raw(b"\x11\0\0\0\x06abcd\0\0".to_vec(), Then::Continue)),
        ("the end of the stream", 5, ReplyPlan::Raw(Vec::new(), Then::Finish)),
        ("a reset", 5, ReplyPlan::Raw(Vec::new(), Then::Reset)),
        ("a token is missing", 7, ReplyPlan::rejected(RejectReason::Token)),
        ("full", 7, ReplyPlan::rejected(RejectReason::Full)),
    ] {
        relay.plan_registration(reply);
        let run = machine.run_sender(relay.addr(), &path).await;
        run.assert_failed(exit, what);
        assert!(!run.stdout.contains("sharing"), "{what}: a code was shown");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn false_limits_do_not_fail_a_download() {
    let mut test = RelayTest::new(15).await;
    for bridge_bytes in [0, 1, u64::MAX] {
        let run = test.download(BridgePlan::replying(ReplyPlan::Limit(bridge_bytes))).await;
        run.assert_saved(NAME, &test.content, &format!("a bridge of {bridge_bytes} bytes"));
        test.sender.wait_for("download_finished").await;
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_notice_that_the_relay_closed_its_endpoint() {
    let mut test = RelayTest::new(16).await;
    let run =
        test.download(BridgePlan::tampering(cut(StreamDirection::ToReceiver, FIRST_CONTENT, true, Then::Die))).await;
    run.assert_failed(5, "the relay closed its endpoint");
    test.sender.wait_for("reconnecting").await;
}
