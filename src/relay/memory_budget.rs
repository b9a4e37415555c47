//! Bounds the memory of the relay: what all bridges together may hold, and which of them is evicted above that.
//!
//! Each direction of a bridge has an account, which counts the bytes that it holds. When all accounts together exceed
//! the limit, the budget evicts the direction whose bytes have been blocked longest: memory that a receiver does not
//! drain serves no transfer. Directions that hold less than half of the mean are evicted last, however long they have
//! been blocked, so that many trickling receivers cannot displace small, slow ones.
//!
//! The limit of a single bridge is in [`super::bridge`].

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard},
};

use tokio::{sync::Notify, time::Instant};

use crate::{net::BufferPool, sync::Mutex};

/// The memory that all bridges of a relay may hold. A handle: clones share one budget.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    accounts: Arc<Mutex<Accounts>>,
    pool: BufferPool,
}

/// The memory that the bridges of a relay hold, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// The number of open directions. A bridge has two.
    pub directions: usize,
    /// Bytes that all directions hold now.
    pub held: usize,
    /// The most bytes that all directions held at one time.
    pub peak: usize,
    /// The most bytes that one direction held.
    pub largest: usize,
    /// The number of evicted directions.
    pub evicted: usize,
}

impl MemoryBudget {
    /// Creates a budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let accounts = Accounts { limit, usage: MemoryUsage::default(), open: HashMap::new(), next_id: 0 };
        Self { accounts: Arc::new(Mutex::new(accounts)), pool: BufferPool::default() }
    }

    /// Returns the memory that the bridges hold.
    pub fn usage(&self) -> MemoryUsage {
        let accounts = self.lock();
        MemoryUsage { directions: accounts.open.len(), ..accounts.usage }
    }

    /// Returns how many bytes the next bridge may hold in each direction: a sixteenth of the free memory, from 512 KiB
    /// to 64 MiB. So the grants fall as the memory fills, and some always stays free.
    pub(super) fn grant(&self) -> u64 {
        const MIN: usize = 512 * 1024;
        const MAX: usize = 64 * 1024 * 1024;
        let accounts = self.lock();
        let free = accounts.limit.saturating_sub(accounts.usage.held);
        (free / 16).clamp(MIN, MAX) as u64
    }

    /// Opens the account of one direction.
    pub(super) fn open_account(&self) -> MemoryAccount {
        let mut accounts = self.lock();
        let id = accounts.next_id;
        accounts.next_id += 1;
        let evict = Arc::new(Notify::new());
        let entry =
            AccountEntry { held: 0, last_progress: Instant::now(), is_evicted: false, evict: Arc::clone(&evict) };
        accounts.open.insert(id, entry);
        MemoryAccount { budget: self.clone(), id, evict }
    }

    /// Returns the pool that all bridges take their long buffers from.
    pub(super) fn pool(&self) -> BufferPool {
        self.pool.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock()
    }
}

/// The account of one direction of a bridge. Dropping it releases the bytes that it counts.
#[derive(Debug)]
pub(super) struct MemoryAccount {
    budget: MemoryBudget,
    id: u64,
    evict: Arc<Notify>,
}

/// Whether a direction has written bytes since its account was last updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteProgress {
    Written,
    Blocked,
}

impl MemoryAccount {
    /// Records that the direction now holds `held` bytes. Evicts directions if the budget is exceeded.
    pub(super) fn update(&self, held: usize, progress: WriteProgress) {
        self.budget.lock().update(self.id, held, progress);
    }

    /// Completes when this direction is evicted.
    pub(super) async fn evicted(&self) {
        self.evict.notified().await;
    }
}

impl Drop for MemoryAccount {
    fn drop(&mut self) {
        let mut accounts = self.budget.lock();
        if let Some(entry) = accounts.open.remove(&self.id) {
            accounts.usage.held -= entry.held;
        }
    }
}

#[derive(Debug)]
struct Accounts {
    limit: usize,
    usage: MemoryUsage,
    open: HashMap<u64, AccountEntry>,
    next_id: u64,
}

#[derive(Debug)]
struct AccountEntry {
    held: usize,
    /// When bytes were last written, or when the first ones arrived.
    last_progress: Instant,
    is_evicted: bool,
    evict: Arc<Notify>,
}

