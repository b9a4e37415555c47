//! What a pipe does to packets.

use std::time::Duration;

/// Bytes of IPv4 and UDP headers around a datagram's payload; every size here but a datagram's includes them.
pub(crate) const HEADERS: u64 = 28;

/// Stream bytes in a byte on the line: of 1,480 with IP and UDP headers, 37 are QUIC's.
pub(crate) const EFFICIENCY: f64 = (1480.0 - 28.0 - 37.0) / 1480.0;

/// What Ethernet carries, headers included: 1,472 bytes of payload.
const ETHERNET: u64 = 1500;

/// Bytes a second of so many Mbit/s.
pub(crate) const fn mbit(rate: u64) -> u64 {
    rate * 1_000_000 / 8
}

/// What a pipe does to packets. A plain value: a [`Pipe`](super::Pipe) has one, and it may change at any time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Bytes a second; `None` takes no time.
    pub(crate) rate: Option<u64>,
    /// From the last byte sent to the last byte received.
    pub(crate) delay: Duration,
    /// Bytes that wait or are being sent; a packet that would make them more is dropped. One packet always fits.
    pub(crate) queue: u64,
    /// The share of packets that are lost, each independently, behind the queue: they have used up the rate.
    pub(crate) loss: f64,
    /// Loss in bursts, beside the independent one.
    pub(crate) bursts: Option<Bursts>,
    /// Each packet takes longer by a random part of this, without overtaking another.
    pub(crate) jitter: Duration,
    /// Packets that are overtaken by others.
    pub(crate) reordering: Option<Reordering>,
    /// The share of packets that arrive twice.
    pub(crate) duplication: f64,
    /// Drops what comes faster than a contract allows, in front of the queue.
    pub(crate) policer: Option<Policer>,
    /// A longer packet is dropped: quinn forbids to fragment it.
    pub(crate) mtu: u64,
    /// Nothing gets into the pipe, and nothing leaves its queue. What is already on its way arrives.
    pub(crate) cut: bool,
}

/// Loss in bursts: the model of Gilbert and Elliott, where every packet is lost in the bad state and none in the good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bursts {
    /// The share of packets that are lost, in the long run.
    pub(crate) share: f64,
    /// The mean length of a burst, in packets.
    pub(crate) length: f64,
}

/// A share of packets that takes longer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reordering {
    /// The share.
    pub(crate) share: f64,
    /// By how much.
    pub(crate) by: Duration,
}

/// A token bucket, full at first. What finds too few tokens is dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Policer {
    /// Tokens a second, one a byte.
    pub(crate) rate: u64,
    /// Tokens that it holds.
    pub(crate) burst: u64,
}

impl Line {
    /// A line that takes no time and loses nothing.
    pub(crate) fn ideal() -> Self {
        Self {
            rate: None,
            delay: Duration::ZERO,
            queue: u64::MAX,
            loss: 0.0,
            bursts: None,
            jitter: Duration::ZERO,
            reordering: None,
            duplication: 0.0,
            policer: None,
            mtu: ETHERNET,
            cut: false,
        }
    }

    /// One direction of a line of `rate` bytes a second whose round trip, with nothing in the queues, takes
    /// `round_trip`. Its queue holds one bandwidth-delay product, 16 long packets at least.
    pub(crate) fn new(rate: u64, round_trip: Duration) -> Self {
        let product = (rate as f64 * round_trip.as_secs_f64()) as u64;
        Self { rate: Some(rate), delay: round_trip / 2, queue: product.max(16 * ETHERNET), ..Self::ideal() }
    }

    /// Another length of the queue, in bytes.
    pub(crate) fn queue(self, bytes: u64) -> Self {
        Self { queue: bytes, ..self }
    }

    /// Loses this share of packets.
    pub(crate) fn loss(self, share: f64) -> Self {
        Self { loss: share, ..self }
    }

    /// Loses this share of packets in bursts of so many packets on average.
    pub(crate) fn bursts(self, share: f64, length: f64) -> Self {
        Self { bursts: Some(Bursts { share, length }), ..self }
    }

    /// Delays each packet by up to this much.
    pub(crate) fn jitter(self, most: Duration) -> Self {
        Self { jitter: most, ..self }
    }

    /// Delays this share of packets by so much, and lets others overtake them.
    pub(crate) fn reordering(self, share: f64, by: Duration) -> Self {
        Self { reordering: Some(Reordering { share, by }), ..self }
    }

    /// Delivers this share of packets twice.
    pub(crate) fn duplication(self, share: f64) -> Self {
        Self { duplication: share, ..self }
    }

    /// Drops what exceeds `rate` bytes a second by more than `burst` bytes.
    pub(crate) fn policer(self, rate: u64, burst: u64) -> Self {
        Self { policer: Some(Policer { rate, burst }), ..self }
    }

    /// Drops packets longer than this, headers included.
    pub(crate) fn mtu(self, bytes: u64) -> Self {
        Self { mtu: bytes, ..self }
    }

    /// The share of packets that get through, in the long run.
    pub(crate) fn kept(&self) -> f64 {
        1.0 - self.loss - self.bursts.map_or(0.0, |bursts| bursts.share)
    }

    /// Bytes of content a second that a stream can get through.
    pub(crate) fn limit(&self) -> f64 {
        let rate = self.policer.map_or(self.rate.unwrap(), |policer| policer.rate);
        rate as f64 * EFFICIENCY * self.kept()
    }

    /// How long a packet of this size occupies the line.
    pub(super) fn time_for(&self, size: u64) -> Duration {
        match self.rate {
            Some(rate) => Duration::from_nanos((u128::from(size) * 1_000_000_000 / u128::from(rate.max(1))) as u64),
            None => Duration::ZERO,
        }
    }
}
