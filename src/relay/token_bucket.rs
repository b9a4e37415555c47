//! A token bucket: it has a capacity and is refilled evenly.

use std::time::Duration;

use tokio::time::Instant;

/// The capacity of a bucket, and the time to refill an empty one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) tokens: u32,
    pub(super) period: Duration,
}

impl Rate {
    fn interval(self) -> Duration {
        self.period / self.tokens.max(1)
    }
}

/// A bucket. It stores one point in time, so it needs no timer (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TokenBucket {
    /// The time at which the bucket is full again; `None` if it was never used.
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// Takes a token.
    ///
    /// # Errors
    /// The time until a token is available.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.check(rate, now)?;
        self.full_at = Some(self.full_at(now) + rate.interval());
        Ok(())
    }

    /// Checks that a token is available.
    ///
    /// # Errors
    /// The time until a token is available.
    pub(super) fn check(&self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let after = self.full_at(now) + rate.interval();
        let missing = after.saturating_duration_since(now + rate.period);
        match missing {
            _ if rate.tokens == 0 => Err(rate.period),
            Duration::ZERO => Ok(()),
            missing => Err(missing),
        }
    }

    /// Returns whether at most `tokens` are missing.
    pub(super) fn has_used_at_most(&self, tokens: u32, rate: Rate, now: Instant) -> bool {
        self.full_at(now).duration_since(now) <= rate.interval() * tokens
    }

    /// Returns whether the bucket is full, and thus equals one that was never used.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }

    fn full_at(&self, now: Instant) -> Instant {
        self.full_at.map_or(now, |full_at| full_at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;

    const RATE: Rate = Rate { tokens: 3, period: Duration::from_secs(30) };

    fn take(bucket: &mut TokenBucket) -> Result<(), u64> {
        bucket.take(RATE, Instant::now()).map_err(|wait| wait.as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_is_used_up_and_refilled_evenly() {
        let mut bucket = TokenBucket::default();
        for _ in 0..3 {
            assert_eq!(take(&mut bucket), Ok(()));
        }
        assert_eq!(take(&mut bucket), Err(10));
        advance(Duration::from_secs(4)).await;
        assert_eq!(take(&mut bucket), Err(6));
        advance(Duration::from_secs(6)).await;
        assert_eq!((take(&mut bucket), take(&mut bucket)), (Ok(()), Err(10)));
        advance(Duration::from_secs(1_000)).await;
        assert!(bucket.is_full(Instant::now()));
        assert_eq!([0; 4].map(|_| take(&mut bucket)), [Ok(()), Ok(()), Ok(()), Err(10)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_knows_how_much_of_it_is_used() {
        let mut bucket = TokenBucket::default();
        assert!(bucket.has_used_at_most(0, RATE, Instant::now()));
        assert_eq!(take(&mut bucket), Ok(()));
        assert!(bucket.has_used_at_most(1, RATE, Instant::now()) && !bucket.has_used_at_most(0, RATE, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_of_size_zero_is_always_empty() {
        let rate = Rate { tokens: 0, ..RATE };
        assert_eq!(TokenBucket::default().take(rate, Instant::now()), Err(RATE.period));
    }

    proptest! {
        #[test]
        fn no_more_than_twice_the_size_leaves_in_a_period(steps in proptest::collection::vec(0u64..5_000, 1..200)) {
            let start = Instant::now();
            let (mut bucket, mut now, mut taken) = (TokenBucket::default(), start, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                if bucket.take(RATE, now).is_ok() {
                    taken.push(now);
                }
            }
            for (i, first) in taken.iter().enumerate() {
                let within = taken[i..].iter().filter(|at| **at - *first < RATE.period).count();
                prop_assert!(within <= 2 * RATE.tokens as usize);
            }
        }
    }
}
