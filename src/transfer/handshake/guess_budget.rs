//! The guess budget: how often somebody may try a code.
//!
//! One run of the key exchange tests one guess, so the sender counts. A guess is charged before flight 2 leaves and
//! given back when the receiver proves that it knew the code; what is not given back is lost. The bucket holds five and
//! gains one every ten minutes. It is written to disk before a guess goes out, so that no restart refills it, and its
//! clock is injected.

use std::{
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    error::{Error, Kind, Result},
    state::StateDir,
    sync::Mutex,
};

/// Guesses that may be out or lost at once.
pub const BURST: u32 = 5;

/// The time after which one lost guess comes back.
pub const REFILL: Duration = Duration::from_secs(600);

/// A guess is given back within this time or not at all.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(10);

/// How long a receiver waits for others who have not proved themselves yet.
pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// A share with a short secret gives up its code after this many lost guesses: 150 of 31⁵ is a chance of 1 in 190,000.
const MOST_LOST: u32 = 150;

/// From this length on, lost guesses do not matter.
const LONG_SECRET: usize = 8;

/// A budget file is a few numbers.
const LONGEST_FILE: u64 = 4096;

/// The time of day, in milliseconds since 1970.
pub trait Clock: Send + Sync {
    /// Now.
    fn now_ms(&self) -> u64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
    }
}

/// A share's budget. A handle: clones share one bucket.
#[derive(Clone)]
pub struct GuessBudget(Arc<Inner>);

struct Inner {
    bucket: Mutex<Bucket>,
    returned: Notify,
    clock: Arc<dyn Clock>,
    file: Option<(StateDir, String)>,
    writing: tokio::sync::Mutex<()>,
    /// It will be written anyway.
    to_write: AtomicBool,
    retires: bool,
}

/// What is kept of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    /// Guesses left.
    left: u32,
    /// Since when the next one has been growing back, in milliseconds since 1970.
    since_ms: u64,
    /// Guesses lost over the life of the code.
    lost: u32,
    /// Guesses that wait for their confirmation.
    #[serde(skip)]
    out: u32,
}

/// Why there is no guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptRefused {
    /// All are lost; the next comes back after this time.
    Spent(Duration),
    /// The code was tried too often and is good no more.
    Retired,
    /// The budget cannot be written down.
    Disk(Error),
}

impl GuessBudget {
    /// The budget kept in `file` of the state folder, or a full one, for a secret of `secret_length` characters.
    ///
    /// # Errors
    /// [`Kind::Disk`] where the file cannot be read or is damaged: a budget is never refilled by accident.
    pub fn open(file: Option<(StateDir, String)>, secret_length: usize, clock: Arc<dyn Clock>) -> Result<Self> {
        let fresh = Bucket { left: BURST, since_ms: clock.now_ms(), lost: 0, out: 0 };
        let kept = match &file {
            Some((dir, name)) => dir.read(name, LONGEST_FILE)?,
            None => None,
        };
        let bucket = match kept {
            Some(text) => serde_json::from_slice(&text).map_err(|_| {
                Error::new(Kind::Disk, "what was kept of the guesses at this code is damaged")
                    .hint("share with --new-code")
            })?,
            None => fresh,
        };
        Ok(Self(Arc::new(Inner {
            bucket: Mutex::new(bucket),
            returned: Notify::new(),
            clock,
            file,
            writing: tokio::sync::Mutex::default(),
            to_write: AtomicBool::new(false),
            retires: secret_length < LONG_SECRET,
        })))
    }

    /// Takes a guess and writes that down. While guesses are out for confirmation this waits for one of them.
    ///
    /// # Errors
    /// [`AttemptRefused`].
    pub async fn take(&self) -> Result<Attempt, AttemptRefused> {
        let deadline = Instant::now() + WAIT;
        loop {
            let returned = self.0.returned.notified();
            tokio::pin!(returned);
            returned.as_mut().enable();
            let wait = {
                let mut bucket = self.0.lock();
                bucket.refill(self.0.clock.now_ms());
                if self.0.retires && bucket.lost >= MOST_LOST {
                    return Err(AttemptRefused::Retired);
                }
                if bucket.left > 0 {
                    bucket.charge(self.0.clock.now_ms());
                    break;
                }
                (bucket.out > 0, bucket.next_in(self.0.clock.now_ms()))
            };
            let (others_out, next_in) = wait;
            if !others_out || timeout_at(deadline, returned).await.is_err() {
                return Err(AttemptRefused::Spent(next_in));
            }
        }
        let guess = Attempt { budget: self.clone(), taken: Instant::now(), settled: false };
        self.0.write().await.map_err(AttemptRefused::Disk)?;
        Ok(guess)
    }

    /// The time of day by the clock of this share, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.0.clock.now_ms()
    }

    /// Guesses left at this moment.
    pub fn left(&self) -> u32 {
        let mut bucket = self.0.lock();
        bucket.refill(self.0.clock.now_ms());
        bucket.left
    }

    /// Whether the code was tried too often to be good any more.
    pub fn is_retired(&self) -> bool {
        self.0.retires && self.0.lock().lost >= MOST_LOST
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock()
    }

    /// Brings the bucket to the disk when there is time: a guess that came back would be lost if the process were killed.
    fn write_soon(self: &Arc<Self>) {
        if self.file.is_none() || self.to_write.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move { inner.write().await });
    }

    /// Brings the bucket to the disk as it is now. One write at a time, so that no older state replaces a newer one.
    async fn write(&self) -> Result<()> {
        let Some((dir, name)) = self.file.clone() else { return Ok(()) };
        let _one_at_a_time = self.writing.lock().await;
        self.to_write.store(false, Ordering::Release);
        let text = serde_json::to_vec(&*self.lock()).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        tokio::task::spawn_blocking(move || dir.write(&name, &text))
            .await
            .map_err(|e| Error::new(Kind::Transfer, e.to_string()))?
    }
}

