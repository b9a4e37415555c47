//! What bridges hold, counted exactly, and who goes first when it is too much.
//!
//! Each direction of a bridge has an account. Where all of them together exceed what the relay may hold, the one whose
//! bytes have been stuck longest is told to give up: a receiver that does not drain is the one whose memory helps nobody.
//! Who holds little goes last, however long it is stuck: many that trickle must not push out what is small and slow.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard},
};

use tokio::{sync::Notify, time::Instant};

use crate::net::BufferPool;
use crate::sync::Mutex;

/// What all bridges of a relay may hold, and what they do hold. A handle: clones share one count.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    accounts: Arc<Mutex<Accounts>>,
    stock: BufferPool,
}

/// What bridges hold, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Directions of bridges that are open.
    pub directions: usize,
    /// What all of them hold now.
    pub held: usize,
    /// The most that all of them held at one time.
    pub peak: usize,
    /// The most that one of them held.
    pub largest: usize,
    /// How many were told to give up.
    pub evicted: usize,
}

#[derive(Debug)]
struct Accounts {
    most: usize,
    seen: MemoryUsage,
    open: HashMap<u64, AccountEntry>,
    next: u64,
}

#[derive(Debug)]
struct AccountEntry {
    held: usize,
    /// When bytes last left, or the first came.
    moved: Instant,
    evicted: bool,
    give_up: Arc<Notify>,
}

impl MemoryBudget {
    /// For at most `most` bytes.
    pub fn new(most: usize) -> Self {
        let accounts = Accounts { most, seen: MemoryUsage::default(), open: HashMap::new(), next: 0 };
        Self { accounts: Arc::new(Mutex::new(accounts)), stock: BufferPool::default() }
    }

    /// What is held.
    pub fn usage(&self) -> MemoryUsage {
        let accounts = self.lock();
        MemoryUsage { directions: accounts.open.len(), ..accounts.seen }
    }

    /// Opens the account of a direction.
    pub(super) fn open(&self) -> Account {
        let mut accounts = self.lock();
        let number = accounts.next;
        accounts.next += 1;
        let give_up = Arc::new(Notify::new());
        let entry = AccountEntry { held: 0, moved: Instant::now(), evicted: false, give_up: Arc::clone(&give_up) };
        accounts.open.insert(number, entry);
        Account { memory: self.clone(), number, give_up }
    }

    /// Buffers for whatever a bridge holds.
    pub(super) fn stock(&self) -> BufferPool {
        self.stock.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock()
    }
}

impl Accounts {
    fn set(&mut self, number: u64, held: usize, moved: bool) {
        let Some(entry) = self.open.get_mut(&number) else { return };
        if moved || entry.held == 0 {
            entry.moved = Instant::now();
        }
        self.seen.held = self.seen.held - entry.held + held;
        entry.held = held;
        self.seen.peak = self.seen.peak.max(self.seen.held);
        self.seen.largest = self.seen.largest.max(held);
        if self.seen.held > self.most {
            self.evict();
        }
    }

    /// Tells as many to give up as it takes, the longest stuck first, those with less than half of the mean last.
    fn evict(&mut self) {
        let going: usize = self.open.values().filter(|entry| entry.evicted).map(|entry| entry.held).sum();
        let mut over = self.seen.held.saturating_sub(self.most + going);
        let mut staying: Vec<&mut AccountEntry> = self.open.values_mut().filter(|e| !e.evicted && e.held > 0).collect();
        let all: usize = staying.iter().map(|entry| entry.held).sum();
        let half_of_mean = all / (2 * staying.len()).max(1);
        staying.sort_by_key(|entry| (entry.held < half_of_mean, entry.moved));
        for entry in staying {
            if over == 0 {
                return;
            }
            over = over.saturating_sub(entry.held);
            entry.evicted = true;
            entry.give_up.notify_one();
            self.seen.evicted += 1;
        }
    }
}

/// What one direction of a bridge holds; nothing more once it is dropped.
#[derive(Debug)]
pub(super) struct Account {
    memory: MemoryBudget,
    number: u64,
    give_up: Arc<Notify>,
}

impl Account {
    /// Notes what is held now, and whether bytes have left since the last note.
    pub(super) fn set(&self, held: usize, moved: bool) {
        self.memory.lock().set(self.number, held, moved);
    }

    /// Completes when this direction must go.
    pub(super) async fn evicted(&self) {
        self.give_up.notified().await;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut accounts = self.memory.lock();
        if let Some(entry) = accounts.open.remove(&self.number) {
            accounts.seen.held -= entry.held;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, advance};

    use super::*;

    fn must_go(account: &Account) -> bool {
        account.memory.lock().open[&account.number].evicted
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_stuck_goes_first() {
        let memory = MemoryBudget::new(100);
        let [stuck, slow, fast] = [memory.open(), memory.open(), memory.open()];
        for account in [&stuck, &slow, &fast] {
            account.set(30, false);
            advance(Duration::from_secs(1)).await;
        }
        slow.set(30, true);
        fast.set(30, false);
        assert!(![&stuck, &slow, &fast].into_iter().any(must_go));
        slow.set(41, false);
        assert_eq!([&stuck, &slow, &fast].map(must_go), [true, false, false]);
        stuck.evicted().await;
        slow.set(45, false);
        assert!(!must_go(&fast), "what is going counts as gone");
        drop(stuck);
        assert_eq!(memory.usage(), MemoryUsage { directions: 2, held: 75, peak: 105, largest: 45, evicted: 1 });
        advance(Duration::from_secs(1)).await;
        fast.set(20, true);
        slow.set(81, false);
        assert_eq!([&slow, &fast].map(must_go), [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_trickle_do_not_push_out_what_is_small_and_slow() {
        let memory = MemoryBudget::new(1000);
        let small = memory.open();
        small.set(10, false);
        advance(Duration::from_secs(60)).await;
        let trickling: Vec<Account> = (0..10).map(|_| memory.open()).collect();
        for account in &trickling {
            account.set(100, true);
        }
        assert!(!must_go(&small));
        assert_eq!(trickling.iter().filter(|account| must_go(account)).count(), 1);
    }

    #[test]
    fn an_account_that_is_closed_holds_nothing() {
        let memory = MemoryBudget::new(100);
        memory.open().set(99, false);
        assert_eq!(memory.usage(), MemoryUsage { peak: 99, largest: 99, ..MemoryUsage::default() });
    }
}
