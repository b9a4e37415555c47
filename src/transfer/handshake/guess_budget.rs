//! The guess budget: how many unconfirmed handshakes a share allows.
//!
//! One key exchange tests one guess at the code, so the sender charges one attempt for it. The responder charges the
//! attempt before flight 2 leaves, and refunds it when the receiver's tag proves that it knows the code. An attempt
//! that is not refunded is lost.
//!
//! The budget is a token bucket ([`AttemptBucket`]). A charge is on the disk before flight 2 leaves, and the file
//! counts an attempt as lost from its charge on. So killing the sender restores no attempt. The clock is injected.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

pub use super::attempt_bucket::{BURST, BURST_PER_SITE, REFILL_INTERVAL};
use super::{
    attempt_bucket::{AttemptBucket, AttemptId, ChargeResult},
    clock::Clock,
};
use crate::{
    blocking::run_blocking,
    error::{Error, Kind, Result},
    state::StateDir,
    sync::Mutex,
    wire::relay::SourceTag,
};

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
    bucket: Mutex<AttemptBucket>,
    /// Notified when an outstanding attempt is refunded or lost.
    settled: Notify,
    clock: Arc<dyn Clock>,
    /// The file that stores the bucket, if any.
    file: Option<(StateDir, String)>,
    /// Held by the thread that writes the file, from reading the bucket to the end of the write. So an older state
    /// never replaces a newer one, even if the task that requested the write was dropped.
    writing: Mutex<()>,
    /// Whether a background write is pending. It saves the bucket as it is when the write begins.
    is_write_pending: AtomicBool,
}

impl GuessBudget {
    /// Loads the budget that `file` in the state folder stores; without a stored budget, starts with a full one.
    /// `secret_length` is the length of the code's secret in characters.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be read or is damaged. A damaged file never refills the budget.
    pub fn load(file: Option<(StateDir, String)>, secret_length: usize, clock: Arc<dyn Clock>) -> Result<Self> {
        let max_lost = (secret_length < LONG_SECRET).then_some(MAX_LOST);
        let stored = match &file {
            Some((dir, name)) => dir.read(name, MAX_FILE)?,
            None => None,
        };
        let bucket = match stored {
            Some(text) => {
                serde_json::from_slice(&text).ok().and_then(|stored| AttemptBucket::restore(stored, max_lost))
            }
            None => Some(AttemptBucket::new(max_lost, clock.now_ms())),
        };
        let bucket = bucket.ok_or_else(|| {
            Error::new(Kind::Disk, "the stored guess budget of this code is damaged").hint("share with --new-code")
        })?;
        Ok(Self(Arc::new(SharedBudget {
            bucket: Mutex::new(bucket),
            settled: Notify::new(),
            clock,
            file,
            writing: Mutex::default(),
            is_write_pending: AtomicBool::new(false),
        })))
    }

    /// Charges an attempt to `source` and saves the budget. Waits up to [`QUEUE_TIMEOUT`] while no attempt is free for
    /// the site of `source` and an outstanding one may be refunded.
    ///
    /// # Errors
    /// [`AttemptRefused`] if no attempt is left, the code is retired, or the budget cannot be saved. In these cases
    /// nothing is charged.
    ///
    /// # Cancel safety
    /// If the future is dropped while it waits for attempts of other receivers, nothing is charged. If it is dropped
    /// while it saves the budget, the attempt is lost.
    pub async fn charge(&self, source: SourceTag) -> Result<Attempt, AttemptRefused> {
        let deadline = Instant::now() + QUEUE_TIMEOUT;
        let id = loop {
            // Registered before the charge, so that no notification is missed between the two.
            let settled = self.0.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            let charged = self.0.bucket.lock().charge(source.site, self.0.clock.now_ms());
            match charged {
                ChargeResult::Charged(id) => break id,
                ChargeResult::Retired => return Err(AttemptRefused::Retired),
                ChargeResult::Empty { may_be_refunded: false, refill_in } => {
                    return Err(AttemptRefused::Spent(refill_in));
                }
                ChargeResult::Empty { may_be_refunded: true, .. } => {
                    if timeout_at(deadline, settled).await.is_err() {
                        return Err(AttemptRefused::Queued);
                    }
                }
            }
        };
        let confirm_by = Instant::now() + CONFIRM_TIMEOUT;
        let attempt = Attempt { budget: self.clone(), id, confirm_by, is_settled: false };
        match self.0.save().await {
            Ok(()) => Ok(attempt),
            Err(e) => {
                attempt.cancel();
                Err(AttemptRefused::Disk(e))
            }
        }
    }

