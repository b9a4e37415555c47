//! The accounts of a relay's memory, and the order in which directions of bridges are evicted.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tokio::{sync::Notify, time::Instant};

/// The memory that a relay holds, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// The fixed costs of connections and streams.
    pub reserved: usize,
    /// The number of open directions. A bridge has two.
    pub directions: usize,
    /// The bytes that all directions hold now, including unacknowledged ones.
    pub held: usize,
    /// The part of `held` that was written and is not acknowledged.
    pub unacknowledged: usize,
    /// The most that all directions held at one time.
    pub peak: usize,
    /// The most that waited in one direction to be written.
    pub largest: usize,
    /// The number of evicted directions.
    pub evicted: usize,
    /// The number of connections and streams that were refused.
    pub refused: usize,
}

/// Whether a direction has written bytes since its account was last updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteProgress {
    Written,
    Blocked,
}

/// All accounts of a [`MemoryBudget`](super::MemoryBudget).
#[derive(Debug)]
pub(super) struct MemoryAccounts {
    limit: usize,
    reserved: usize,
    waiting: usize,
    unacknowledged: usize,
    peak: usize,
    largest: usize,
    evicted: usize,
    refused: usize,
    open: HashMap<u64, AccountEntry>,
    next_id: u64,
    eviction_order: EvictionOrder,
    /// The bytes that evicted directions still hold. They count as freed.
    being_freed: usize,
}

#[derive(Debug)]
struct AccountEntry {
    waiting: usize,
    unacknowledged: usize,
    /// The time of the last write or acknowledgement, or of the first arrival.
    last_progress: Instant,
    is_evicted: bool,
    evict: Arc<Notify>,
}

impl AccountEntry {
    fn held(&self) -> usize {
        self.waiting + self.unacknowledged
    }
}

impl MemoryAccounts {
    /// Creates the accounts of a budget of `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            reserved: 0,
            waiting: 0,
            unacknowledged: 0,
            peak: 0,
            largest: 0,
            evicted: 0,
            refused: 0,
            open: HashMap::new(),
            next_id: 0,
            eviction_order: EvictionOrder::default(),
            being_freed: 0,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn usage(&self) -> MemoryUsage {
        MemoryUsage {
            reserved: self.reserved,
            directions: self.open.len(),
            held: self.held(),
            unacknowledged: self.unacknowledged,
            peak: self.peak,
            largest: self.largest,
            evicted: self.evicted,
            refused: self.refused,
        }
    }

    /// Returns the unused bytes of the budget.
    pub(super) fn free(&self) -> usize {
        self.limit.saturating_sub(self.reserved + self.held())
    }

    /// Reserves bytes, unless all reservations would take more than three quarters of the budget. The existing
    /// reservations count as at least `others` bytes.
    pub(super) fn try_reserve(&mut self, bytes: usize, others: usize) -> bool {
        let fits = self.reserved.max(others).saturating_add(bytes) <= self.limit / 4 * 3;
        if fits {
            self.reserved += bytes;
            self.evict_excess();
        } else {
            self.refused += 1;
        }
        fits
    }

    /// Releases reserved bytes.
    pub(super) fn release(&mut self, bytes: usize) {
        self.reserved -= bytes;
    }

    /// Opens an account. Returns its number, and the notification of its eviction.
    pub(super) fn open(&mut self) -> (u64, Arc<Notify>) {
        let (id, evict) = (self.next_id, Arc::new(Notify::new()));
        self.next_id += 1;
        let entry = AccountEntry {
            waiting: 0,
            unacknowledged: 0,
            last_progress: Instant::now(),
            is_evicted: false,
            evict: Arc::clone(&evict),
        };
        self.open.insert(id, entry);
        (id, evict)
    }

    /// Closes an account. Its unacknowledged bytes still count in the total.
    pub(super) fn close(&mut self, id: u64) {
        self.change(id, |entry| (entry.waiting, entry.unacknowledged) = (0, 0));
        self.open.remove(&id);
    }

