//! Alerts: the sender's refusals, in the clear.

use std::time::Duration;

use crate::{
    net::{SendHalf, wait_on_peer},
    transfer::timeouts::REPLY_TIMEOUT,
    wire::peer::{Alert, AlertReason},
};

/// The delay after which a receiver that was refused as [`AlertReason::Busy`] should retry. The receivers before it
/// confirm within ten seconds.
pub(crate) const BUSY_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Sends an alert and finishes the stream. A retry may succeed after the delay `retry_after`; `None` if no retry can.
/// Gives up on a peer that does not read for [`REPLY_TIMEOUT`].
pub(crate) async fn send_alert(mut send: SendHalf, reason: AlertReason, retry_after: Option<Duration>) {
    let retry_after = retry_after.map_or(0, whole_seconds);
    if wait_on_peer(REPLY_TIMEOUT, [], send.send_message(&Alert { reason, retry_after })).await.is_ok() {
        send.finish();
    }
}

/// Rounds up to whole seconds, at least 1: on the wire 0 means that no retry can succeed.
fn whole_seconds(wait: Duration) -> u32 {
    wait.as_millis().div_ceil(1000).max(1) as u32
}
