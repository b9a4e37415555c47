//! Estimates the delivery rate: one sample per batch of acknowledgements (draft-cheng-iccrg-delivery-rate-estimation).
//!
//! A sample is the number of bytes delivered between the sending of a packet and its acknowledgement, divided by the
//! longer of the time in which these bytes were sent and the time in which they were acknowledged. So a burst of
//! acknowledgements does not give a rate above the send rate. quinn reports when an acknowledged packet was sent, but
//! not its number, so all packets sent at one instant are treated as one batch.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The maximum number of batches to store. Only a side that sends nothing but acknowledgements, which are never
/// acknowledged themselves, reaches it.
const MAX_BATCHES: usize = 8192;

/// The packets sent at one instant, and the state of the estimator at that instant.
#[derive(Debug, Clone, Copy)]
struct SentBatch {
    sent: Instant,
    /// Bytes delivered before this instant.
    delivered: u64,
    /// When the latest of these bytes was delivered.
    delivered_at: Instant,
    /// The send time of the newest packet that was acknowledged before this instant.
    first_sent: Instant,
    /// Bytes in flight, with this batch.
    in_flight: u64,
    app_limited: bool,
}

/// The measurements of one batch of acknowledgements.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateSample {
    /// When the newest acknowledged packet was sent.
    pub(super) sent: Instant,
    /// The time from its sending to its acknowledgement.
    pub(super) rtt: Duration,
    /// The delivery rate in that time, in bytes per second.
    pub(super) rate: f64,
    /// Bytes delivered in that time.
    pub(super) delivered: u64,
    /// Bytes delivered before it was sent.
    pub(super) delivered_before: u64,
    /// Bytes in flight when it was sent, with its batch.
    pub(super) in_flight: u64,
    /// Whether the application sent less than the window allowed, so that the path may be faster than the sample.
    pub(super) app_limited: bool,
}

/// Estimates the delivery rate from the packets that are sent, acknowledged and lost.
#[derive(Debug, Clone)]
pub(super) struct DeliveryRateEstimator {
    batches: VecDeque<SentBatch>,
    delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    in_flight: u64,
    /// Samples are application-limited until this many bytes are delivered.
    app_limited_until: u64,
    /// The send time of the newest packet in the current batch of acknowledgements.
    newest_acked: Option<Instant>,
}

impl DeliveryRateEstimator {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            batches: VecDeque::new(),
            delivered: 0,
            delivered_at: now,
            first_sent: now,
            in_flight: 0,
            app_limited_until: 0,
            newest_acked: None,
        }
    }

    /// Bytes in flight.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Bytes delivered so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Records that a packet was sent.
    pub(super) fn on_sent(&mut self, now: Instant, bytes: u64) {
        if self.in_flight == 0 {
            (self.delivered_at, self.first_sent) = (now, now);
        }
        self.in_flight += bytes;
        if let Some(batch) = self.batches.back_mut().filter(|batch| batch.sent == now) {
            batch.in_flight = self.in_flight;
            return;
        }
        if self.batches.len() == MAX_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(SentBatch {
            sent: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            in_flight: self.in_flight,
            app_limited: self.delivered < self.app_limited_until,
        });
    }

    /// Records that a packet, sent at `sent`, was acknowledged.
    pub(super) fn on_acked(&mut self, sent: Instant, bytes: u64) {
        self.delivered += bytes;
        self.newest_acked = self.newest_acked.max(Some(sent));
    }

    /// Records that packets were lost.
    pub(super) fn on_lost(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// Ends a batch of acknowledgements. Returns no sample if all acknowledged packets are older than those of an
    /// earlier batch.
    pub(super) fn sample(&mut self, now: Instant, in_flight: u64, app_limited: bool) -> Option<RateSample> {
        self.in_flight = in_flight;
        if app_limited {
            self.app_limited_until = self.delivered + in_flight.max(1);
        }
        let newest = self.newest_acked.take()?;
        let older = self.batches.partition_point(|batch| batch.sent < newest);
        self.batches.drain(..older);
        let batch = *self.batches.front().filter(|batch| batch.sent == newest)?;
        let send_time = batch.sent.saturating_duration_since(batch.first_sent);
        let ack_time = now.saturating_duration_since(batch.delivered_at);
        (self.first_sent, self.delivered_at) = (batch.sent, now);
        let delivered = self.delivered - batch.delivered;
        let seconds = send_time.max(ack_time).max(Duration::from_micros(1)).as_secs_f64();
        Some(RateSample {
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_of_acknowledgements_does_not_raise_the_rate() {
        let begin = Instant::now();
        let mut estimator = DeliveryRateEstimator::new(begin);
        for ms in 0..10 {
            estimator.on_sent(begin + ms * MS, 1_000);
        }
        estimator.on_acked(begin, 1_000);
        assert!(estimator.sample(begin + 50 * MS, 9_000, false).is_some());
        for ms in 1..10 {
            estimator.on_acked(begin + ms * MS, 1_000);
        }
        // Nine packets, sent in nine milliseconds, are acknowledged at one instant.
        let sample = estimator.sample(begin + 59 * MS, 0, false).unwrap();
        assert_eq!((sample.rtt, sample.delivered), (50 * MS, 10_000));
        assert!((sample.rate - 10_000.0 / 0.059).abs() < 1.0, "{}", sample.rate);
    }

    #[test]
    fn an_idle_period_does_not_lower_the_rate() {
        let begin = Instant::now();
        let mut estimator = DeliveryRateEstimator::new(begin);
        estimator.on_sent(begin, 1_000);
        estimator.on_acked(begin, 1_000);
        estimator.sample(begin + 10 * MS, 0, true).unwrap();
        let later = begin + Duration::from_secs(9);
        estimator.on_sent(later, 2_000);
        estimator.on_acked(later, 2_000);
        let sample = estimator.sample(later + 10 * MS, 0, false).unwrap();
        assert!((sample.rate - 200_000.0).abs() < 1.0, "{}", sample.rate);
    }

    #[test]
    fn packets_sent_while_application_limited_give_application_limited_samples() {
        let begin = Instant::now();
        let mut estimator = DeliveryRateEstimator::new(begin);
        estimator.on_sent(begin, 1_000);
        estimator.on_acked(begin, 500);
        assert!(!estimator.sample(begin + 10 * MS, 500, true).unwrap().app_limited, "sent before the limitation");
        estimator.on_sent(begin + 11 * MS, 100);
        estimator.on_acked(begin + 11 * MS, 100);
        assert!(estimator.sample(begin + 20 * MS, 500, false).unwrap().app_limited);
    }

    #[test]
    fn the_number_of_stored_batches_is_bounded() {
        let begin = Instant::now();
        let mut estimator = DeliveryRateEstimator::new(begin);
        for ms in 0..2 * MAX_BATCHES as u32 {
            estimator.on_sent(begin + ms * MS, 40);
        }
        assert_eq!(estimator.batches.len(), MAX_BATCHES);
    }
}
