//! The guess budget: how many unconfirmed handshakes a share allows.
//!
//! One key exchange tests one guess at the code, so the sender charges one attempt for it. The responder charges the
//! attempt before flight 2 leaves, and refunds it when the receiver's tag proves that it knows the code. An attempt
//! that is not refunded is lost.
//!
//! The budget is a token bucket: it holds five attempts and regains one every ten minutes. It is saved before flight 2
//! leaves, so a restart of the sender does not refill it. The clock is injected.

use std::{
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::clock::Clock;
use crate::{
    blocking::run_blocking,
    error::{Error, Kind, Result},
    state::StateDir,
    sync::Mutex,
};

/// How many attempts may be outstanding or lost at once.
pub const BURST: u32 = 5;

/// The time in which the budget regains one attempt.
pub const REFILL_INTERVAL: Duration = Duration::from_secs(600);

/// How long a receiver may take to confirm. A later confirmation refunds nothing.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a receiver waits for other receivers to confirm when the budget is empty.
pub(crate) const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// A share with a short secret retires its code after this many lost attempts: 150 guesses out of 31⁵ succeed with a
/// probability of 1 in 190,000.
const MAX_LOST: u32 = 150;

/// Codes with a secret of this length or more never retire.
const LONG_SECRET: usize = 8;

/// The largest budget file, in bytes. It contains a few numbers.
const MAX_FILE: u64 = 4096;

/// The guess budget of a share. Clones share one bucket.
#[derive(Clone)]
pub struct GuessBudget(Arc<SharedBudget>);

struct SharedBudget {
    bucket: Mutex<Bucket>,
    /// Notified when an outstanding attempt is refunded or lost.
    settled: Notify,
    clock: Arc<dyn Clock>,
    /// The file that stores the bucket, if any.
    file: Option<(StateDir, String)>,
    /// Held during a write, so that no older state replaces a newer one.
    writing: tokio::sync::Mutex<()>,
    /// Whether a background write is pending. It saves the bucket as it is when the write begins.
    is_write_pending: AtomicBool,
    /// Whether the code retires after [`MAX_LOST`] lost attempts.
    can_retire: bool,
}

/// The token bucket. The file stores all fields but `outstanding`, so after a crash the outstanding attempts count as
/// charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    /// Attempts that can be charged now.
    #[serde(rename = "left")]
    available: u32,
    /// The start of the current refill interval, in milliseconds since 1970.
    #[serde(rename = "since_ms")]
    refill_start_ms: u64,
    /// Attempts lost during the life of the code.
    lost: u32,
    /// Attempts that await confirmation.
    #[serde(skip)]
    outstanding: u32,
}

/// The outcome of a charge.
enum ChargeResult {
    Charged,
    /// The bucket is empty; it regains an attempt in `refill_in`. If others are outstanding, one may be refunded
    /// earlier.
    Empty {
        has_outstanding: bool,
        refill_in: Duration,
    },
    Retired,
}

impl GuessBudget {
    /// Loads the budget that `file` in the state folder stores; without a stored budget, starts with a full one.
    /// `secret_length` is the length of the code's secret in characters.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be read or is damaged. A damaged file never refills the budget.
    pub fn load(file: Option<(StateDir, String)>, secret_length: usize, clock: Arc<dyn Clock>) -> Result<Self> {
        let stored = match &file {
            Some((dir, name)) => dir.read(name, MAX_FILE)?,
            None => None,
        };
        let bucket = match stored {
            Some(text) => serde_json::from_slice(&text).map_err(|_| {
                Error::new(Kind::Disk, "the stored guess budget of this code is damaged").hint("share with --new-code")
            })?,
            None => Bucket { available: BURST, refill_start_ms: clock.now_ms(), lost: 0, outstanding: 0 },
        };
        Ok(Self(Arc::new(SharedBudget {
            bucket: Mutex::new(bucket),
            settled: Notify::new(),
            clock,
            file,
            writing: tokio::sync::Mutex::default(),
            is_write_pending: AtomicBool::new(false),
            can_retire: secret_length < LONG_SECRET,
        })))
    }