    /// Returns the time of day by the clock of this budget, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.0.clock.now_ms()
    }

    /// Returns the number of attempts that can be charged now, to all sources together.
    pub fn remaining(&self) -> u32 {
        self.0.bucket.lock().available(self.0.clock.now_ms())
    }

    /// Whether the code has lost so many attempts that it is retired.
    pub fn is_retired(&self) -> bool {
        self.0.bucket.lock().is_retired()
    }
}

impl SharedBudget {
    /// Saves the bucket in the background. If the process is killed before that, the refund is lost.
    fn save_soon(self: &Arc<Self>) {
        if self.file.is_none() || self.is_write_pending.swap(true, Ordering::AcqRel) {
            return;
        }
        let budget = Arc::clone(self);
        tokio::spawn(async move { budget.save().await });
    }

    /// Writes the current bucket to the file and waits until it is on the disk.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the write continues, and later writes wait for its end.
    async fn save(self: &Arc<Self>) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let budget = Arc::clone(self);
        run_blocking(move || budget.write()).await
    }

    fn write(&self) -> Result<()> {
        let Some((dir, name)) = &self.file else { return Ok(()) };
        let _writing = self.writing.lock();
        self.is_write_pending.store(false, Ordering::Release);
        let stored = self.bucket.lock().to_stored();
        let text = serde_json::to_vec(&stored).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        dir.write(name, &text)
    }
}

/// An outstanding attempt. It is lost if it is dropped without [`Attempt::refund`].
pub struct Attempt {
    budget: GuessBudget,
    id: AttemptId,
    confirm_by: Instant,
    is_settled: bool,
}

/// How an outstanding attempt ends.
#[derive(Clone, Copy)]
enum Settlement {
    Returned,
    Lost,
}

impl Attempt {
    /// Starts the [`CONFIRM_TIMEOUT`] of the receiver, because flight 2 leaves now.
    pub(crate) fn start_timeout(&mut self) {
        self.confirm_by = Instant::now() + CONFIRM_TIMEOUT;
    }

    /// Refunds the attempt, because the receiver has proved that it knows the code. After [`CONFIRM_TIMEOUT`] the
    /// attempt is lost instead.
    pub fn refund(mut self) {
        if Instant::now() <= self.confirm_by {
            self.settle(Settlement::Returned);
            self.budget.0.save_soon();
        }
    }

    /// Returns the attempt to the budget, because it could not be saved, so flight 2 will not leave. If the failed
    /// write reached the file, the file counts the attempt as lost until the next write.
    fn cancel(mut self) {
        self.settle(Settlement::Returned);
    }

    /// Settles the attempt, once.
    fn settle(&mut self, settlement: Settlement) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        {
            let mut bucket = self.budget.0.bucket.lock();
            match settlement {
                Settlement::Returned => bucket.give_back(self.id),
                Settlement::Lost => bucket.lose(self.id),
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
    /// Other receivers hold all attempts, and may soon give them back.
    Queued,
    /// No attempt is left for the site; it regains one after this time.
    Spent(Duration),
    /// The code has lost too many attempts and is retired.
    Retired,
    /// The budget cannot be saved.
    Disk(Error),
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{atomic::AtomicU64, mpsc},
        thread,
    };

    use super::{super::manual_clock::ManualClock, *};
    use crate::wire::relay::SiteTag;

    fn budget(secret_length: usize) -> (GuessBudget, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at_ms(1_000_000_000));
        (GuessBudget::load(None, secret_length, clock.clone()).unwrap(), clock)
    }

