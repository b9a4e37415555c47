//! The token bucket of a guess budget, without time and storage.
//!
//! The bucket holds [`BURST`] attempts. Each is free, outstanding or lost. One lost attempt is regained every
//! [`REFILL_INTERVAL`], the oldest first. A site may hold or lose at most [`BURST_PER_SITE`] of them at a time, so a
//! single customer cannot use up the guesses of a share. The bucket remembers the site of each attempt that is not
//! free, which bounds the data that it stores about sites.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::wire::relay::SiteTag;

/// The maximum number of attempts that are outstanding or lost at once.
pub const BURST: u32 = 5;

/// The maximum number of these attempts that belong to one site, an IPv4 address or an IPv6 /48. A customer with one of
/// each has two sites, which leave one attempt.
pub const BURST_PER_SITE: u32 = 2;

/// The time in which the bucket regains one attempt.
pub const REFILL_INTERVAL: Duration = Duration::from_secs(600);

/// The attempts of a share's guess budget.
pub(super) struct AttemptBucket {
    /// The outstanding attempts.
    outstanding: Vec<OutstandingAttempt>,
    /// The sites of the lost attempts that are not regained yet, the oldest first.
    lost: Vec<SiteTag>,
    /// The start of the current refill interval, in milliseconds since 1970.
    refill_start_ms: u64,
    /// Attempts lost during the life of the code.
    lost_in_all: u32,
    /// The number of lost attempts after which the code retires.
    max_lost: Option<u32>,
    last_id: u64,
}

struct OutstandingAttempt {
    id: AttemptId,
    site: SiteTag,
}

/// Identifies an outstanding attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttemptId(u64);

/// The outcome of a charge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChargeResult {
    Charged(AttemptId),
    /// No attempt is free for the site; it regains one in `refill_in`.
    Empty {
        /// Whether an outstanding attempt may become free earlier.
        may_be_refunded: bool,
        refill_in: Duration,
    },
    Retired,
}

/// The content of a budget file. Outstanding attempts are stored as lost, because the next process has only this file
/// after a kill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredBucket {
    /// The sites of all attempts that are not free, the oldest first.
    taken: Vec<SiteTag>,
    since_ms: u64,
    lost: u32,
}

impl AttemptBucket {
    /// Creates a bucket in which all attempts are free.
    pub(super) fn new(max_lost: Option<u32>, now_ms: u64) -> Self {
        let (outstanding, lost) = (Vec::new(), Vec::new());
        Self { outstanding, lost, refill_start_ms: now_ms, lost_in_all: 0, max_lost, last_id: 0 }
    }

    /// Restores a stored bucket. Returns `None` if the content is invalid.
    pub(super) fn restore(stored: StoredBucket, max_lost: Option<u32>) -> Option<Self> {
        let StoredBucket { taken, since_ms, lost } = stored;
        let is_valid = taken.len() <= BURST as usize;
        is_valid.then(|| Self { lost: taken, lost_in_all: lost, ..Self::new(max_lost, since_ms) })
    }

    /// Returns the content of the budget file.
    pub(super) fn to_stored(&self) -> StoredBucket {
        let outstanding = self.outstanding.iter().map(|attempt| attempt.site);
        StoredBucket {
            taken: self.lost.iter().copied().chain(outstanding).collect(),
            since_ms: self.refill_start_ms,
            lost: self.lost_in_all + self.outstanding.len() as u32,
        }
    }

    /// Charges an attempt to `site`.
    pub(super) fn charge(&mut self, site: SiteTag, now_ms: u64) -> ChargeResult {
        self.refill(now_ms);
        if self.is_retired() {
            return ChargeResult::Retired;
        }
        let is_last = self.max_lost.is_some_and(|max| self.lost_in_all + self.outstanding.len() as u32 >= max);
        if self.taken() >= BURST || is_last {
            let may_be_refunded = !self.outstanding.is_empty();
            return ChargeResult::Empty { may_be_refunded, refill_in: self.regains(0, now_ms) };
        }
        let (lost, outstanding) = self.taken_by(site);
        if lost + outstanding >= BURST_PER_SITE as usize {
            let oldest = self.lost.iter().position(|other| *other == site).unwrap_or(self.lost.len());
            return ChargeResult::Empty { may_be_refunded: outstanding > 0, refill_in: self.regains(oldest, now_ms) };
        }
        if self.lost.is_empty() {
            self.refill_start_ms = now_ms;
        }
        self.last_id += 1;
        let id = AttemptId(self.last_id);
        self.outstanding.push(OutstandingAttempt { id, site });
        ChargeResult::Charged(id)
    }

    /// Frees an outstanding attempt.
    pub(super) fn give_back(&mut self, id: AttemptId) {
        self.outstanding.retain(|attempt| attempt.id != id);
    }

    /// Counts an outstanding attempt as lost.
    pub(super) fn lose(&mut self, id: AttemptId) {
        if let Some(index) = self.outstanding.iter().position(|attempt| attempt.id == id) {
            self.lost.push(self.outstanding.remove(index).site);
            self.lost_in_all += 1;
        }
    }

    /// Returns the number of free attempts.
    pub(super) fn available(&mut self, now_ms: u64) -> u32 {
        self.refill(now_ms);
        BURST - self.taken()
    }

    /// Returns whether the lost attempts have retired the code.
    pub(super) fn is_retired(&self) -> bool {
        self.max_lost.is_some_and(|max| self.lost_in_all >= max)
    }

