//! Bounds the memory that the connections, streams and bridges of the relay hold together.
//!
//! Connections and streams have a fixed cost, which they reserve before they exist. When the reservations reach three
//! quarters of the budget, further connections and streams are refused.
//!
//! Each direction of a bridge has an account. It counts the bytes that wait in the bridge, and those that QUIC stores
//! until the receiver acknowledges them. When everything together exceeds the budget, the budget evicts the direction
//! whose bytes have been blocked longest: memory that a receiver does not drain serves no transfer. Directions that
//! hold less than half of the mean are evicted last, however long they have been blocked. Otherwise receivers that
//! drain large amounts slowly could displace small, slow ones.
//!
//! The limit of a single bridge is in [`super::bridge`].

use std::{
    sync::{Arc, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::memory_accounts::{MemoryAccounts, MemoryUsage, WriteProgress};
use crate::{net::BufferPool, sync::Mutex};

/// The cost of a connection: the allocations of quinn and rustls (57 KB; 18,600 idle connections took 1.05 GB), and the
/// receive window before the first bridge (32 KiB).
const CONNECTION_COST: usize = 96 * 1024;

/// The cost of a client's stream and of the stream to the sender that it causes, before the bridge: their tasks, their
/// state in quinn, and bytes that arrive early.
const STREAM_COST: usize = 32 * 1024;

/// The overhead of a block in quinn's send buffer and in the allocator.
const BLOCK_OVERHEAD: usize = 128;

/// The memory of a relay. A handle: clones share one budget.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    accounts: Arc<Mutex<MemoryAccounts>>,
    pool: BufferPool,
}

impl MemoryBudget {
    /// Creates a budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { accounts: Arc::new(Mutex::new(MemoryAccounts::new(limit))), pool: BufferPool::default() }
    }

    /// Returns the size of the budget in bytes.
    pub fn limit(&self) -> usize {
        self.lock().limit()
    }

    /// Returns the memory that the relay holds.
    pub fn usage(&self) -> MemoryUsage {
        self.lock().usage()
    }

    /// Returns how many bytes the next bridge may hold in each direction: a sixteenth of the free memory, from 512 KiB
    /// to 64 MiB. So the grants fall as the memory fills, and some always stays free.
    pub(super) fn grant(&self) -> u64 {
        const MIN: usize = 512 * 1024;
        const MAX: usize = 64 * 1024 * 1024;
        (self.lock().free() / 16).clamp(MIN, MAX) as u64
    }

    /// Returns how many connections take five eighths of the budget. With this limit, connections are refused by
    /// source, and memory is left for their streams and for bridges.
    pub(super) fn max_connections(&self) -> u32 {
        u32::try_from(self.lock().limit() / 8 * 5 / CONNECTION_COST).unwrap_or(u32::MAX).max(1)
    }

    /// Reserves memory for a connection beside `open` others. They may include closed connections whose last packets
    /// are still being sent. Returns `None` if all reservations would take more than three quarters of the budget: the
    /// rest is for bridges.
    pub(super) fn try_reserve_connection(&self, open: usize) -> Option<MemoryReservation> {
        self.try_reserve(CONNECTION_COST, open.saturating_mul(CONNECTION_COST))
    }

    /// Reserves memory for a stream. Returns `None` in the same case as [`MemoryBudget::try_reserve_connection`].
    pub(super) fn try_reserve_stream(&self) -> Option<MemoryReservation> {
        self.try_reserve(STREAM_COST, 0)
    }

    /// Reserves `bytes` beside the other reservations, which take at least `others` bytes.
    fn try_reserve(&self, bytes: usize, others: usize) -> Option<MemoryReservation> {
        self.lock().try_reserve(bytes, others).then(|| MemoryReservation { budget: self.clone(), bytes })
    }

    /// Opens the account of one direction.
    pub(super) fn open_account(&self) -> MemoryAccount {
        let (id, evict) = self.lock().open();
        MemoryAccount { budget: self.clone(), id, evict }
    }

    /// Returns the pool that all bridges take their long buffers from.
    pub(super) fn pool(&self) -> BufferPool {
        self.pool.clone()
    }

    fn lock(&self) -> MutexGuard<'_, MemoryAccounts> {
        self.accounts.lock()
    }
}

/// The fixed cost of a connection or a stream. Dropping it releases the bytes.
#[derive(Debug)]
pub(super) struct MemoryReservation {
    budget: MemoryBudget,
    bytes: usize,
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.budget.lock().release(self.bytes);
    }
}

/// The account of one direction of a bridge. Dropping it releases the bytes that it counts, except unacknowledged ones.
#[derive(Debug)]
pub(super) struct MemoryAccount {
    budget: MemoryBudget,
    id: u64,
    evict: Arc<Notify>,
}

