//! How fast bytes are delivered: a sample for each batch of acknowledgements.
//!
//! What was delivered between the sending of a packet and its acknowledgement, over the longer of the time in which it
//! was sent and the time in which it was acknowledged: acknowledgements that come in a heap look no faster than what was
//! sent (draft-cheng-iccrg-delivery-rate-estimation). quinn tells when a packet was sent, not its number, so that what
//! was sent at one instant is one batch.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Batches that are remembered. More are on their way only where nothing is acknowledged: an end that only acknowledges.
const MOST_BATCHES: usize = 8192;

/// What was sent at one instant, and what was known then.
#[derive(Debug, Clone, Copy)]
struct Batch {
    at: Instant,
    /// Bytes that were delivered by then, and when the last of them was.
    delivered: u64,
    delivered_at: Instant,
    /// When the last packet was sent that was acknowledged by then.
    first_sent: Instant,
    /// Bytes on their way, this batch among them.
    in_flight: u64,
    app_limited: bool,
}

/// What a batch of acknowledgements tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// When the newest packet among them was sent.
    pub(super) sent: Instant,
    /// How long its acknowledgement took.
    pub(super) rtt: Duration,
    /// Bytes a second, since it was sent.
    pub(super) rate: f64,
    /// Bytes that were delivered since.
    pub(super) delivered: u64,
    /// Bytes that had been delivered when it was sent.
    pub(super) delivered_before: u64,
    /// Bytes that were on their way when it had been sent.
    pub(super) in_flight: u64,
    /// The application had not enough to send, so that the line may carry more.
    pub(super) app_limited: bool,
}

/// Counts what is sent and what is delivered.
#[derive(Debug, Clone)]
pub(super) struct Deliveries {
    batches: VecDeque<Batch>,
    delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    in_flight: u64,
    /// Until so much is delivered, samples say nothing about the line.
    app_limited_until: u64,
    /// The newest among the packets that are being acknowledged.
    newest: Option<Instant>,
}

impl Deliveries {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            batches: VecDeque::new(),
            delivered: 0,
            delivered_at: now,
            first_sent: now,
            in_flight: 0,
            app_limited_until: 0,
            newest: None,
        }
    }

    /// Bytes on their way.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Bytes that were delivered so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// So many bytes were sent.
    pub(super) fn sent(&mut self, now: Instant, bytes: u64) {
        if self.in_flight == 0 {
            (self.delivered_at, self.first_sent) = (now, now);
        }
        self.in_flight += bytes;
        if let Some(last) = self.batches.back_mut().filter(|batch| batch.at == now) {
            last.in_flight = self.in_flight;
            return;
        }
        if self.batches.len() == MOST_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(Batch {
            at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            in_flight: self.in_flight,
            app_limited: self.delivered < self.app_limited_until,
        });
    }

    /// A packet of so many bytes, sent at this time, was acknowledged.
    pub(super) fn acked(&mut self, sent: Instant, bytes: u64) {
        self.delivered += bytes;
        self.newest = self.newest.max(Some(sent));
    }

    /// So many bytes are not on their way any more.
    pub(super) fn lost(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// All acknowledgements of a batch were told. There is no sample where all of them are of packets older than those
    /// of an earlier batch.
    pub(super) fn sample(&mut self, now: Instant, in_flight: u64, app_limited: bool) -> Option<Sample> {
        self.in_flight = in_flight;
        if app_limited {
            self.app_limited_until = self.delivered + in_flight.max(1);
        }
        let newest = self.newest.take()?;
        let passed = self.batches.partition_point(|batch| batch.at < newest);
        self.batches.drain(..passed);
        let batch = *self.batches.front().filter(|batch| batch.at == newest)?;
        let sending = batch.at.saturating_duration_since(batch.first_sent);
        let acking = now.saturating_duration_since(batch.delivered_at);
        (self.first_sent, self.delivered_at) = (batch.at, now);
        let delivered = self.delivered - batch.delivered;
        let seconds = sending.max(acking).max(Duration::from_micros(1)).as_secs_f64();
        Some(Sample {
            sent: newest,
            rtt: now.saturating_duration_since(newest),
            rate: delivered as f64 / seconds,
            delivered,
            delivered_before: batch.delivered,
            in_flight: batch.in_flight,
            app_limited: batch.app_limited,
        })
    }
}