    /// Charges an attempt to a network without earlier attempts.
    async fn charge(budget: &GuessBudget) -> Result<Attempt, AttemptRefused> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        budget.charge(SourceTag::alone(LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes())).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_allows_five_attempts_and_one_more_every_ten_minutes() {
        let (budget, clock) = budget(5);
        for _ in 0..BURST {
            drop(charge(&budget).await.unwrap());
        }
        assert_eq!(charge(&budget).await.err(), Some(AttemptRefused::Spent(REFILL_INTERVAL)));
        clock.advance(REFILL_INTERVAL / 2);
        assert_eq!(charge(&budget).await.err(), Some(AttemptRefused::Spent(REFILL_INTERVAL / 2)));
        clock.advance(REFILL_INTERVAL / 2);
        drop(charge(&budget).await.unwrap());
        assert!(charge(&budget).await.is_err());
        clock.advance(Duration::from_secs(86_400 * 365));
        assert_eq!(budget.remaining(), BURST, "a jump of the clock fills the bucket at most");
        clock.set_ms(5);
        assert_eq!(budget.remaining(), BURST);
        for _ in 0..BURST {
            drop(charge(&budget).await.unwrap());
        }
        clock.set_ms(1);
        assert!(charge(&budget).await.is_err(), "a clock that jumps back adds nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn receivers_wait_until_others_have_confirmed() {
        let (budget, _) = budget(5);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let budget = budget.clone();
                tokio::spawn(async move {
                    let attempt = charge(&budget).await.unwrap();
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
                tokio::spawn(async move { charge(&budget).await.map(drop).is_ok() })
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
        let attempt = charge(&budget).await.unwrap();
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
                drop(charge(&budget).await.unwrap());
            }
            clock.advance(REFILL_INTERVAL);
            assert_eq!(charge(&budget).await.err() == Some(AttemptRefused::Retired), retires);
        }
    }

    /// A budget that is stored in a folder and can be reloaded, as after a kill.
    struct StoredBudget {
        home: tempfile::TempDir,
        clock: Arc<ManualClock>,
    }

    impl StoredBudget {
        fn new() -> Self {
            Self { home: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::at_ms(77)) }
        }

        fn load(&self) -> Result<GuessBudget> {
            let dir = StateDir::open(self.home.path()).unwrap();
            GuessBudget::load(Some((dir, "guesses".to_owned())), 5, self.clock.clone())
        }

        fn lost_on_disk(&self) -> u64 {
            let text = std::fs::read(self.home.path().join("guesses")).unwrap();
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()["lost"].as_u64().unwrap()
        }
    }

    #[tokio::test]
    async fn a_restart_forgives_nothing() {
        let stored = StoredBudget::new();
        let budget = stored.load().unwrap();
        let outstanding = charge(&budget).await.unwrap();
        assert_eq!(stored.lost_on_disk(), 1, "an attempt counts as lost from its charge on");
        let lost = charge(&budget).await.unwrap();
        drop(lost);
        std::mem::forget(outstanding); // as if the process were killed
        let budget = stored.load().unwrap();
        assert_eq!((budget.remaining(), stored.lost_on_disk()), (BURST - 2, 2));
        charge(&budget).await.unwrap().refund();
        budget.0.save().await.unwrap();
        assert_eq!((stored.load().unwrap().remaining(), stored.lost_on_disk()), (BURST - 2, 2));
    }

    #[tokio::test]
    async fn a_damaged_file_is_no_full_budget() {
        let stored = StoredBudget::new();
        drop(charge(&stored.load().unwrap()).await.unwrap());
        std::fs::write(stored.home.path().join("guesses"), "?").unwrap();
        assert!(stored.load().is_err());
    }

