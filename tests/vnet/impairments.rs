//! The random impairments of a link: loss, jitter, reordering and duplication.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::link_config::LinkConfig;

/// The random numbers of one link. It draws the same numbers for each packet whatever the configuration is, so that a
/// change of the configuration does not change the outcome of later packets.
#[derive(Debug)]
pub(super) struct Impairments {
    numbers: StdRng,
    /// Whether [`BurstLoss`](super::link_config::BurstLoss) is in its bad state.
    in_burst: bool,
}

/// The outcome of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PacketOutcome {
    /// The packet is lost.
    Lost,
    /// The packet arrives.
    Arrives {
        /// Jitter plus the delay of a reordered packet.
        extra_delay: Duration,
        /// Whether later packets may overtake it.
        reordered: bool,
        /// Whether it arrives twice.
        duplicated: bool,
    },
}

impl Impairments {
    /// Creates the impairments of link number `link` in a network with this seed.
    pub(super) fn new(seed: u64, link: usize) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(link as u64).to_le_bytes());
        Self { numbers: StdRng::from_seed(key), in_burst: false }
    }

    /// Draws the outcome of the next packet.
    pub(super) fn draw(&mut self, config: &LinkConfig) -> PacketOutcome {
        let [loss, transition, jitter, reordering, duplication] = self.numbers.random::<[f64; 5]>();
        self.in_burst = config.bursts.is_some_and(|bursts| {
            let end = 1.0 / bursts.mean_length.max(1.0);
            let begin = end * bursts.share / (1.0 - bursts.share);
            if self.in_burst { transition >= end } else { transition < begin }
        });
        if self.in_burst || loss < config.loss {
            return PacketOutcome::Lost;
        }
        let reordered = config.reordering.filter(|r| reordering < r.share).map(|r| r.delay);
        PacketOutcome::Arrives {
            extra_delay: config.jitter.mul_f64(jitter) + reordered.unwrap_or_default(),
            reordered: reordered.is_some(),
            duplicated: duplication < config.duplication,
        }
    }
}