    /// Frees the lost attempts that are regained. A clock that jumps forward frees at most all of them. A clock that
    /// jumps back frees none.
    fn refill(&mut self, now_ms: u64) {
        let interval = REFILL_INTERVAL.as_millis() as u64;
        if self.lost.is_empty() || now_ms < self.refill_start_ms {
            self.refill_start_ms = now_ms;
            return;
        }
        let regained = (now_ms - self.refill_start_ms) / interval;
        if regained >= self.lost.len() as u64 {
            self.lost.clear();
            self.refill_start_ms = now_ms;
        } else {
            self.lost.drain(..regained as usize);
            self.refill_start_ms += regained * interval;
        }
    }

    /// Returns the time until the lost attempt with this index is regained.
    fn regains(&self, index: usize, now_ms: u64) -> Duration {
        let elapsed = Duration::from_millis(now_ms.saturating_sub(self.refill_start_ms));
        (REFILL_INTERVAL * (index as u32 + 1)).saturating_sub(elapsed)
    }

    fn taken(&self) -> u32 {
        (self.lost.len() + self.outstanding.len()) as u32
    }

    /// Returns how many lost and outstanding attempts belong to `site`.
    fn taken_by(&self, site: SiteTag) -> (usize, usize) {
        let lost = self.lost.iter().filter(|other| **other == site).count();
        (lost, self.outstanding.iter().filter(|attempt| attempt.site == site).count())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL_MS: u64 = REFILL_INTERVAL.as_millis() as u64;

    #[derive(Debug, Clone)]
    enum Step {
        Charge(u8),
        /// Refunds one of the outstanding attempts.
        Refund(usize),
        /// Loses one of the outstanding attempts.
        Lose(usize),
        Advance(u64),
        /// Kills and restarts the sender.
        Restart,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..4u8).prop_map(Step::Charge),
            1 => any::<usize>().prop_map(Step::Refund),
            2 => any::<usize>().prop_map(Step::Lose),
            2 => (0..INTERVAL_MS * 2).prop_map(Step::Advance),
            1 => Just(Step::Restart),
        ];
        prop::collection::vec(step, 0..200)
    }

    /// Takes one of the outstanding attempts.
    fn take(outstanding: &mut Vec<AttemptId>, n: usize) -> Option<AttemptId> {
        (!outstanding.is_empty()).then(|| outstanding.swap_remove(n % outstanding.len()))
    }

    proptest! {
        /// For any behavior of receivers and any kill of the sender, the code is tested at most five times plus once
        /// per interval, no site exceeds its share, and every loss is counted.
        #[test]
        fn guesses_stay_within_the_budget(steps in steps()) {
            let start = 1_000_000;
            let (mut bucket, mut now) = (AttemptBucket::new(Some(30), start), start);
            let (mut outstanding, mut unrefunded) = (Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Charge(site) => match bucket.charge(SiteTag([site; 8]), now) {
                        ChargeResult::Charged(id) => {
                            outstanding.push(id);
                            unrefunded += 1;
                        }
                        ChargeResult::Empty { may_be_refunded, refill_in } => {
                            prop_assert!(!may_be_refunded || !outstanding.is_empty());
                            prop_assert!(refill_in <= REFILL_INTERVAL * BURST);
                        }
                        ChargeResult::Retired => prop_assert!(unrefunded >= 30),
                    },
                    Step::Refund(n) => if let Some(id) = take(&mut outstanding, n) {
                        bucket.give_back(id);
                        unrefunded -= 1;
                    },
                    Step::Lose(n) => if let Some(id) = take(&mut outstanding, n) {
                        bucket.lose(id);
                    },
                    Step::Advance(time) => now += time,
                    Step::Restart => {
                        let text = serde_json::to_vec(&bucket.to_stored()).unwrap();
                        let stored = serde_json::from_slice(&text).unwrap();
                        bucket = AttemptBucket::restore(stored, Some(30)).unwrap();
                        outstanding.clear();
                    }
                }
                prop_assert_eq!(bucket.to_stored().lost, unrefunded);
                prop_assert!(u64::from(unrefunded) <= u64::from(BURST) + (now - start) / INTERVAL_MS);
                prop_assert!(unrefunded <= 30);
                for site in 0..4 {
                    let (lost, held) = bucket.taken_by(SiteTag([site; 8]));
                    prop_assert!(lost + held <= BURST_PER_SITE as usize);
                }
            }
        }
    }

    /// Returns the number of guesses within `days` days of a guesser with many sites that guesses at every
    /// opportunity.
    fn guesses_within(days: u64, max_lost: Option<u32>) -> u32 {
        let mut bucket = AttemptBucket::new(max_lost, 0);
        let mut sites = (0..=u8::MAX).cycle().map(|site| SiteTag([site; 8]));
        let interval_minutes = INTERVAL_MS / 60_000;
        for interval in 0..days * 24 * 60 / interval_minutes {
            while let ChargeResult::Charged(id) = bucket.charge(sites.next().unwrap(), interval * INTERVAL_MS) {
                bucket.lose(id);
            }
        }
        bucket.lost_in_all
    }

    #[test]
    fn a_guesser_has_the_guesses_that_the_documentation_names() {
        assert_eq!([1, 365].map(|days| guesses_within(days, Some(150))), [148, 150], "a short secret");
        assert_eq!([1, 365].map(|days| guesses_within(days, None)), [148, 52_564], "a long secret");
    }

    #[test]
    fn a_file_with_more_attempts_than_the_budget_is_damaged() {
        let stored = StoredBucket { taken: vec![SiteTag([0; 8]); BURST as usize + 1], since_ms: 0, lost: 0 };
        assert!(AttemptBucket::restore(stored, None).is_none());
    }
}