    #[tokio::test]
    async fn the_networks_of_a_site_share_its_attempts() {
        let (budget, _) = budget(5);
        let network = |site, network| SourceTag { site: SiteTag([site; 8]), network: [network; 8] };
        for number in 0..BURST_PER_SITE as u8 {
            drop(budget.charge(network(1, number)).await.unwrap());
        }
        assert_eq!(budget.charge(network(1, 77)).await.err(), Some(AttemptRefused::Spent(REFILL_INTERVAL)));
        drop(budget.charge(network(2, 0)).await.unwrap());
        drop(budget.charge(network(2, 1)).await.unwrap());
        assert_eq!(budget.remaining(), 1, "an attacker with two sites leaves one attempt");
        drop(budget.charge(network(3, 0)).await.unwrap());
    }

    #[tokio::test]
    async fn a_network_has_two_attempts_and_a_restart_does_not_renew_them() {
        let stored = StoredBudget::new();
        let [one, other] = [1, 2].map(|n| SourceTag::alone([n; 8]));
        let budget = stored.load().unwrap();
        for _ in 0..BURST_PER_SITE {
            std::mem::forget(budget.charge(one).await.unwrap());
        }
        let budget = stored.load().unwrap();
        assert_eq!(budget.charge(one).await.err(), Some(AttemptRefused::Spent(REFILL_INTERVAL)));
        drop(budget.charge(other).await.unwrap());
        stored.clock.advance(REFILL_INTERVAL);
        drop(budget.charge(one).await.unwrap());
        // The attempts are regained in the order in which they were lost: `one`, `other`, `one`.
        assert_eq!(budget.charge(one).await.err(), Some(AttemptRefused::Spent(REFILL_INTERVAL)));
        drop(budget.charge(other).await.unwrap());
        assert_eq!(budget.charge(other).await.err(), Some(AttemptRefused::Spent(REFILL_INTERVAL * 2)));
    }

    #[tokio::test]
    async fn an_attempt_that_cannot_be_saved_is_returned() {
        let stored = StoredBudget::new();
        let budget = stored.load().unwrap();
        drop(charge(&budget).await.unwrap());
        std::fs::rename(stored.home.path(), stored.home.path().with_extension("away")).unwrap();
        for _ in 0..2 * BURST {
            assert!(matches!(charge(&budget).await.err(), Some(AttemptRefused::Disk(_))));
        }
        assert_eq!(budget.remaining(), BURST - 1);
        std::fs::rename(stored.home.path().with_extension("away"), stored.home.path()).unwrap();
        drop(charge(&budget).await.unwrap());
        assert_eq!(stored.load().unwrap().remaining(), BURST - 2);
    }

    /// A closing share drops its handshakes. The write of a dropped charge continues, and must not replace a later one.
    #[tokio::test]
    async fn a_dropped_charge_never_replaces_a_later_state() {
        let stored = StoredBudget::new();
        let budget = stored.load().unwrap();
        let (locked, is_locked) = mpsc::channel();
        let (finish, is_finished) = mpsc::channel::<()>();
        let slow_disk = budget.clone();
        let slow_write = thread::spawn(move || {
            let _writing = slow_disk.0.writing.lock();
            locked.send(()).unwrap();
            let _ = is_finished.recv();
        });
        is_locked.recv().unwrap();
        let [first, second] = [(); 2].map(|()| {
            let budget = budget.clone();
            tokio::spawn(async move { charge(&budget).await.map(drop) })
        });
        while budget.remaining() > BURST - 2 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        drop(finish);
        slow_write.join().unwrap();
        second.await.unwrap().unwrap();
        drop(budget.0.writing.lock());
        assert_eq!(stored.load().unwrap().remaining(), BURST - 2);
        assert_eq!(stored.lost_on_disk(), 2);
    }
}
