//! The statistics of a relay for its operator.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use super::memory_accounts::MemoryUsage;
use crate::wire::relay_limit::RelayLimit;

/// A monotonic counter.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The totals since the relay started. Nothing in them identifies a client or a share.
#[derive(Debug)]
pub(super) struct RelayCounters {
    /// Slots that were given to senders.
    pub(super) registrations: Counter,
    /// Requests of receivers.
    pub(super) connects: Counter,
    /// Requests of receivers for slots without a sender.
    pub(super) misses: Counter,
    /// Receivers that were bridged to senders.
    pub(super) bridges: Counter,
    /// Bridges whose sender reported an unconfirmed session.
    pub(super) unconfirmed: Counter,
    /// Bytes that bridges have read.
    pub(super) bytes: Counter,
    /// Failed attempts to record the slots in use.
    pub(super) journal_failures: Counter,
    /// Refusals by limit.
    refusals: [Counter; RelayLimit::ALL.len()],
}

/// The present resources of a relay.
pub(super) struct RelayGauges {
    pub(super) connections: usize,
    pub(super) held_slots: usize,
    pub(super) resting_slots: usize,
    pub(super) memory: MemoryUsage,
}

impl RelayCounters {
    pub(super) fn new() -> Self {
        Self {
            registrations: Counter::default(),
            connects: Counter::default(),
            misses: Counter::default(),
            bridges: Counter::default(),
            unconfirmed: Counter::default(),
            bytes: Counter::default(),
            journal_failures: Counter::default(),
            refusals: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// Counts a refusal because of `limit`.
    pub(super) fn count_refusal(&self, limit: RelayLimit) {
        self.refusals[limit as usize].add(1);
    }

    /// Returns one line with all numbers, without limits that caused no refusals.
    pub(super) fn summary(&self, now: &RelayGauges) -> String {
        let RelayGauges { connections, held_slots, resting_slots, memory } = now;
        let mut line = format!(
            "now: connections={connections} slots={held_slots} resting={resting_slots} bridges={} memory={} unacknowledged={}; \
             since the start: registrations={} connects={} misses={} bridges={} unconfirmed={} bytes={} \
             memory_peak={} evicted={} memory_refused={} journal_failures={}; refused:",
            memory.directions / 2,
            memory.reserved + memory.held,
            memory.unacknowledged,
            self.registrations.get(),
            self.connects.get(),
            self.misses.get(),
            self.bridges.get(),
            self.unconfirmed.get(),
            self.bytes.get(),
            memory.peak,
            memory.evicted,
            memory.refused,
            self.journal_failures.get(),
        );
        let refused = RelayLimit::ALL.iter().zip(&self.refusals).map(|(limit, count)| (limit.name(), count.get()));
        let before = line.len();
        for (name, count) in refused.filter(|(_, count)| *count > 0) {
            let _ = write!(line, " {name}={count}"); // a String accepts everything
        }
        if line.len() == before {
            line.push_str(" none");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_one_line_of_numbers() {
        let counters = RelayCounters::new();
        let memory = MemoryUsage { reserved: 5, directions: 4, held: 10, unacknowledged: 4, ..MemoryUsage::default() };
        let gauges = RelayGauges { connections: 3, held_slots: 1, resting_slots: 2, memory };
        assert!(counters.summary(&gauges).ends_with("refused: none"));
        counters.registrations.add(7);
        counters.count_refusal(RelayLimit::Misses);
        counters.count_refusal(RelayLimit::Misses);
        let line = counters.summary(&gauges);
        assert!(
            line.starts_with("now: connections=3 slots=1 resting=2 bridges=2 memory=15 unacknowledged=4; "),
            "{line}"
        );
        assert!(line.contains(" registrations=7 ") && line.ends_with("refused: misses=2"), "{line}");
        assert!(!line.contains('\n'));
    }
}
