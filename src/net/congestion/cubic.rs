//! The window beside somebody who fills the queue: CUBIC (RFC 9438), a little more eager, since it stops to look from
//! time to time whether it is still alone with a stranger.

use std::time::{Duration, Instant};

/// Growth, in packets a cubic second: twice that of RFC 9438, for the time that goes into drains.
const C: f64 = 0.8;

/// What a cut leaves. RFC 9438 has 0.7.
const BETA: f64 = 0.75;

/// A CUBIC window, in packets.
#[derive(Debug, Clone)]
pub(super) struct Cubic {
    window: f64,
    /// Where it was cut last, and what Reno would have now.
    highest: f64,
    reno: f64,
    /// Since when it grows, and when it gets back to `highest`.
    since: Instant,
    back_after: f64,
    /// When it was last cut.
    cut: Instant,
}

impl Cubic {
    /// Begins at so many packets.
    pub(super) fn new(now: Instant, window: f64) -> Self {
        Self { window, highest: window, reno: window, since: now, back_after: 0.0, cut: now }
    }

    pub(super) fn window(&self) -> f64 {
        self.window
    }

    /// So many packets were acknowledged while the window was in use.
    pub(super) fn acked(&mut self, now: Instant, packets: f64, rtt: Duration) {
        const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
        let time = (now.saturating_duration_since(self.since) + rtt).as_secs_f64() - self.back_after;
        let target = (C * time.powi(3) + self.highest).clamp(self.window, 1.5 * self.window);
        self.window += (target - self.window) / self.window * packets;
        self.reno += ALPHA * packets / self.window;
        self.window = self.window.max(self.reno);
    }

    /// Too much is on its way, as the loss of a packet tells that was sent at this time: one cut for a round trip.
    pub(super) fn cut(&mut self, now: Instant, sent: Instant, least: f64) {
        if sent <= self.cut {
            return;
        }
        self.cut = now;
        // Whoever is on the way down leaves room (RFC 9438 section 4.7).
        self.highest = if self.window < self.highest { self.window * (1.0 + BETA) / 2.0 } else { self.window };
        self.window = (self.window * BETA).max(least);
        self.reno = self.window;
        self.since = now;
        self.back_after = ((self.highest - self.window).max(0.0) / C).cbrt();
    }

    /// The time in which it stood still does not count.
    pub(super) fn paused(&mut self, time: Duration) {
        self.since += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_cut_leaves_three_quarters_and_grows_back() {
        let begin = Instant::now();
        let mut cubic = Cubic::new(begin, 100.0);
        cubic.cut(begin, begin + Duration::from_nanos(1), 4.0);
        assert_eq!(cubic.window(), 75.0);
        // K = ((100 − 75) / 0.8)^⅓ = 3.15 s.
        let rtt = Duration::from_millis(50);
        let at = |cubic: &mut Cubic, seconds: f64| {
            let mut now = begin;
            while now.duration_since(begin).as_secs_f64() < seconds {
                now += rtt;
                cubic.acked(now, cubic.window(), rtt);
            }
            cubic.window()
        };
        assert!((98.0..102.0).contains(&at(&mut cubic.clone(), 3.15)));
        assert!(at(&mut cubic, 6.0) > 110.0);
    }

    #[test]
    fn whoever_is_on_the_way_down_leaves_room() {
        let begin = Instant::now();
        let mut cubic = Cubic::new(begin, 100.0);
        let mut cut = |n| cubic.cut(begin + n * SECOND, begin + n * SECOND, 4.0);
        (1..=2).for_each(&mut cut);
        assert!(cubic.highest < 75.0, "{}", cubic.highest);
        let mut cut = |n| cubic.cut(begin + n * SECOND, begin + n * SECOND, 4.0);
        (3..50).for_each(&mut cut);
        assert_eq!(cubic.window(), 4.0);
    }

    #[test]
    fn one_cut_for_a_round_trip() {
        let begin = Instant::now();
        let mut cubic = Cubic::new(begin, 100.0);
        (1..10).for_each(|_| cubic.cut(begin + SECOND, begin + SECOND / 2, 4.0));
        assert_eq!(cubic.window(), 75.0);
    }
}