/// The highest rate of the last rounds.
#[derive(Debug, Clone, Default)]
pub(super) struct Highest {
    /// Rounds and rates; each rate is lower than the one before.
    rates: VecDeque<(u64, f64)>,
}

impl Highest {
    /// A rate that was seen in this round. Those of `rounds` rounds before it and earlier are forgotten.
    pub(super) fn note(&mut self, round: u64, rate: f64, rounds: u64) {
        while self.rates.back().is_some_and(|(_, lower)| *lower <= rate) {
            self.rates.pop_back();
        }
        self.rates.push_back((round, rate));
        while self.rates.front().is_some_and(|(seen, _)| seen + rounds <= round) {
            self.rates.pop_front();
        }
    }

    /// The highest of all.
    pub(super) fn all(&self) -> Option<f64> {
        self.rates.front().map(|(_, rate)| *rate)
    }

    /// The highest since this round.
    pub(super) fn since(&self, round: u64) -> Option<f64> {
        self.rates.iter().find(|(seen, _)| *seen >= round).map(|(_, rate)| *rate)
    }

    /// Forgets what is older than this round, if there is anything newer.
    pub(super) fn forget_before(&mut self, round: u64) {
        if self.since(round).is_some() {
            self.rates.retain(|(seen, _)| *seen >= round);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_heap_of_acknowledgements_is_no_rate() {
        let begin = Instant::now();
        let mut deliveries = Deliveries::new(begin);
        for ms in 0..10 {
            deliveries.sent(begin + ms * MS, 1_000);
        }
        deliveries.acked(begin, 1_000);
        assert!(deliveries.sample(begin + 50 * MS, 9_000, false).is_some());
        for ms in 1..10 {
            deliveries.acked(begin + ms * MS, 1_000);
        }
        // Nine packets that were sent in nine milliseconds, all of them acknowledged at one instant.
        let sample = deliveries.sample(begin + 59 * MS, 0, false).unwrap();
        assert_eq!((sample.rtt, sample.delivered), (50 * MS, 10_000));
        assert!((sample.rate - 10_000.0 / 0.059).abs() < 1.0, "{}", sample.rate);
    }

    #[test]
    fn what_is_sent_after_a_pause_is_not_measured_over_it() {
        let begin = Instant::now();
        let mut deliveries = Deliveries::new(begin);
        deliveries.sent(begin, 1_000);
        deliveries.acked(begin, 1_000);
        deliveries.sample(begin + 10 * MS, 0, true).unwrap();
        let later = begin + Duration::from_secs(9);
        deliveries.sent(later, 2_000);
        deliveries.acked(later, 2_000);
        let sample = deliveries.sample(later + 10 * MS, 0, false).unwrap();
        assert!((sample.rate - 200_000.0).abs() < 1.0, "{}", sample.rate);
    }

    #[test]
    fn too_little_to_send_is_told() {
        let begin = Instant::now();
        let mut deliveries = Deliveries::new(begin);
        deliveries.sent(begin, 1_000);
        deliveries.acked(begin, 500);
        assert!(!deliveries.sample(begin + 10 * MS, 500, true).unwrap().app_limited, "that was sent before");
        deliveries.sent(begin + 11 * MS, 100);
        deliveries.acked(begin + 11 * MS, 100);
        assert!(deliveries.sample(begin + 20 * MS, 500, false).unwrap().app_limited);
    }

    #[test]
    fn what_is_never_acknowledged_does_not_pile_up() {
        let begin = Instant::now();
        let mut deliveries = Deliveries::new(begin);
        for ms in 0..2 * MOST_BATCHES as u32 {
            deliveries.sent(begin + ms * MS, 40);
        }
        assert_eq!(deliveries.batches.len(), MOST_BATCHES);
    }

    #[test]
    fn the_highest_rate_is_forgotten_in_its_time() {
        let mut highest = Highest::default();
        for (round, rate) in [(0, 9.0), (1, 5.0), (2, 7.0), (3, 6.0)] {
            highest.note(round, rate, 3);
        }
        assert_eq!((highest.all(), highest.since(2), highest.since(3)), (Some(7.0), Some(7.0), Some(6.0)));
        highest.forget_before(9);
        assert_eq!(highest.all(), Some(7.0), "there is nothing newer");
        highest.forget_before(3);
        assert_eq!(highest.all(), Some(6.0));
    }
}