impl Accounts {
    fn update(&mut self, id: u64, held: usize, progress: WriteProgress) {
        let Some(entry) = self.open.get_mut(&id) else { return };
        if progress == WriteProgress::Written || entry.held == 0 {
            entry.last_progress = Instant::now();
        }
        self.usage.held = self.usage.held - entry.held + held;
        entry.held = held;
        self.usage.peak = self.usage.peak.max(self.usage.held);
        self.usage.largest = self.usage.largest.max(held);
        if self.usage.held > self.limit {
            self.evict();
        }
    }

    /// Evicts as many directions as the excess takes: the longest blocked first, those that hold less than half of the
    /// mean last. What evicted directions still hold counts as freed.
    fn evict(&mut self) {
        let being_freed: usize = self.open.values().filter(|entry| entry.is_evicted).map(|entry| entry.held).sum();
        let mut excess = self.usage.held.saturating_sub(self.limit + being_freed);
        let mut candidates: Vec<&mut AccountEntry> =
            self.open.values_mut().filter(|entry| !entry.is_evicted && entry.held > 0).collect();
        let total: usize = candidates.iter().map(|entry| entry.held).sum();
        let half_of_mean = total / (2 * candidates.len()).max(1);
        candidates.sort_by_key(|entry| (entry.held < half_of_mean, entry.last_progress));
        for entry in candidates {
            if excess == 0 {
                return;
            }
            excess = excess.saturating_sub(entry.held);
            entry.is_evicted = true;
            entry.evict.notify_one();
            self.usage.evicted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, advance};

    use super::*;

    fn is_evicted(account: &MemoryAccount) -> bool {
        account.budget.lock().open[&account.id].is_evicted
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_blocked_direction_is_evicted_first() {
        let budget = MemoryBudget::new(100);
        let [blocked, slow, fast] = [budget.open_account(), budget.open_account(), budget.open_account()];
        for account in [&blocked, &slow, &fast] {
            account.update(30, WriteProgress::Blocked);
            advance(Duration::from_secs(1)).await;
        }
        slow.update(30, WriteProgress::Written);
        fast.update(30, WriteProgress::Blocked);
        assert!(![&blocked, &slow, &fast].into_iter().any(is_evicted));
        slow.update(41, WriteProgress::Blocked);
        assert_eq!([&blocked, &slow, &fast].map(is_evicted), [true, false, false]);
        blocked.evicted().await;
        slow.update(45, WriteProgress::Blocked);
        assert!(!is_evicted(&fast), "what an evicted direction holds counts as freed");
        drop(blocked);
        assert_eq!(budget.usage(), MemoryUsage { directions: 2, held: 75, peak: 105, largest: 45, evicted: 1 });
        advance(Duration::from_secs(1)).await;
        fast.update(20, WriteProgress::Written);
        slow.update(81, WriteProgress::Blocked);
        assert_eq!([&slow, &fast].map(is_evicted), [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_trickling_directions_do_not_displace_a_small_slow_one() {
        let budget = MemoryBudget::new(1000);
        let small = budget.open_account();
        small.update(10, WriteProgress::Blocked);
        advance(Duration::from_secs(60)).await;
        let trickling: Vec<MemoryAccount> = (0..10).map(|_| budget.open_account()).collect();
        for account in &trickling {
            account.update(100, WriteProgress::Written);
        }
        assert!(!is_evicted(&small));
        assert_eq!(trickling.iter().filter(|account| is_evicted(account)).count(), 1);
    }

    #[test]
    fn grants_fall_as_the_memory_fills() {
        const MIB: usize = 1024 * 1024;
        let budget = MemoryBudget::new(1024 * MIB);
        let account = budget.open_account();
        let grants = [0, 512, 1000, 1024].map(|held| {
            account.update(held * MIB, WriteProgress::Written);
            budget.grant() as usize
        });
        assert_eq!(grants, [64 * MIB, 32 * MIB, 3 * MIB / 2, MIB / 2]);
        assert_eq!(MemoryBudget::new(usize::MAX).grant() as usize, 64 * MIB);
    }

    #[test]
    fn a_dropped_account_holds_nothing() {
        let budget = MemoryBudget::new(100);
        budget.open_account().update(99, WriteProgress::Blocked);
        assert_eq!(budget.usage(), MemoryUsage { peak: 99, largest: 99, ..MemoryUsage::default() });
    }
}