impl Bucket {
    /// Adds what has grown back. A clock that jumps forward fills at most the burst; one that jumps back gives nothing.
    fn refill(&mut self, now_ms: u64) {
        let step = REFILL.as_millis() as u64;
        if self.left + self.out >= BURST || now_ms < self.since_ms {
            self.since_ms = now_ms;
            return;
        }
        let grown = (now_ms - self.since_ms) / step;
        let missing = u64::from(BURST - self.left - self.out);
        self.left += grown.min(missing) as u32;
        self.since_ms = if grown >= missing { now_ms } else { self.since_ms + grown * step };
    }

    fn charge(&mut self, now_ms: u64) {
        if self.left + self.out == BURST {
            self.since_ms = now_ms;
        }
        self.left -= 1;
        self.out += 1;
    }

    fn next_in(&self, now_ms: u64) -> Duration {
        REFILL.saturating_sub(Duration::from_millis(now_ms.saturating_sub(self.since_ms)))
    }
}

/// A guess that is out. Dropped without [`Attempt::give_back`], it is lost.
pub struct Attempt {
    budget: GuessBudget,
    taken: Instant,
    settled: bool,
}

impl Attempt {
    /// The receiver has proved that it knew the code: the guess comes back, once, if it is in time.
    pub fn give_back(mut self) {
        if self.taken.elapsed() <= CONFIRM_WITHIN {
            self.settle(false);
            self.budget.0.write_soon();
        }
    }

    fn settle(&mut self, lost: bool) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        {
            let mut bucket = self.budget.0.lock();
            bucket.out -= 1;
            if lost {
                bucket.lost += 1;
            } else {
                bucket.left = (bucket.left + 1).min(BURST);
            }
        }
        self.budget.0.returned.notify_waiters();
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.settle(true);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[derive(Default)]
    struct TestClock(AtomicU64);

    impl TestClock {
        fn pass(&self, time: Duration) {
            self.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
        }
    }

    impl Clock for TestClock {
        fn now_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn budget(length: usize) -> (GuessBudget, Arc<TestClock>) {
        let clock = Arc::new(TestClock(AtomicU64::new(1_000_000_000)));
        (GuessBudget::open(None, length, clock.clone()).unwrap(), clock)
    }

    #[tokio::test(start_paused = true)]
    async fn five_guesses_and_one_more_every_ten_minutes() {
        let (budget, clock) = budget(5);
        for _ in 0..BURST {
            drop(budget.take().await.unwrap());
        }
        assert_eq!(budget.take().await.err(), Some(AttemptRefused::Spent(REFILL)));
        clock.pass(REFILL / 2);
        assert_eq!(budget.take().await.err(), Some(AttemptRefused::Spent(REFILL / 2)));
        clock.pass(REFILL / 2);
        drop(budget.take().await.unwrap());
        assert!(budget.take().await.is_err());
        clock.pass(Duration::from_secs(86_400 * 365));
        assert_eq!(budget.left(), BURST, "a jump of the clock fills the burst and no more");
        clock.0.store(5, Ordering::Relaxed);
        assert_eq!(budget.left(), BURST);
        for _ in 0..BURST {
            drop(budget.take().await.unwrap());
        }
        clock.0.store(1, Ordering::Relaxed);
        assert!(budget.take().await.is_err(), "a clock that goes back gives nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn honest_receivers_wait_for_each_other() {
        let (budget, _) = budget(5);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let budget = budget.clone();
                tokio::spawn(async move {
                    let guess = budget.take().await.unwrap();
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    guess.give_back();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(budget.left(), BURST);
    }

    #[tokio::test(start_paused = true)]
    async fn parallel_guesses_never_exceed_the_budget() {
        let (budget, _) = budget(5);
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let budget = budget.clone();
                tokio::spawn(async move { budget.take().await.map(drop).is_ok() })
            })
            .collect();
        let mut taken = 0;
        for task in tasks {
            taken += u32::from(task.await.unwrap());
        }
        assert_eq!(taken, BURST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_confirmation_gives_nothing_back() {
        let (budget, _) = budget(5);
        let guess = budget.take().await.unwrap();
        tokio::time::advance(CONFIRM_WITHIN + Duration::from_millis(1)).await;
        guess.give_back();
        assert_eq!(budget.left(), BURST - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_code_retires_and_a_long_one_does_not() {
        for (length, retires) in [(5, true), (8, false)] {
            let (budget, clock) = budget(length);
            for _ in 0..MOST_LOST {
                clock.pass(REFILL);
                drop(budget.take().await.unwrap());
            }
            clock.pass(REFILL);
            assert_eq!(budget.take().await.err() == Some(AttemptRefused::Retired), retires);
        }
    }

    #[tokio::test]
    async fn a_restart_does_not_refill() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path()).unwrap();
        let clock = Arc::new(TestClock(AtomicU64::new(77)));
        let open = || GuessBudget::open(Some((dir.clone(), "b".into())), 5, clock.clone()).unwrap();
        let budget = open();
        let out: Vec<_> = [budget.take().await.unwrap(), budget.take().await.unwrap()].into();
        std::mem::forget(out); // the process is killed while two guesses are out
        assert_eq!(open().left(), BURST - 2);
        std::fs::write(home.path().join("b"), "?").unwrap();
        assert!(GuessBudget::open(Some((dir.clone(), "b".into())), 5, clock.clone()).is_err());
    }
}