    /// Records that `waiting` bytes wait in a direction, and evicts directions if the budget is exceeded.
    pub(super) fn update(&mut self, id: u64, waiting: usize, progress: WriteProgress) {
        self.change(id, |entry| {
            if progress == WriteProgress::Written || entry.held() == 0 {
                entry.last_progress = Instant::now();
            }
            entry.waiting = waiting;
        });
        self.largest = self.largest.max(waiting);
        self.evict_excess();
    }

    /// Returns the time of the last write or acknowledgement of an open account, or of the first arrival.
    pub(super) fn last_progress(&self, id: u64) -> Instant {
        self.open.get(&id).map_or_else(Instant::now, |entry| entry.last_progress) // closed accounts are never asked
    }

    /// Records that a direction begins to write bytes.
    pub(super) fn add_unacknowledged(&mut self, id: u64, bytes: usize) {
        self.unacknowledged += bytes;
        self.change(id, |entry| entry.unacknowledged += bytes);
    }

    /// Records that bytes of a direction were acknowledged, or that their stream was reset.
    pub(super) fn remove_unacknowledged(&mut self, id: u64, bytes: usize) {
        self.unacknowledged -= bytes;
        self.change(id, |entry| {
            entry.unacknowledged -= bytes;
            entry.last_progress = Instant::now();
        });
    }

    #[cfg(test)]
    pub(super) fn is_evicted(&self, id: u64) -> bool {
        self.open[&id].is_evicted
    }

    fn held(&self) -> usize {
        self.waiting + self.unacknowledged
    }

    /// Changes an open account, and everything that depends on it.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut AccountEntry)) {
        let Some(entry) = self.open.get_mut(&id) else { return };
        let (held, waiting) = (entry.held(), entry.waiting);
        if !entry.is_evicted {
            self.eviction_order.remove(id, held, entry.last_progress);
        }
        change(entry);
        if entry.is_evicted {
            self.being_freed = self.being_freed - held + entry.held();
        } else {
            self.eviction_order.insert(id, entry.held(), entry.last_progress);
        }
        self.waiting = self.waiting - waiting + entry.waiting;
        self.peak = self.peak.max(self.held());
    }

    /// Evicts directions until no excess remains.
    fn evict_excess(&mut self) {
        while self.reserved + self.held() > self.limit.saturating_add(self.being_freed) {
            let Some(id) = self.eviction_order.first() else { return };
            let Some(entry) = self.open.get_mut(&id) else { return };
            self.eviction_order.remove(id, entry.held(), entry.last_progress);
            entry.is_evicted = true;
            entry.evict.notify_one();
            self.being_freed += entry.held();
            self.evicted += 1;
        }
    }
}

/// The directions that hold bytes and are not evicted, by the number of binary digits of these bytes and by the time of
/// their last progress. This finds the next one without a scan of all directions.
#[derive(Debug, Default)]
struct EvictionOrder {
    by_digits: BTreeMap<u32, BTreeSet<(Instant, u64)>>,
    count: usize,
    bytes: usize,
}

impl EvictionOrder {
    fn insert(&mut self, id: u64, held: usize, last_progress: Instant) {
        if held > 0 {
            self.by_digits.entry(digits(held)).or_default().insert((last_progress, id));
            self.count += 1;
            self.bytes += held;
        }
    }

    fn remove(&mut self, id: u64, held: usize, last_progress: Instant) {
        if let Some(same) = self.by_digits.get_mut(&digits(held))
            && same.remove(&(last_progress, id))
        {
            self.count -= 1;
            self.bytes -= held;
        }
    }

    /// Returns the direction that has been blocked longest, among those that hold about half of the mean or more.
    fn first(&self) -> Option<u64> {
        let half_of_mean = self.bytes / (2 * self.count).max(1);
        let large = self.by_digits.range(digits(half_of_mean)..);
        large.filter_map(|(_, same)| same.first()).min().map(|(_, id)| *id)
    }
}

/// Returns the number of binary digits of `bytes`.
fn digits(bytes: usize) -> u32 {
    usize::BITS - bytes.leading_zeros()
}
