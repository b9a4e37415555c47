//! The round trip of the line itself, without what waits in queues.
//!
//! After our own queue is drained, what is left are the line, its jitter, and whatever others keep in the queue. The
//! lower quartile of a drain's round trips is its *floor*: a minimum would take the luckiest packet of a line with jitter
//! for its length. The *base* is the lowest floor of the last half minute.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Floors count for so long. Shorter, and somebody else's queue becomes the base; longer, and a route that has become
/// longer stays unbelieved.
const REMEMBERED: Duration = Duration::from_secs(30);

/// The base round trip.
#[derive(Debug, Clone)]
pub(super) struct Base {
    floors: VecDeque<Floor>,
    /// Until there is a floor: the shortest round trip.
    shortest: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Floor {
    at: Instant,
    /// The lower quartile.
    rtt: Duration,
    /// The mean.
    typical: Duration,
}

impl Base {
    pub(super) fn new() -> Self {
        Self { floors: VecDeque::new(), shortest: Duration::MAX }
    }

    /// A round trip that was seen.
    pub(super) fn saw(&mut self, rtt: Duration) {
        self.shortest = self.shortest.min(rtt);
    }

    /// The base; `None` before the first round trip.
    pub(super) fn get(&self) -> Option<Duration> {
        self.lowest().map(|floor| floor.rtt).or_else(|| self.shortest())
    }

    /// What a packet takes on average where no queue stands: with the rate, it makes what the line holds (Little's law).
    pub(super) fn typical(&self) -> Option<Duration> {
        self.lowest().map(|floor| floor.typical).or_else(|| self.shortest())
    }

    /// By how much packets differ on a line without a queue.
    pub(super) fn spread(&self) -> Duration {
        self.lowest().map_or(Duration::ZERO, |floor| floor.typical - floor.rtt)
    }

    /// Forgets all floors but the last.
    pub(super) fn restart(&mut self) {
        self.floors.drain(..self.floors.len().saturating_sub(1));
    }

    fn lowest(&self) -> Option<&Floor> {
        self.floors.iter().min_by_key(|floor| floor.rtt)
    }

    fn shortest(&self) -> Option<Duration> {
        Some(self.shortest).filter(|shortest| *shortest < Duration::MAX)
    }

    /// The round trips of a drain that took effect; gives its floor.
    pub(super) fn drained(&mut self, now: Instant, rtts: &mut [Duration]) -> Option<Duration> {
        let floor = floor_of(rtts)?;
        let mean = rtts.iter().sum::<Duration>() / rtts.len() as u32;
        let typical = mean.clamp(floor, (floor * 2).max(floor + Duration::from_millis(10)));
        self.floors.push_back(Floor { at: now, rtt: floor, typical });
        while self.floors.len() > 1 && now.saturating_duration_since(self.floors[0].at) > REMEMBERED {
            self.floors.pop_front();
        }
        Some(floor)
    }
}

/// The lower quartile, not far above the minimum: more than half of it, and more than 5 ms, is no jitter.
fn floor_of(rtts: &mut [Duration]) -> Option<Duration> {
    rtts.sort_unstable();
    let (least, quartile) = (*rtts.first()?, rtts[rtts.len() / 4]);
    Some(quartile.min((least * 3 / 2).max(least + Duration::from_millis(5))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn one_lucky_packet_is_not_the_length_of_the_line() {
        let mut base = Base::new();
        let mut rtts: Vec<Duration> = (0..100).map(|i| 25 * MS + i % 50 * MS / 10).collect();
        rtts.push(20 * MS);
        let floor = base.drained(Instant::now(), &mut rtts).unwrap();
        assert!((25 * MS..27 * MS).contains(&floor), "{floor:?}");
        assert!(base.typical().unwrap() > 27 * MS && base.spread() > MS, "{base:?}");
    }

    #[test]
    fn a_floor_is_remembered_for_half_a_minute() {
        let begin = Instant::now();
        let mut base = Base::new();
        base.saw(50 * MS);
        assert_eq!(base.get(), Some(50 * MS));
        for (seconds, rtt) in [(0, 50), (10, 90), (20, 80), (29, 95)] {
            base.drained(begin + Duration::from_secs(seconds), &mut [rtt * MS]);
            assert_eq!(base.get(), Some(50 * MS), "{seconds} s");
        }
        base.drained(begin + Duration::from_secs(31), &mut [99 * MS]);
        assert_eq!(base.get(), Some(80 * MS));
        base.drained(begin + Duration::from_secs(3_600), &mut [99 * MS]);
        assert_eq!(base.get(), Some(99 * MS), "the last one stays");
    }
}