    /// Charges an attempt and saves the budget. Waits up to [`QUEUE_TIMEOUT`] while the budget is empty and attempts
    /// are outstanding.
    ///
    /// # Errors
    /// [`AttemptRefused`] if no attempt is left, the code is retired, or the budget cannot be saved.
    ///
    /// # Cancel safety
    /// If the future is dropped while it waits for attempts of other receivers, nothing is charged. If it is dropped
    /// while it saves the budget, the attempt is lost.
    pub async fn charge(&self) -> Result<Attempt, AttemptRefused> {
        let deadline = Instant::now() + QUEUE_TIMEOUT;
        loop {
            // Registered before the charge, so that no notification is missed between the two.
            let settled = self.0.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            match self.0.try_charge() {
                ChargeResult::Charged => break,
                ChargeResult::Retired => return Err(AttemptRefused::Retired),
                ChargeResult::Empty { has_outstanding, refill_in } => {
                    if !has_outstanding || timeout_at(deadline, settled).await.is_err() {
                        return Err(AttemptRefused::Spent(refill_in));
                    }
                }
            }
        }
        let attempt = Attempt { budget: self.clone(), charged_at: Instant::now(), is_settled: false };
        self.0.save().await.map_err(AttemptRefused::Disk)?;
        Ok(attempt)
    }

    /// Returns the time of day by the clock of this budget, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.0.clock.now_ms()
    }

    /// Returns the number of attempts that can be charged now.
    pub fn remaining(&self) -> u32 {
        let mut bucket = self.0.lock();
        bucket.refill(self.0.clock.now_ms());
        bucket.available
    }

    /// Whether the code has lost so many attempts that it is retired.
    pub fn is_retired(&self) -> bool {
        self.0.is_retired(&self.0.lock())
    }
}

impl SharedBudget {
    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock()
    }

    fn is_retired(&self, bucket: &Bucket) -> bool {
        self.can_retire && bucket.lost >= MAX_LOST
    }

    fn try_charge(&self) -> ChargeResult {
        let mut bucket = self.lock();
        let now_ms = self.clock.now_ms();
        bucket.refill(now_ms);
        if self.is_retired(&bucket) {
            return ChargeResult::Retired;
        }
        if bucket.available == 0 {
            return ChargeResult::Empty {
                has_outstanding: bucket.outstanding > 0,
                refill_in: bucket.refill_in(now_ms),
            };
        }
        bucket.charge(now_ms);
        ChargeResult::Charged
    }

    /// Saves the bucket in the background. If the process is killed before that, the refund is lost.
    fn save_soon(self: &Arc<Self>) {
        if self.file.is_none() || self.is_write_pending.swap(true, Ordering::AcqRel) {
            return;
        }
        let budget = Arc::clone(self);
        tokio::spawn(async move { budget.save().await });
    }

    /// Writes the current bucket to the file and waits until it is on the disk.
    async fn save(&self) -> Result<()> {
        let Some((dir, name)) = self.file.clone() else { return Ok(()) };
        let _writing = self.writing.lock().await;
        self.is_write_pending.store(false, Ordering::Release);
        let text = serde_json::to_vec(&*self.lock()).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        run_blocking(move || dir.write(&name, &text)).await
    }
}

impl Bucket {
    /// Adds the attempts that have been regained. A clock that jumps forward fills the bucket at most; a clock that
    /// jumps back adds nothing.
    fn refill(&mut self, now_ms: u64) {
        let interval = REFILL_INTERVAL.as_millis() as u64;
        if self.available + self.outstanding >= BURST || now_ms < self.refill_start_ms {
            self.refill_start_ms = now_ms;
            return;
        }
        let regained = (now_ms - self.refill_start_ms) / interval;
        let missing = u64::from(BURST - self.available - self.outstanding);
        self.available += regained.min(missing) as u32;
        self.refill_start_ms = if regained >= missing { now_ms } else { self.refill_start_ms + regained * interval };
    }

    fn charge(&mut self, now_ms: u64) {
        if self.available + self.outstanding == BURST {
            self.refill_start_ms = now_ms;
        }
        self.available -= 1;
        self.outstanding += 1;
    }

    /// Returns the time until the bucket regains its next attempt.
    fn refill_in(&self, now_ms: u64) -> Duration {
        REFILL_INTERVAL.saturating_sub(Duration::from_millis(now_ms.saturating_sub(self.refill_start_ms)))
    }
}

/// An outstanding attempt. It is lost if it is dropped without [`Attempt::refund`].
pub struct Attempt {
    budget: GuessBudget,
    charged_at: Instant,
    is_settled: bool,
}

/// How an outstanding attempt ends.
#[derive(Clone, Copy)]
enum Settlement {
    Refunded,
    Lost,
}

