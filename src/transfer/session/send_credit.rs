//! The sender's side of credit: waits until the receiver has granted enough.

use tokio::sync::watch;

use super::receive_window::{MAX_UNACKNOWLEDGED, MAX_WINDOW};
use crate::wire::peer::{Credit, INITIAL_CREDIT};

/// The most bytes that are sent ahead of the acknowledged offset: the largest window, and the bytes in flight when it
/// is granted.
const MAX_AHEAD: u64 = MAX_WINDOW + MAX_WINDOW / 4;

/// The bytes that a download may always send ahead: twice what a receiver drains before it acknowledges, and the
/// records at both ends. The receiver therefore acknowledges a part of them before the sender has to stop.
const MIN_AHEAD: u64 = 2 * MAX_UNACKNOWLEDGED + INITIAL_CREDIT;

/// The bytes that all downloads of a share together may keep unacknowledged. Twice the limit of one download, so that a
/// single one may use its whole limit. Twenty downloads still get 7 MiB each, enough for 280 Mbit/s × 200 ms.
const MAX_SHARE_UNACKNOWLEDGED: u64 = 2 * MAX_AHEAD;

/// The latest credit of a receiver.
#[derive(Debug)]
pub struct SendCredit(watch::Sender<Credit>);

impl SendCredit {
    /// Starts with [`INITIAL_CREDIT`].
    pub fn new() -> Self {
        Self(watch::Sender::new(Credit { limit: INITIAL_CREDIT, received: 0 }))
    }

    /// Replaces the credit with a new grant of the receiver. Returns whether the credit has changed. `sent` is the
    /// highest offset sent so far.
    ///
    /// # Errors
    /// [`BadCredit`] if an offset falls, or if more is acknowledged than was sent.
    pub fn update(&self, credit: Credit, sent: u64) -> Result<bool, BadCredit> {
        let before = self.0.borrow().clone();
        if credit.limit < before.limit || credit.received < before.received || credit.received > sent {
            return Err(BadCredit);
        }
        let differs = credit != before;
        self.0.send_replace(credit);
        Ok(differs)
    }

    /// Waits until the sealed stream may be sent up to offset `end`. Unacknowledged bytes are kept in memory, so they
    /// are bounded too, whatever the receiver grants. `share_unacknowledged` returns the bytes that all downloads of
    /// the share keep.
    pub async fn wait_until_sendable(&self, end: u64, share_unacknowledged: impl Fn() -> u64) {
        let may_send = |credit: &Credit| {
            credit.limit.min(credit.received.saturating_add(max_ahead(share_unacknowledged()))) >= end
        };
        let _ = self.0.subscribe().wait_for(may_send).await; // cannot fail: `self` holds the sender
    }
}

impl Default for SendCredit {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns how far a download may send ahead of the acknowledged offset while all downloads together keep
/// `share_unacknowledged` bytes.
///
/// The limit is the part of the bound that is still free, so a part of it always stays free, even if many downloads use
/// their whole limit (dynamic queue length thresholds, Choudhury and Hahne 1998).
fn max_ahead(share_unacknowledged: u64) -> u64 {
    MAX_SHARE_UNACKNOWLEDGED.saturating_sub(share_unacknowledged).clamp(MIN_AHEAD, MAX_AHEAD)
}

/// A credit that falls, or that acknowledges bytes that were never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCredit;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

    use super::{super::receive_window::ReceiveWindow, *};

    const MIB: u64 = 1024 * 1024;

    #[tokio::test]
    async fn invalid_credit_is_refused_and_unacknowledged_bytes_are_bounded() {
        let send_credit = SendCredit::new();
        send_credit.wait_until_sendable(INITIAL_CREDIT, || 0).await;
        let credit = |limit, received| Credit { limit, received };
        assert_eq!(send_credit.update(credit(1, 0), 0), Err(BadCredit));
        assert_eq!(send_credit.update(credit(MIB, 10), 9), Err(BadCredit));
        send_credit.update(credit(MIB, 10), 10).unwrap();
        assert_eq!(send_credit.update(credit(MIB, 9), 10), Err(BadCredit));
        send_credit.wait_until_sendable(MIB, || 0).await;
        send_credit.update(credit(1 << 40, 10), 10).unwrap();
        let is_sendable = async |end, share_unacknowledged| {
            let waiting = send_credit.wait_until_sendable(end, || share_unacknowledged);
            timeout(Duration::from_millis(1), waiting).await.is_ok()
        };
        assert!(is_sendable(10 + MAX_AHEAD, MAX_AHEAD).await);
        assert!(!is_sendable(11 + MAX_AHEAD, 0).await, "unacknowledged bytes must be kept");
        assert!(is_sendable(10 + 24 * MIB, 136 * MIB).await && !is_sendable(11 + 24 * MIB, 136 * MIB).await);
        assert!(is_sendable(10 + MIN_AHEAD, u64::MAX).await, "a receiver that acknowledges is always served");
    }

    /// A large window acknowledges rarely; a sender that may keep only the minimum must not wait for more.
    #[tokio::test]
    async fn a_large_window_and_a_small_send_limit_do_not_deadlock() {
        let send_credit = SendCredit::new();
        let start = Instant::now();
        let mut window = ReceiveWindow::new(MAX_WINDOW, None, Duration::from_millis(10), start);
        let (mut sent, mut ms) = (0, 0);
        while sent < 200 * MIB {
            ms += 1;
            let share_unacknowledged = if sent < 100 * MIB { 0 } else { u64::MAX };
            let record = sent + 128 * 1024;
            let waiting = send_credit.wait_until_sendable(record, || share_unacknowledged);
            assert!(timeout(Duration::from_millis(1), waiting).await.is_ok(), "stuck at {sent}");
            sent = record;
            if let Some(credit) = window.update(sent, sent, start + Duration::from_millis(ms)) {
                send_credit.update(credit, sent).unwrap();
            }
        }
    }
}
