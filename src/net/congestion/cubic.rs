//! A CUBIC congestion window (RFC 9438), for a bottleneck that is shared with a flow that fills the queue.
//!
//! It is slightly more aggressive than the RFC, to make up for the drains that interrupt it.

use std::time::{Duration, Instant};

/// The growth in packets per cubic second: twice the value of RFC 9438, to make up for the time spent in drains.
const C: f64 = 0.8;

/// The factor by which a reduction multiplies the window. RFC 9438 uses 0.7.
const BETA: f64 = 0.75;

/// A CUBIC congestion window, in packets. The fields are named after RFC 9438.
#[derive(Debug, Clone)]
pub(super) struct CubicWindow {
    cwnd: f64,
    /// The window before the latest reduction.
    w_max: f64,
    /// The window that Reno would have.
    w_est: f64,
    /// When the current growth began.
    epoch_start: Instant,
    /// The seconds from `epoch_start` until the window is `w_max` again.
    k: f64,
    reduced_at: Instant,
}

impl CubicWindow {
    /// Starts with a window of `cwnd` packets.
    pub(super) fn new(now: Instant, cwnd: f64) -> Self {
        Self { cwnd, w_max: cwnd, w_est: cwnd, epoch_start: now, k: 0.0, reduced_at: now }
    }

    /// The window in packets.
    pub(super) fn cwnd(&self) -> f64 {
        self.cwnd
    }

    /// Grows the window after `packets` were acknowledged. Call it only while the window is in use.
    pub(super) fn on_acked(&mut self, now: Instant, packets: f64, rtt: Duration) {
        const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
        let t = (now.saturating_duration_since(self.epoch_start) + rtt).as_secs_f64() - self.k;
        let target = (C * t.powi(3) + self.w_max).clamp(self.cwnd, 1.5 * self.cwnd);
        self.cwnd += (target - self.cwnd) / self.cwnd * packets;
        self.w_est += ALPHA * packets / self.cwnd;
        self.cwnd = self.cwnd.max(self.w_est);
    }

    /// Reduces the window after the loss of a packet that was sent at `sent`: once per round trip, and not below `min`.
    pub(super) fn reduce(&mut self, now: Instant, sent: Instant, min: f64) {
        if sent <= self.reduced_at {
            return;
        }
        self.reduced_at = now;
        // Fast convergence: a flow whose window shrinks releases bandwidth to others (RFC 9438 section 4.7).
        self.w_max = if self.cwnd < self.w_max { self.cwnd * (1.0 + BETA) / 2.0 } else { self.cwnd };
        self.cwnd = (self.cwnd * BETA).max(min);
        self.w_est = self.cwnd;
        self.epoch_start = now;
        self.k = ((self.w_max - self.cwnd).max(0.0) / C).cbrt();
    }

    /// Excludes a pause from the growth.
    pub(super) fn exclude_pause(&mut self, pause: Duration) {
        self.epoch_start += pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_reduction_leaves_three_quarters_and_the_window_recovers() {
        let begin = Instant::now();
        let mut cubic = CubicWindow::new(begin, 100.0);
        cubic.reduce(begin, begin + Duration::from_nanos(1), 4.0);
        assert_eq!(cubic.cwnd(), 75.0);
        // K = ((100 − 75) / 0.8)^⅓ = 3.15 s.
        let rtt = Duration::from_millis(50);
        let cwnd_after = |cubic: &mut CubicWindow, seconds: f64| {
            let mut now = begin;
            while now.duration_since(begin).as_secs_f64() < seconds {
                now += rtt;
                cubic.on_acked(now, cubic.cwnd(), rtt);
            }
            cubic.cwnd()
        };
        assert!((98.0..102.0).contains(&cwnd_after(&mut cubic.clone(), 3.15)));
        assert!(cwnd_after(&mut cubic, 6.0) > 110.0);
    }

    #[test]
    fn repeated_reductions_lower_the_target() {
        let begin = Instant::now();
        let mut cubic = CubicWindow::new(begin, 100.0);
        let reduce = |cubic: &mut CubicWindow, n| cubic.reduce(begin + n * SECOND, begin + n * SECOND, 4.0);
        (1..=2).for_each(|n| reduce(&mut cubic, n));
        assert!(cubic.w_max < 75.0, "{}", cubic.w_max);
        (3..50).for_each(|n| reduce(&mut cubic, n));
        assert_eq!(cubic.cwnd(), 4.0);
    }

    #[test]
    fn the_window_is_reduced_once_per_round_trip() {
        let begin = Instant::now();
        let mut cubic = CubicWindow::new(begin, 100.0);
        (1..10).for_each(|_| cubic.reduce(begin + SECOND, begin + SECOND / 2, 4.0));
        assert_eq!(cubic.cwnd(), 75.0);
    }
}
