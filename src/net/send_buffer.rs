//! The send buffer of a connection: its size, and the order of writes.
//!
//! quinn accepts writes until its send buffer holds as many unacknowledged bytes as
//! [`quinn::Connection::set_send_window`] allows. A buffer no larger than the congestion window would make the
//! connection wait for the application; a much larger one would be filled by fifty downloads. So the buffer follows the
//! congestion window and has room for a few records more. On a path with packet loss it is several windows large,
//! because quinn stores everything behind the first unacknowledged byte.
//!
//! The streams of a connection take turns to write whole chunks. quinn sends one packet of each stream with buffered
//! data in turn. If all fifty streams had data in the buffer, every packet would wake the reader of another stream.
//! With turns, only a few streams have data in the buffer, and a new stream, which does not wait for a turn, is among
//! them at once. quinn's unfair mode is no alternative: a stream would occupy the connection as long as it has unsent
//! data, which for a download is until its end.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{rate_limiter::RateLimiter, sync::Mutex};

/// The buffer of a new connection: four records. It fills a path of 100 Mbit/s × 20 ms before the congestion window has
/// grown.
pub(super) const MIN_SIZE: u64 = 512 * 1024;

/// The step of the size, and the size on the shortest paths if an endpoint has many connections: two records.
const STEP: u64 = 256 * 1024;

/// Covers the time until the writing task is scheduled, which matters on the shortest paths. The connections of an
/// endpoint share it: together they are no faster than one.
const SCHEDULING_RESERVE: u64 = 1024 * 1024;

/// The largest buffer: 1 Gbit/s × 250 ms.
const MAX_SIZE: u64 = 32 * 1024 * 1024;

/// The send buffer that the streams of a connection share.
#[derive(Debug)]
pub(super) struct SendBuffer {
    connection: quinn::Connection,
    sizing: Mutex<BufferSizing>,
    rate_limiter: Option<Arc<RateLimiter>>,
    turn: Semaphore,
    /// The connections of this endpoint, which share [`SCHEDULING_RESERVE`].
    connections: ConnectionCount,
}

/// Counts the connections of an endpoint: each holds a clone of the endpoint's handle.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionCount(Arc<()>);

impl ConnectionCount {
    /// Returns the number of connections. An endpoint without a handle has one.
    fn get(&self) -> u64 {
        (Arc::strong_count(&self.0) as u64 - 1).max(1)
    }
}

/// The current size, and the measurements that determine the next one.
#[derive(Debug)]
struct BufferSizing {
    size: u64,
    /// The shortest round-trip time so far, which approximates the path without queues.
    min_rtt: Duration,
    loss: PacketLossAverage,
}

impl SendBuffer {
    /// Creates the buffer of a new connection, whose transport configuration sets [`MIN_SIZE`].
    pub(super) fn new(
        connection: quinn::Connection,
        rate_limiter: Option<Arc<RateLimiter>>,
        connections: ConnectionCount,
    ) -> Self {
        let sizing =
            Mutex::new(BufferSizing { size: MIN_SIZE, min_rtt: Duration::MAX, loss: PacketLossAverage::default() });
        Self { connection, sizing, rate_limiter, turn: Semaphore::new(1), connections }
    }

    /// Waits for the turn to write a chunk, first come, first served.
    pub(super) async fn acquire_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turn.acquire().await.ok() // the semaphore is never closed
    }

    /// The limiter of the send rate, if the rate is limited.
    pub(super) fn rate_limiter(&self) -> Option<&RateLimiter> {
        self.rate_limiter.as_deref()
    }

    /// Adjusts the size to the congestion window.
    pub(super) fn follow_congestion_window(&self) {
        let path = self.connection.stats().path;
        let mut sizing = self.sizing.lock();
        sizing.min_rtt = sizing.min_rtt.min(path.rtt);
        sizing.loss.update(path.sent_packets, path.lost_packets);
        let packets = path.cwnd / u64::from(path.current_mtu.max(1));
        let unacknowledged = path.cwnd as f64 * buffered_rounds(packets, sizing.loss.fraction);
        let size = target_size(unacknowledged as u64, sizing.min_rtt, self.connections.get());
        if size != sizing.size {
            sizing.size = size;
            self.connection.set_send_window(size);
        }
    }
}

