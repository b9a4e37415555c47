//! The phase of a bridge: whether its receiver has confirmed the code, and whether it is leaving.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// While a bridge is younger than this, it may be testing a guess, and its sender may report that its receiver has not
/// confirmed the code. Senders wait ten seconds for that.
pub(super) const VERDICT_PERIOD: Duration = Duration::from_secs(15);

/// A sender sends less than this to a receiver that has not confirmed the code: flight 2, and at most 64 KiB of the
/// manifest.
const MAX_UNCONFIRMED_BYTES: u64 = 128 * 1024;

/// The phase of a bridge. Both directions share it.
pub(super) struct BridgePhase {
    young_until: Instant,
    /// The receiver has ended one half of its stream.
    one_half_has_ended: AtomicBool,
    /// The bytes that the sender has sent.
    from_sender: AtomicU64,
}

impl BridgePhase {
    /// Creates the phase of a bridge that begins now.
    pub(super) fn new() -> Self {
        let young_until = Instant::now() + VERDICT_PERIOD;
        Self { young_until, one_half_has_ended: AtomicBool::new(false), from_sender: AtomicU64::new(0) }
    }

    /// Counts bytes of the sender.
    pub(super) fn note_from_sender(&self, bytes: u64) {
        self.from_sender.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns whether the sender has sent more than it sends to a receiver that has not confirmed the code.
    pub(super) fn is_confirmed(&self) -> bool {
        self.from_sender.load(Ordering::Relaxed) > MAX_UNCONFIRMED_BYTES
    }

    /// Records that the receiver has ended a half of its stream. Returns whether the bridge must wait for the sender's
    /// verdict: it is young, and this is the second half.
    pub(super) fn end_receivers_half(&self) -> bool {
        self.one_half_has_ended.swap(true, Ordering::Relaxed) && Instant::now() < self.young_until
    }
}
