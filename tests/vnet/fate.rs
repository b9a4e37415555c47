//! What chance does to a packet.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::line::Line;

/// The chance of one pipe. It draws the same for every packet, whatever the line does with it: a line that changes
/// leaves the fates of later packets as they were.
#[derive(Debug)]
pub(super) struct Chance {
    numbers: StdRng,
    /// In the bad state of [`Bursts`](super::line::Bursts).
    bad: bool,
}

/// What becomes of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConflictOutcome {
    /// It is lost.
    ConnectionLost,
    /// It takes longer by so much.
    Arrives {
        /// Jitter, and the delay that lets others overtake it.
        late: Duration,
        /// Others may overtake it.
        overtaken: bool,
        /// It arrives twice.
        twice: bool,
    },
}

impl Chance {
    /// The chance of the pipe with this number in a network with this seed.
    pub(super) fn new(seed: u64, pipe: usize) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(pipe as u64).to_le_bytes());
        Self { numbers: StdRng::from_seed(key), bad: false }
    }

    /// The next packet's fate.
    pub(super) fn draw(&mut self, line: &Line) -> ConflictOutcome {
        let [loss, turn, jitter, reordering, duplication] = self.numbers.random::<[f64; 5]>();
        self.bad = line.bursts.is_some_and(|bursts| {
            let ends = 1.0 / bursts.length.max(1.0);
            let begins = ends * bursts.share / (1.0 - bursts.share);
            if self.bad { turn >= ends } else { turn < begins }
        });
        if self.bad || loss < line.loss {
            return ConflictOutcome::ConnectionLost;
        }
        let by = line.reordering.filter(|r| reordering < r.share).map(|r| r.by);
        ConflictOutcome::Arrives {
            late: line.jitter.mul_f64(jitter) + by.unwrap_or_default(),
            overtaken: by.is_some(),
            twice: duplication < line.duplication,
        }
    }
}