impl Attempt {
    /// Refunds the attempt, because the receiver has proved that it knows the code. After [`CONFIRM_TIMEOUT`] the
    /// attempt is lost instead.
    pub fn refund(mut self) {
        if self.charged_at.elapsed() <= CONFIRM_TIMEOUT {
            self.settle(Settlement::Refunded);
            self.budget.0.save_soon();
        }
    }

    /// Settles the attempt, once.
    fn settle(&mut self, settlement: Settlement) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        {
            let mut bucket = self.budget.0.lock();
            bucket.outstanding -= 1;
            match settlement {
                Settlement::Refunded => bucket.available = (bucket.available + 1).min(BURST),
                Settlement::Lost => bucket.lost += 1,
            }
        }
        self.budget.0.settled.notify_waiters();
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.settle(Settlement::Lost);
    }
}

/// Why no attempt was charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptRefused {
    /// The budget is empty; it regains an attempt after this time.
    Spent(Duration),
    /// The code has lost too many attempts and is retired.
    Retired,
    /// The budget cannot be saved.
    Disk(Error),
}

#[cfg(test)]
mod tests {
    use super::{super::manual_clock::ManualClock, *};

    fn budget(secret_length: usize) -> (GuessBudget, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at_ms(1_000_000_000));
        (GuessBudget::load(None, secret_length, clock.clone()).unwrap(), clock)
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_allows_five_attempts_and_one_more_every_ten_minutes() {
        let (budget, clock) = budget(5);
        for _ in 0..BURST {
            drop(budget.charge().await.unwrap());
        }
        assert_eq!(budget.charge().await.err(), Some(AttemptRefused::Spent(REFILL_INTERVAL)));
        clock.advance(REFILL_INTERVAL / 2);
        assert_eq!(budget.charge().await.err(), Some(AttemptRefused::Spent(REFILL_INTERVAL / 2)));
        clock.advance(REFILL_INTERVAL / 2);
        drop(budget.charge().await.unwrap());
        assert!(budget.charge().await.is_err());
        clock.advance(Duration::from_secs(86_400 * 365));
        assert_eq!(budget.remaining(), BURST, "a jump of the clock fills the bucket at most");
        clock.set_ms(5);
        assert_eq!(budget.remaining(), BURST);
        for _ in 0..BURST {
            drop(budget.charge().await.unwrap());
        }
        clock.set_ms(1);
        assert!(budget.charge().await.is_err(), "a clock that jumps back adds nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn receivers_wait_until_others_have_confirmed() {
        let (budget, _) = budget(5);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let budget = budget.clone();
                tokio::spawn(async move {
                    let attempt = budget.charge().await.unwrap();
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    attempt.refund();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(budget.remaining(), BURST);
    }

    #[tokio::test(start_paused = true)]
    async fn parallel_attempts_never_exceed_the_budget() {
        let (budget, _) = budget(5);
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let budget = budget.clone();
                tokio::spawn(async move { budget.charge().await.map(drop).is_ok() })
            })
            .collect();
        let mut charged = 0;
        for task in tasks {
            charged += u32::from(task.await.unwrap());
        }
        assert_eq!(charged, BURST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_confirmation_refunds_nothing() {
        let (budget, _) = budget(5);
        let attempt = budget.charge().await.unwrap();
        tokio::time::advance(CONFIRM_TIMEOUT + Duration::from_millis(1)).await;
        attempt.refund();
        assert_eq!(budget.remaining(), BURST - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn short_codes_retire_and_long_codes_do_not() {
        for (secret_length, retires) in [(5, true), (8, false)] {
            let (budget, clock) = budget(secret_length);
            for _ in 0..MAX_LOST {
                clock.advance(REFILL_INTERVAL);
                drop(budget.charge().await.unwrap());
            }
            clock.advance(REFILL_INTERVAL);
            assert_eq!(budget.charge().await.err() == Some(AttemptRefused::Retired), retires);
        }
    }

    #[tokio::test]
    async fn a_restart_does_not_refill_the_budget() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path()).unwrap();
        let clock = Arc::new(ManualClock::at_ms(77));
        let load = || GuessBudget::load(Some((dir.clone(), "b".into())), 5, clock.clone());
        let budget = load().unwrap();
        let outstanding: Vec<_> = [budget.charge().await.unwrap(), budget.charge().await.unwrap()].into();
        std::mem::forget(outstanding); // as if the process were killed
        assert_eq!(load().unwrap().remaining(), BURST - 2);
        std::fs::write(home.path().join("b"), "?").unwrap();
        assert!(load().is_err());
    }
}
