//! The configuration of an emulated link.

use std::time::Duration;

/// Bytes of IPv4 and UDP headers around a datagram's payload. All sizes on a link include them.
pub(crate) const IP_UDP_HEADERS: u64 = 28;

/// Stream bytes per byte on the link: of a packet of 1,480 bytes, 28 are IP and UDP headers and 37 are QUIC's.
pub(crate) const STREAM_EFFICIENCY: f64 = (1480.0 - 28.0 - 37.0) / 1480.0;

/// The MTU of Ethernet, headers included: 1,472 bytes of payload.
const ETHERNET: u64 = 1500;

/// Converts Mbit/s to bytes per second.
pub(crate) const fn mbit(rate: u64) -> u64 {
    rate * 1_000_000 / 8
}

/// The configuration of an [`EmulatedLink`](super::EmulatedLink). It may change while packets are on the link.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LinkConfig {
    /// The rate in bytes per second. `None` is an infinite rate.
    pub(crate) rate: Option<u64>,
    /// The time from the last byte sent to the last byte received.
    pub(crate) delay: Duration,
    /// The length of the queue in bytes, the packet in transmission included. A packet that exceeds it is dropped,
    /// unless the queue is empty.
    pub(crate) queue: u64,
    /// The share of packets that are lost, each independently. Loss comes after the queue, so that lost packets use up
    /// the rate.
    pub(crate) loss: f64,
    /// Loss in bursts, in addition to the independent loss.
    pub(crate) bursts: Option<BurstLoss>,
    /// The upper bound of the random delay of each packet. Jitter does not reorder packets.
    pub(crate) jitter: Duration,
    /// Packets that later ones overtake.
    pub(crate) reordering: Option<Reordering>,
    /// The share of packets that arrive twice.
    pub(crate) duplication: f64,
    /// A policer before the queue.
    pub(crate) policer: Option<Policer>,
    /// The longest packet. Longer ones are dropped, because quinn forbids fragmentation.
    pub(crate) mtu: u64,
    /// Whether the link drops new packets and the queued ones. Packets after the queue still arrive.
    pub(crate) cut: bool,
}

/// Loss in bursts: the Gilbert-Elliott model in which the bad state loses every packet and the good state none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BurstLoss {
    /// The share of packets that are lost, in the long run.
    pub(crate) share: f64,
    /// The mean length of a burst, in packets.
    pub(crate) mean_length: f64,
}

/// Reordering by delaying a share of the packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reordering {
    /// The share of packets that are delayed.
    pub(crate) share: f64,
    /// Their additional delay.
    pub(crate) delay: Duration,
}

/// A token bucket that is full at first. It drops packets for which it has too few tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Policer {
    /// Tokens per second; a token is good for one byte.
    pub(crate) rate: u64,
    /// The size of the bucket.
    pub(crate) burst: u64,
}

impl LinkConfig {
    /// A link with an infinite rate and no delay that loses nothing.
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

    /// One direction of a path with `rate` bytes per second and this minimum round-trip time. The queue holds one
    /// bandwidth-delay product, and at least 16 full packets.
    pub(crate) fn new(rate: u64, round_trip: Duration) -> Self {
        let product = (rate as f64 * round_trip.as_secs_f64()) as u64;
        Self { rate: Some(rate), delay: round_trip / 2, queue: product.max(16 * ETHERNET), ..Self::ideal() }
    }

    /// Sets the length of the queue in bytes.
    pub(crate) fn queue(self, bytes: u64) -> Self {
        Self { queue: bytes, ..self }
    }

    /// Sets the share of packets that are lost.
    pub(crate) fn loss(self, share: f64) -> Self {
        Self { loss: share, ..self }
    }

    /// Sets the share of packets that are lost in bursts, and the mean length of a burst in packets.
    pub(crate) fn bursts(self, share: f64, mean_length: f64) -> Self {
        Self { bursts: Some(BurstLoss { share, mean_length }), ..self }
    }

    /// Sets the maximum jitter.
    pub(crate) fn jitter(self, max: Duration) -> Self {
        Self { jitter: max, ..self }
    }

    /// Delays this share of packets, so that later ones overtake them.
    pub(crate) fn reordering(self, share: f64, delay: Duration) -> Self {
        Self { reordering: Some(Reordering { share, delay }), ..self }
    }

    /// Sets the share of packets that arrive twice.
    pub(crate) fn duplication(self, share: f64) -> Self {
        Self { duplication: share, ..self }
    }

    /// Adds a policer of `rate` bytes per second with a bucket of `burst` bytes.
    pub(crate) fn policer(self, rate: u64, burst: u64) -> Self {
        Self { policer: Some(Policer { rate, burst }), ..self }
    }

    /// Sets the longest packet, headers included.
    pub(crate) fn mtu(self, bytes: u64) -> Self {
        Self { mtu: bytes, ..self }
    }

    /// Returns the share of packets that arrive, in the long run.
    pub(crate) fn delivery_ratio(&self) -> f64 {
        1.0 - self.loss - self.bursts.map_or(0.0, |bursts| bursts.share)
    }

    /// Returns the highest goodput of a stream, in bytes per second.
    pub(crate) fn max_goodput(&self) -> f64 {
        let rate = self.policer.map_or(self.rate.unwrap(), |policer| policer.rate);
        rate as f64 * STREAM_EFFICIENCY * self.delivery_ratio()
    }

    /// Returns how long the transmission of a packet of `size` bytes takes.
    pub(super) fn transmission_time(&self, size: u64) -> Duration {
        match self.rate {
            Some(rate) => Duration::from_nanos((u128::from(size) * 1_000_000_000 / u128::from(rate.max(1))) as u64),
            None => Duration::ZERO,
        }
    }
}
