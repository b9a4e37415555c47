//! Alerts in the clear, which a relay can forge in the name of the sender.

use qshare::internals::{
    route::Route,
    wire::{
        peer::{Alert, AlertReason},
        relay::{ConnectReply, RelayLimits},
    },
};

use super::harness::{NAME, RelayTest, SECOND_CONTENT, cut};
use crate::{
    hostile::hostile_relay::{BRIDGE_BYTES, BridgePlan, ReplyPlan, StreamDirection, Then},
    support::bytes_of,
};

/// Returns a plan that answers in the name of the sender with an alert.
fn forged_alert(reason: AlertReason) -> BridgePlan {
    let limits = RelayLimits { bridge_bytes: BRIDGE_BYTES };
    let connected = bytes_of(&ConnectReply { limits, pass: Vec::new(), route: Route::Relay });
    let alert = bytes_of(&Alert { reason, retry_after: 0 });
    BridgePlan::replying(ReplyPlan::Raw([connected, alert].concat(), Then::Finish))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_keeps_its_session_when_a_relay_denies_it() {
    for reason in [AlertReason::UnknownSession, AlertReason::Malformed, AlertReason::Version, AlertReason::Busy] {
        let mut test = RelayTest::new(90).await;
        test.relay.plan(BridgePlan::tampering(cut(StreamDirection::ToReceiver, SECOND_CONTENT, true, Then::Reset)));
        for _ in 0..4 {
            test.relay.plan(forged_alert(reason));
        }
        let run = test.machine.run_persistent_receiver(test.relay.addr(), test.sender.code()).await;
        run.assert_saved(NAME, &test.content, &format!("{reason:?}"));
        test.sender.wait_for("download_started").await;
        let next = test.sender.first_of(&["download_started", "download_finished"]).await;
        assert_eq!(next["event"], "download_finished", "{reason:?}: the session was replaced");
    }
}
