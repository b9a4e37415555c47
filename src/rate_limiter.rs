//! Limits a byte rate.

use std::{num::NonZeroU64, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use crate::sync::Mutex;

/// The time that may be saved up. It makes up for timers and tasks that are late, which would otherwise lower the rate:
/// timers have a resolution of 1 ms, and a chunk takes 20 ms.
const TOLERANCE: Duration = Duration::from_millis(50);

/// Limits a byte rate and hardly allows bursts: unused time is saved up only within [`TOLERANCE`]. This is the generic
/// cell rate algorithm of ITU-T I.371.
#[derive(Debug)]
pub struct RateLimiter {
    /// In bytes per second.
    rate: NonZeroU64,
    /// When the next bytes are allowed.
    next: Mutex<Option<Instant>>,
    /// The turn to wait for them.
    turn: Semaphore,
}

impl RateLimiter {
    /// Creates a limiter for `rate` bytes per second.
    pub fn new(rate: NonZeroU64) -> Self {
        Self { rate, next: Mutex::new(None), turn: Semaphore::new(1) }
    }

    /// Waits until `bytes` are allowed: first come, first served. If the future is dropped before it completes, no
    /// bytes are counted.
    pub async fn acquire(&self, bytes: usize) {
        let _turn = self.turn.acquire().await; // cannot fail: the semaphore is never closed
        while let Some(retry_at) = self.try_acquire(bytes) {
            sleep_until(retry_at).await;
        }
    }

    /// Counts `bytes` and returns when they have passed at the limited rate.
    pub fn reserve(&self, bytes: usize) -> Instant {
        self.count(&mut self.next.lock(), Instant::now(), bytes)
    }

    /// Counts `bytes` and returns `None` if they are allowed now. Otherwise returns when to retry.
    fn try_acquire(&self, bytes: usize) -> Option<Instant> {
        let mut next = self.next.lock();
        let now = Instant::now();
        if next.is_some_and(|next| next > now) {
            return *next;
        }
        self.count(&mut next, now, bytes);
        None
    }

    /// Moves `next` by the time that `bytes` take, and returns it.
    fn count(&self, next: &mut Option<Instant>, now: Instant, bytes: usize) -> Instant {
        let start = next.map_or(now, |next| next.max(now.checked_sub(TOLERANCE).unwrap_or(now)));
        *next.insert(start + Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64))
    }

    /// The number of bytes to request at once: 20 ms at the limited rate, at least one packet. Other users of the
    /// network hardly notice such a burst.
    pub fn chunk_size(&self) -> usize {
        const PACKET: usize = 1200;
        usize::try_from(self.rate.get() / 50).unwrap_or(usize::MAX).max(PACKET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(rate: u64) -> RateLimiter {
        RateLimiter::new(NonZeroU64::new(rate).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_not_exceeded() {
        let (limiter, began) = (limiter(1_000), Instant::now());
        for _ in 0..10 {
            limiter.acquire(100).await;
        }
        assert_eq!(began.elapsed().as_millis(), 900, "the tenth chunk is allowed when nine have passed");
    }

    #[tokio::test(start_paused = true)]
    async fn unused_time_is_hardly_saved_up() {
        let limiter = limiter(1_000);
        limiter.acquire(100).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        limiter.acquire(1_000).await;
        limiter.acquire(1_000).await;
        assert_eq!(began.elapsed().as_millis(), 950);
    }

    #[tokio::test(start_paused = true)]
    async fn reserved_bytes_have_passed_after_their_time() {
        let (limiter, began) = (limiter(1_000), Instant::now());
        assert_eq!(limiter.reserve(100), began + Duration::from_millis(100));
        assert_eq!(limiter.reserve(900), began + Duration::from_secs(1));
    }

    /// Timers of a loaded machine are late.
    #[tokio::test(start_paused = true)]
    async fn late_timers_do_not_lower_the_rate() {
        let (limiter, began) = (limiter(1_000_000), Instant::now());
        for _ in 0..100 {
            limiter.acquire(20_000).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        assert_eq!(began.elapsed().as_millis(), 99 * 20 + 3);
    }

    #[test]
    fn a_chunk_lasts_20_ms_and_is_at_least_a_packet() {
        assert_eq!((limiter(1_000).chunk_size(), limiter(1_000_000).chunk_size()), (1_200, 20_000));
    }
}