/// A moving average of the fraction of packets that are lost.
#[derive(Debug, Default)]
struct PacketLossAverage {
    sent: u64,
    lost: u64,
    fraction: f64,
}

impl PacketLossAverage {
    /// Updates the average from the connection's packet counters.
    fn update(&mut self, sent: u64, lost: u64) {
        /// The average is updated once per this many sent packets.
        const UPDATE_INTERVAL: u64 = 256;
        let (newly_sent, newly_lost) = (sent.saturating_sub(self.sent), lost.saturating_sub(self.lost));
        if newly_sent >= UPDATE_INTERVAL {
            self.fraction = (self.fraction + newly_lost as f64 / newly_sent as f64) / 2.0;
            (self.sent, self.lost) = (sent, lost);
        }
    }
}

/// Returns for how many round trips quinn stores the bytes it has sent, on a path that sends `packets` per round trip
/// and loses the fraction `loss` of them. quinn stores everything behind the first unacknowledged byte, and among many
/// packets some are lost several times in a row.
fn buffered_rounds(packets: u64, loss: f64) -> f64 {
    const MAX: f64 = 6.0;
    if loss <= 0.0 {
        return 1.0;
    }
    (1.0 + (packets.max(1) as f64).ln() / (1.0 / loss.min(0.9)).ln()).min(MAX)
}

/// Returns the buffer size for this many unacknowledged bytes: a few records more, but no more than 10 Gbit/s needs,
/// because the congestion window grows without bound on a path that never loses a packet. The size is a multiple of
/// [`STEP`], so that few acknowledgements change it.
fn target_size(unacknowledged: u64, min_rtt: Duration, connections: u64) -> u64 {
    /// 10 Gbit/s.
    const BYTES_PER_MILLISECOND: u64 = 1_250_000;
    let useful = (min_rtt.as_millis() as u64)
        .saturating_mul(BYTES_PER_MILLISECOND)
        .saturating_add(SCHEDULING_RESERVE / connections);
    let size = unacknowledged.saturating_add(MIN_SIZE).min(useful);
    size.clamp(STEP, MAX_SIZE).div_ceil(STEP) * STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_slightly_more_than_the_window_within_its_bounds() {
        let size_for = |window| target_size(window, Duration::from_millis(100), 50);
        assert_eq!(size_for(14_720), MIN_SIZE + STEP);
        assert_eq!(size_for(2_000_000), 10 * STEP);
        assert_eq!(size_for(u64::MAX), MAX_SIZE);
        for window in (0..MAX_SIZE).step_by(99_991) {
            let size = size_for(window);
            assert!(
                size >= (window + MIN_SIZE).min(MAX_SIZE) && size < window + MIN_SIZE + 2 * STEP,
                "{window}: {size}"
            );
        }
    }

    #[test]
    fn packet_loss_adds_round_trips() {
        assert_eq!(buffered_rounds(5_000, 0.0), 1.0);
        assert!((2.8..3.0).contains(&buffered_rounds(5_000, 0.01)));
        assert!((4.6..4.8).contains(&buffered_rounds(5_000, 0.1)));
        assert_eq!(buffered_rounds(u64::MAX, 0.9), 6.0);
    }

    #[test]
    fn the_average_loss_follows_the_counters_in_steps() {
        let mut loss = PacketLossAverage::default();
        loss.update(1_000, 100);
        loss.update(1_010, 110);
        assert_eq!(loss.fraction, 0.05);
        loss.update(2_000, 200);
        assert!((loss.fraction - 0.075).abs() < 1e-9);
    }

    #[test]
    fn a_short_path_has_a_small_buffer_for_any_window() {
        let size_among = |connections| target_size(u64::MAX, Duration::from_micros(50), connections);
        assert_eq!([1, 2, 50].map(size_among), [4 * STEP, 2 * STEP, STEP]);
        assert_eq!(target_size(u64::MAX, Duration::MAX, 1), MAX_SIZE);
    }
}