impl MemoryAccount {
    /// Records that `waiting` bytes now wait in the direction. Evicts directions if the budget is exceeded.
    pub(super) fn update(&self, waiting: usize, progress: WriteProgress) {
        self.budget.lock().update(self.id, waiting, progress);
    }

    /// Counts `block` as unacknowledged until the last handle of it is dropped: quinn drops a block when all of it is
    /// acknowledged, or when the stream is reset. The account no longer counts it as waiting.
    pub(super) fn count_until_acknowledged(&self, block: Bytes) -> Bytes {
        let bytes = block.len() + BLOCK_OVERHEAD;
        self.budget.lock().add_unacknowledged(self.id, bytes);
        Bytes::from_owner(UnacknowledgedBlock { block, budget: self.budget.clone(), id: self.id, bytes })
    }

    /// Completes when this direction is evicted.
    pub(super) async fn evicted(&self) {
        self.evict.notified().await;
    }

    /// Returns the time of the last write or acknowledgement, or of the first arrival after everything was
    /// acknowledged.
    pub(super) fn last_progress(&self) -> Instant {
        self.budget.lock().last_progress(self.id)
    }

    /// Completes when nothing was written or acknowledged for `limit`.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let deadline = self.last_progress() + limit;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

impl Drop for MemoryAccount {
    fn drop(&mut self) {
        self.budget.lock().close(self.id);
    }
}

/// A block in quinn's send buffer.
struct UnacknowledgedBlock {
    block: Bytes,
    budget: MemoryBudget,
    /// The account of its direction.
    id: u64,
    bytes: usize,
}

impl AsRef<[u8]> for UnacknowledgedBlock {
    fn as_ref(&self) -> &[u8] {
        &self.block
    }
}

impl Drop for UnacknowledgedBlock {
    fn drop(&mut self) {
        self.budget.lock().remove_unacknowledged(self.id, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn is_evicted(account: &MemoryAccount) -> bool {
        account.budget.lock().is_evicted(account.id)
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
        assert_eq!(
            budget.usage(),
            MemoryUsage { directions: 2, held: 75, peak: 105, largest: 45, evicted: 1, ..MemoryUsage::default() }
        );
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

    #[tokio::test(start_paused = true)]
    async fn unacknowledged_blocks_count_until_they_are_dropped() {
        let budget = MemoryBudget::new(10_000);
        let (idle, busy) = (budget.open_account(), budget.open_account());
        let block = idle.count_until_acknowledged(Bytes::from(vec![0; 4_000]));
        let part = block.slice(3_000..);
        drop(block);
        assert_eq!(budget.usage().unacknowledged, 4_000 + BLOCK_OVERHEAD);
        advance(Duration::from_secs(1)).await;
        busy.update(9_000, WriteProgress::Written);
        assert_eq!([&idle, &busy].map(is_evicted), [true, false], "a peer that acknowledges nothing is evicted first");
        drop(idle);
        assert_eq!(budget.usage().held, 13_000 + BLOCK_OVERHEAD, "QUIC still stores the bytes");
        drop(part);
        assert_eq!((budget.usage().held, budget.usage().unacknowledged), (9_000, 0));
    }

    #[test]
    fn reservations_leave_a_quarter_to_bridges_and_evict_them_if_they_need_it() {
        let budget = MemoryBudget::new(1_000);
        let first = budget.try_reserve(750, 0).unwrap();
        assert!(budget.try_reserve(1, 0).is_none());
        drop(first);
        assert!(budget.try_reserve(1, 750).is_none());
        let bridge = budget.open_account();
        bridge.update(700, WriteProgress::Blocked);
        let second = budget.try_reserve(301, 0).unwrap();
        assert!(is_evicted(&bridge));
        let usage = budget.usage();
        assert_eq!((usage.reserved, usage.held, usage.refused), (301, 700, 2));
        drop(second);
        assert_eq!(budget.usage().reserved, 0);
    }

    /// A relay with many bridges above its limit must not search all of them at each change.
    #[tokio::test(start_paused = true)]
    async fn the_next_direction_is_found_among_very_many() {
        const COUNT: usize = 100_000;
        let budget = MemoryBudget::new(100 * COUNT);
        let accounts: Vec<MemoryAccount> = (0..COUNT).map(|_| budget.open_account()).collect();
        for account in &accounts {
            account.update(100, WriteProgress::Written);
        }
        for account in &accounts[COUNT / 2..] {
            account.update(200, WriteProgress::Blocked);
        }
        let evicted = accounts.iter().filter(|account| is_evicted(account)).count();
        assert_eq!(evicted, budget.usage().evicted);
        assert!((COUNT / 4..=COUNT / 2).contains(&evicted), "{evicted}");
    }

    #[test]
    fn a_dropped_account_holds_nothing() {
        let budget = MemoryBudget::new(100);
        budget.open_account().update(99, WriteProgress::Blocked);
        assert_eq!(budget.usage(), MemoryUsage { peak: 99, largest: 99, ..MemoryUsage::default() });
    }
}
