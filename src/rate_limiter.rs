//! A rate that is not exceeded.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::sync::Mutex;

/// Lets so many bytes a second pass, and saves up nothing (the generic cell rate algorithm of ITU-T I.371, without
/// tolerance).
#[derive(Debug)]
pub struct RateLimiter {
    rate: NonZeroU64,
    /// When the next byte may pass.
    next: Mutex<Option<Instant>>,
}

impl RateLimiter {
    /// Of `rate` bytes a second.
    pub fn new(rate: NonZeroU64) -> Self {
        Self { rate, next: Mutex::new(None) }
    }

    /// Waits until `bytes` may pass. Where the future is dropped before it completes, nothing has passed.
    pub async fn acquire(&self, bytes: usize) {
        while let Some(later) = self.try_acquire(bytes) {
            sleep_until(later).await;
        }
    }

    /// When to try again, where it is too early.
    fn try_acquire(&self, bytes: usize) -> Option<Instant> {
        let mut next = self.next.lock();
        let now = Instant::now();
        if next.is_some_and(|next| next > now) {
            return *next;
        }
        *next = Some(now + Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64));
        None
    }

    /// How many bytes should pass at once, so that whoever shares the line hardly notices: those of 20 ms, a packet at
    /// least.
    pub fn chunk_size(&self) -> usize {
        const PACKET: u64 = 1200;
        usize::try_from(self.rate.get() / 50).unwrap_or(usize::MAX).max(PACKET as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_and_nothing_is_saved_up() {
        let pace = RateLimiter::new(NonZeroU64::new(1_000).unwrap());
        let began = Instant::now();
        for _ in 0..10 {
            pace.acquire(100).await;
        }
        assert_eq!(began.elapsed().as_millis(), 900, "the tenth begins when nine have passed");
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        pace.acquire(1_000).await;
        pace.acquire(1_000).await;
        assert_eq!(began.elapsed().as_millis(), 1_000);
        assert_eq!(
            (pace.chunk_size(), RateLimiter::new(NonZeroU64::new(1_000_000).unwrap()).chunk_size()),
            (1_200, 20_000)
        );
    }
}
