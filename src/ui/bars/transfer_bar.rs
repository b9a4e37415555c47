//! The progress of one transfer.

use tokio::time::Instant;

use crate::recent_rate::RecentRate;

/// The progress of one transfer, as its bar shows it.
#[derive(Debug)]
pub(super) struct TransferBar {
    pub(super) bytes: u64,
    /// All bytes, if known.
    pub(super) total: Option<u64>,
    /// Whether the transfer waits for a connection. It has no rate then.
    pub(super) waiting: bool,
    rate: RecentRate,
}

impl TransferBar {
    /// Creates the bar of a transfer that begins at `bytes`.
    pub(super) fn new(bytes: u64, total: Option<u64>, now: Instant) -> Self {
        Self { bytes, total, waiting: false, rate: RecentRate::new(now, bytes) }
    }

    /// Moves the bar to `bytes`.
    pub(super) fn advance(&mut self, bytes: u64, total: Option<u64>, now: Instant) {
        if self.waiting {
            self.rate = RecentRate::new(now, self.bytes);
            self.waiting = false;
        }
        (self.bytes, self.total) = (bytes, total.or(self.total));
        self.rate.record(now, bytes);
    }

    /// Shows that the transfer waits for a connection.
    pub(super) fn show_waiting(&mut self) {
        self.waiting = true;
    }

    /// Returns the rate of the last seconds in bytes per second.
    pub(super) fn rate(&self, now: Instant) -> u64 {
        self.rate.per_second(now)
    }
}
