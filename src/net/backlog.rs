//! What is written ahead of the line, and in which order.
//!
//! quinn takes what is written into a buffer until so much of it is not acknowledged. Where that is no more than the
//! congestion window lets out, the line waits for us; where it is much more, fifty downloads fill it. So the buffer
//! follows the window, with a few records on top; on a line that loses packets it is a few windows long, since quinn
//! keeps everything behind the first hole.
//!
//! Streams of one connection take turns by whole pieces. Of what is in its buffer, quinn sends a packet of each stream in
//! turn: were all fifty in it, everybody behind them would wake for every packet. As it is there are a few, and somebody
//! new, who does not wait for a turn, is among them at once. (quinn's unfair mode is no way out: whoever has something
//! unsent keeps the line, and a download that never runs dry keeps it for ever.)

use std::{num::NonZeroU64, time::Duration};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::rate_limiter::RateLimiter;
use crate::sync::Mutex;

/// The shortest buffer: four records. It fills a line of 100 Mbit/s × 20 ms before the window has grown.
pub(super) const SHORTEST: u64 = 512 * 1024;

/// The longest: 1 Gbit/s × 250 ms.
const LONGEST: u64 = 32 * 1024 * 1024;

/// What the streams of a connection share.
#[derive(Debug)]
pub(super) struct Backlog {
    connection: quinn::Connection,
    length: Mutex<Length>,
    pace: Option<RateLimiter>,
    turns: Semaphore,
}

#[derive(Debug)]
struct Length {
    now: u64,
    /// The shortest round trip seen.
    least_rtt: Duration,
    losses: Losses,
}

/// The share of packets that are lost, of late.
#[derive(Debug, Default)]
struct Losses {
    sent: u64,
    lost: u64,
    share: f64,
}

impl Losses {
    /// Learns from the counts of all packets so far.
    fn learn(&mut self, sent: u64, lost: u64) {
        /// Packets between two looks.
        const SOME: u64 = 256;
        let (newly_sent, newly_lost) = (sent.saturating_sub(self.sent), lost.saturating_sub(self.lost));
        if newly_sent >= SOME {
            self.share = (self.share + newly_lost as f64 / newly_sent as f64) / 2.0;
            (self.sent, self.lost) = (sent, lost);
        }
    }
}

impl Backlog {
    /// Of a new connection, whose configuration begins with [`SHORTEST`]; at most `limit` bytes a second leave.
    pub(super) fn new(connection: quinn::Connection, limit: Option<NonZeroU64>) -> Self {
        let length = Mutex::new(Length { now: SHORTEST, least_rtt: Duration::MAX, losses: Losses::default() });
        Self { connection, length, pace: limit.map(RateLimiter::new), turns: Semaphore::new(1) }
    }

    /// Waits for the turn to write a piece, first come first served.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok() // it is never closed
    }

    /// How fast anything may be written, where that is limited.
    pub(super) fn pace(&self) -> Option<&RateLimiter> {
        self.pace.as_ref()
    }

    /// Makes the buffer as long as the congestion window asks for.
    pub(super) fn follow_window(&self) {
        let path = self.connection.stats().path;
        let mut length = self.length.lock();
        length.least_rtt = length.least_rtt.min(path.rtt); // without what waits in queues
        length.losses.learn(path.sent_packets, path.lost_packets);
        let kept = path.cwnd as f64 * rounds_kept(path.cwnd / u64::from(path.current_mtu.max(1)), length.losses.share);
        let wanted = length_for(kept as u64, length.least_rtt);
        if wanted != length.now {
            length.now = wanted;
            self.connection.set_send_window(wanted);
        }
    }
}

/// For how many round trips quinn keeps what it has sent, on a line that loses this share of so many packets a round trip:
/// up to the first byte that nobody has acknowledged, and of so many packets the unluckiest is lost a few times.
fn rounds_kept(packets: u64, lost: f64) -> f64 {
    const MOST: f64 = 6.0;
    if lost <= 0.0 {
        return 1.0;
    }
    (1.0 + (packets.max(1) as f64).ln() / (1.0 / lost.min(0.9)).ln()).min(MOST)
}

/// The window and a few records, and never more than is good for 10 Gbit/s: where nothing is ever lost, the window says
/// nothing. In steps, so that it does not change with every acknowledgement.
fn length_for(window: u64, round_trip: Duration) -> u64 {
    /// What is good for the shortest line: time for whoever writes to be scheduled.
    const ON_THE_SPOT: u64 = 1024 * 1024;
    /// 10 Gbit/s.
    const BYTES_A_MILLISECOND: u64 = 1_250_000;
    let useful = (round_trip.as_millis() as u64).saturating_mul(BYTES_A_MILLISECOND).saturating_add(ON_THE_SPOT);
    let length = window.saturating_add(SHORTEST).min(useful);
    length.clamp(SHORTEST, LONGEST).div_ceil(SHORTEST) * SHORTEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_is_the_window_and_a_little_more_within_its_bounds() {
        let length_for = |window| length_for(window, Duration::from_millis(100));
        assert_eq!(length_for(14_720), 2 * SHORTEST);
        assert_eq!(length_for(2_000_000), 5 * SHORTEST);
        assert_eq!(length_for(u64::MAX), LONGEST);
        for window in (0..LONGEST).step_by(99_991) {
            let length = length_for(window);
            assert!(length >= (window + SHORTEST).min(LONGEST) && length < window + 3 * SHORTEST, "{window}: {length}");
        }
    }

    #[test]
    fn what_is_lost_again_is_waited_for() {
        assert_eq!(rounds_kept(5_000, 0.0), 1.0);
        assert!((2.8..3.0).contains(&rounds_kept(5_000, 0.01)));
        assert!((4.6..4.8).contains(&rounds_kept(5_000, 0.1)));
        assert_eq!(rounds_kept(u64::MAX, 0.9), 6.0);
        let mut losses = Losses::default();
        losses.learn(1_000, 100);
        losses.learn(1_010, 110);
        assert_eq!(losses.share, 0.05);
        losses.learn(2_000, 200);
        assert!((losses.share - 0.075).abs() < 1e-9);
    }

    #[test]
    fn a_short_line_has_a_short_buffer_whatever_its_window() {
        assert_eq!(length_for(u64::MAX, Duration::from_micros(50)), 1024 * 1024);
        assert_eq!(length_for(u64::MAX, Duration::MAX), LONGEST);
    }
}
