//! The receiver's side of credit: how far ahead the sender may send.
//!
//! QUIC's flow control cannot bound the sealed stream: reading a stream grants QUIC credit, and every stream must be
//! read. So the receiver grants credit of its own, as the highest offset that the sender may send.
//!
//! The window follows a fixed rule:
//!
//! - **Bound.** What the relay lets a bridge hold. With a limit of the rate, also five times the product of that rate
//!   and the round-trip time, so that the limit holds on the network too.
//! - **Start.** An eighth of the bound, from 512 KiB to 4 MiB, or to the bytes that 280 Mbit/s deliver in a round trip
//!   if those are more: with 4 MiB, a lossy path of 360 ms has to wait for a second window.
//! - **Growth.** Fourfold per round while the delivery rate grows by a quarter, but at most to twice the steady window
//!   for that rate: a slow path does not fill the relay, and a fast one does not fill the memory of the sender.
//! - **Steady.** Five times the product of the highest delivery rate of the last 30 s and the round-trip time, from 1
//!   MiB to the bound. Bytes count as delivered once they are written, so a slow disk counts like a slow path. Where
//!   one packet in ten is lost, each leg holds four to five bandwidth-delay products behind gaps, and a smaller factor
//!   starves the path.
//! - **Shrinking.** The steady window is halved when data that has arrived but is not written exceeds half of it for
//!   two rounds: then the receiver's disk is the bottleneck. A slower path does not shrink it.
//!
//! In a packet simulation of 48 paths (8 to 300 Mbit/s, 10 to 360 ms, 0 to 10 % loss) this is within 1 % of unlimited
//! credit.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::wire::peer::{Credit, INITIAL_CREDIT};

/// The largest window, whatever a relay claims to allow: data that is granted and not drained may occupy this process's
/// memory. It fills 300 Mbit/s × 200 ms at a loss of one packet in ten, and 1 Gbit/s × 500 ms without loss.
pub(super) const MAX_WINDOW: u64 = 64 * MIB;

/// The receiver acknowledges at the latest after it has drained this many bytes. The sender may wait for that.
pub(super) const MAX_UNACKNOWLEDGED: u64 = MIB / 4;

/// The bounds of the first window. The lower one holds four records.
const MIN_START: u64 = 512 * 1024;
const MAX_START: u64 = 4 * MIB;

/// The largest first window of a long path, in bytes per millisecond of its round-trip time.
const START_PER_MS: u64 = 35_000;

/// The smallest window after the start, unless the relay allows less.
const MIN_WINDOW: u64 = MIB;

/// The steady window in bandwidth-delay products.
const STEADY_FACTOR: f64 = 5.0;

/// For how long a delivery rate counts, within a factor of two.
const RATE_MEMORY: Duration = Duration::from_secs(30);

/// The growing window in steady windows.
const MAX_GROWTH: u64 = 2;

/// The shortest round. A rate that is measured over less time says little.
const MIN_ROUND: Duration = Duration::from_millis(10);

/// The shortest round-trip time that counts. On a fast path it is far below the time in which the three processes are
/// scheduled, and a window of one round trip would starve them.
const MIN_ROUND_TRIP: Duration = Duration::from_millis(2);

/// The longest round. The sender's first answer may be late because other receivers are served first, or because an
/// attacker on the path delays it.
const MAX_ROUND: Duration = Duration::from_secs(1);

const MIB: u64 = 1024 * 1024;

/// Decides when to grant how much credit.
#[derive(Debug)]
pub struct ReceiveWindow {
    size: u64,
    max_size: u64,
    /// The highest offset granted so far.
    granted: u64,
    /// The highest offset acknowledged so far.
    acknowledged: u64,
    /// The round-trip time within [`MIN_ROUND_TRIP`] and [`MAX_ROUND`].
    round_trip: Duration,
    /// The time over which delivered bytes are counted: the round-trip time, at least [`MIN_ROUND`].
    round: Duration,
    round_start: Instant,
    /// The offset up to which bytes were drained at `round_start`.
    drained_at_start: u64,
    rate: DeliveryRate,
    phase: Phase,
    /// Rounds in a row at whose end more than half of the window waited to be written.
    backlogged_rounds: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The delivery rate still grows.
    Growth,
    Steady,
}

impl ReceiveWindow {
    /// Creates a window of at most `bridge_bytes` (the bound of the relay) for a path with round-trip time `rtt`.
    /// `rate_limit` is in bytes per second.
    pub fn new(bridge_bytes: u64, rate_limit: Option<NonZeroU64>, rtt: Duration, now: Instant) -> Self {
        let round_trip = rtt.clamp(MIN_ROUND_TRIP, MAX_ROUND);
        let limited = rate_limit.map_or(MAX_WINDOW, |rate| steady_size(rate.get() as f64, round_trip));
        let max_size = bridge_bytes.min(limited).clamp(INITIAL_CREDIT, MAX_WINDOW);
        Self {
            size: first_size(max_size, round_trip),
            max_size,
            granted: INITIAL_CREDIT,
            acknowledged: 0,
            round_trip,
            round: round_trip.max(MIN_ROUND),
            round_start: now,
            drained_at_start: 0,
            rate: DeliveryRate::new(now),
            phase: Phase::Growth,
            backlogged_rounds: 0,
        }
    }

    /// Returns the size that the window never exceeds, in bytes.
    #[cfg(test)]
    fn max_size(&self) -> u64 {
        self.max_size
    }

    /// Returns the highest offset granted so far. A sender that exceeds it violates the protocol.
    pub fn granted(&self) -> u64 {
        self.granted
    }

    /// Returns the latest credit once more. It changes nothing at the sender, and shows that this end is alive.
    pub fn repeat(&self) -> Credit {
        Credit { limit: self.granted, received: self.acknowledged }
    }

    /// Starts the growth anew, because content follows: the rate of a manifest says little.
    pub fn restart_growth(&mut self, now: Instant) {
        self.phase = Phase::Growth;
        self.rate = DeliveryRate::new(now);
    }

    /// Records that everything below offset `arrived` has been received, and everything below `drained` processed.
    /// Returns the credit to send, if any is due. The first call always returns some, unless the relay allows no more
    /// than [`INITIAL_CREDIT`].
    pub fn update(&mut self, arrived: u64, drained: u64, now: Instant) -> Option<Credit> {
        let elapsed = now.duration_since(self.round_start);
        if elapsed >= self.round {
            self.end_round(arrived, drained, elapsed, now);
            self.round_start = now;
            self.drained_at_start = drained;
        }
        let limit = drained + self.size;
        let is_grant_due = limit >= self.granted + self.size / 4;
        if !is_grant_due && drained < self.acknowledged + MAX_UNACKNOWLEDGED {
            return None;
        }
        self.granted = self.granted.max(limit);
        self.acknowledged = drained;
        Some(Credit { limit: self.granted, received: drained })
    }

    /// Adjusts the window to the round that ends now.
    fn end_round(&mut self, arrived: u64, drained: u64, elapsed: Duration, now: Instant) {
        let rate = (drained - self.drained_at_start) as f64 / elapsed.as_secs_f64();
        let best = self.rate.max();
        self.rate.note(rate, now);
        if arrived - drained > self.size / 2 {
            self.backlogged_rounds += 1;
        } else {
            self.backlogged_rounds = 0;
        }
        if self.backlogged_rounds >= 2 {
            self.backlogged_rounds = 0;
            self.phase = Phase::Steady;
            self.rate = DeliveryRate::new(now);
            self.size = (self.size / 2).max(MIN_WINDOW).min(self.max_size);
            return;
        }
        // Nothing has been requested yet, or the sender has a reason to pause: that says nothing about the path.
        if rate == 0.0 {
            return;
        }
        let steady = steady_size(self.rate.max(), self.round_trip);
        let size = match self.phase {
            Phase::Growth if rate >= 1.25 * best => self.size.max((4 * self.size).min(MAX_GROWTH * steady)),
            Phase::Growth => {
                self.phase = Phase::Steady;
                steady
            }
            Phase::Steady => self.size.max(steady),
        };
        self.size = size.max(MIN_WINDOW).min(self.max_size);
    }
}

/// Returns the size of the first window.
fn first_size(max_size: u64, round_trip: Duration) -> u64 {
    let max_start = MAX_START.max(START_PER_MS * round_trip.as_millis() as u64);
    (max_size / 8).clamp(MIN_START, max_start).min(max_size)
}

/// Returns the size of a steady window for this delivery rate in bytes per second.
fn steady_size(rate: f64, round_trip: Duration) -> u64 {
    (STEADY_FACTOR * rate * round_trip.as_secs_f64()) as u64
}

/// The highest delivery rate of the last [`RATE_MEMORY`], in bytes per second. It is kept in two halves, so a rate
/// counts for 15 to 30 s.
#[derive(Debug)]
struct DeliveryRate {
    current: f64,
    previous: f64,
    since: Instant,
}

impl DeliveryRate {
    fn new(now: Instant) -> Self {
        Self { current: 0.0, previous: 0.0, since: now }
    }

    fn note(&mut self, rate: f64, now: Instant) {
        if now.duration_since(self.since) >= RATE_MEMORY / 2 {
            (self.previous, self.current, self.since) = (self.current, 0.0, now);
        }
        self.current = self.current.max(rate);
    }

    fn max(&self) -> f64 {
        self.current.max(self.previous)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Delivers and drains at `rate` bytes per second for a second, in steps of a millisecond, and returns the window
    /// size.
    fn size_after(rate: u64, rtt_ms: u64, max_size: u64) -> u64 {
        let start = Instant::now();
        let mut window = ReceiveWindow::new(max_size, None, Duration::from_millis(rtt_ms), start);
        for ms in 1..=1_000 {
            let offset = rate * ms / 1_000;
            window.update(offset, offset, start + Duration::from_millis(ms));
        }
        window.size
    }

    #[test]
    fn the_first_window_is_an_eighth_of_the_bound_from_512_kib_to_4_mib() {
        for (bound, start) in
            [(64 * MIB, 4 * MIB), (16 * MIB, 2 * MIB), (MIB, MIB / 2), (MIB / 4, MIB / 4), (0, MIB / 4)]
        {
            let now = Instant::now();
            let mut window = ReceiveWindow::new(bound, None, MIN_ROUND, now);
            assert_eq!(window.granted(), INITIAL_CREDIT);
            let credit = window.update(0, 0, now);
            assert_eq!(credit.map(|credit| credit.limit), (start > INITIAL_CREDIT).then_some(start), "{bound}");
        }
    }

    #[test]
    fn the_first_window_of_a_long_path_is_larger() {
        let size = |bound, ms| first_size(bound, Duration::from_millis(ms));
        assert_eq!(size(64 * MIB, 100), 4 * MIB);
        assert_eq!(size(64 * MIB, 200), 7_000_000);
        assert_eq!(size(64 * MIB, 360), 8 * MIB);
        assert_eq!(size(8 * MIB, 360), MIB);
        assert_eq!(size(MIB / 4, 360), MIB / 4);
    }

    #[test]
    fn the_window_grows_fourfold_while_the_rate_grows() {
        let (start, round) = (Instant::now(), Duration::from_millis(100));
        let mut window = ReceiveWindow::new(64 * MIB, None, round, start);
        let (mut offset, mut sizes) = (0, Vec::new());
        for n in 1..=4u32 {
            offset += MIB << n; // doubles per round
            window.update(offset, offset, start + round * n);
            sizes.push(window.size / MIB);
        }
        assert_eq!(sizes, [16, 40, 64, 64]);
    }

    #[test]
    fn a_slow_path_does_not_fill_the_relay() {
        let bdp = 125_000 / 10; // 1 Mbit/s, 100 ms
        assert_eq!(size_after(125_000, 100, 64 * MIB), MIN_WINDOW.max(5 * bdp));
        let start = Instant::now();
        let mut window = ReceiveWindow::new(64 * MIB, None, Duration::from_millis(100), start);
        for n in 1..10u64 {
            window.update(n * bdp, n * bdp, start + Duration::from_millis(100 * n));
            assert!(window.granted() <= MAX_START + n * bdp, "{}", window.granted());
        }
    }

    #[test]
    fn the_steady_window_is_five_bandwidth_delay_products() {
        let bdp = 12_500_000 / 5; // 100 Mbit/s, 200 ms
        let size = size_after(12_500_000, 200, 64 * MIB);
        assert!(size >= 5 * bdp - MIB && size <= 16 * MIB, "{size}");
        assert_eq!(size_after(125_000_000, 200, 64 * MIB), 64 * MIB);
        assert_eq!(size_after(125_000_000, 200, 8 * MIB), 8 * MIB, "the window never exceeds the bound of the relay");
        assert_eq!(size_after(10_000_000_000, 1, u64::MAX), MAX_WINDOW);
    }

    #[test]
    fn a_rate_limit_bounds_the_window() {
        let (start, rtt) = (Instant::now(), Duration::from_millis(100));
        for (rate, size) in [(50_000, INITIAL_CREDIT), (10_000_000, 5_000_000), (1_000_000_000, MAX_WINDOW)] {
            let window = ReceiveWindow::new(u64::MAX, NonZeroU64::new(rate), rtt, start);
            assert_eq!(window.max_size(), size, "{rate}");
        }
    }

    #[test]
    fn a_slow_disk_does_not_let_the_window_grow() {
        let (start, round) = (Instant::now(), Duration::from_millis(10));
        let mut window = ReceiveWindow::new(64 * MIB, None, round, start);
        for n in 1..200u32 {
            let arrived = window.granted(); // the sender always uses up its credit
            window.update(arrived, u64::from(n) * 100_000, start + round * n);
            assert!(window.granted() <= u64::from(n) * 100_000 + MAX_START, "{}", window.granted());
        }
    }

    #[test]
    fn a_pause_does_not_change_the_window() {
        let (start, round) = (Instant::now(), Duration::from_millis(40));
        let mut window = ReceiveWindow::new(64 * MIB, None, round, start);
        window.update(1_000, 1_000, start + round);
        let size = window.size;
        for n in 2..1_000u32 {
            window.update(1_000, 1_000, start + round * n);
        }
        assert_eq!(window.size, size);
    }

    #[test]
    fn the_window_shrinks_to_the_rate_of_a_slow_disk_and_recovers() {
        let (start, round) = (Instant::now(), Duration::from_millis(10));
        let mut window = ReceiveWindow::new(64 * MIB, None, round, start);
        let (mut arrived, mut drained, mut n) = (0, 0, 0);
        for _ in 0..200 {
            n += 1;
            drained += 10_000;
            arrived = window.granted(); // the sender always uses up its credit
            window.update(arrived, drained, start + round * n);
        }
        assert_eq!(window.size, MIN_WINDOW);
        for _ in 0..200 {
            n += 1;
            (arrived, drained) = (arrived + 10 * MIB, arrived + 10 * MIB);
            window.update(arrived, drained, start + round * n);
        }
        assert!(window.size >= 50 * MIB, "{}", window.size);
    }

    #[test]
    fn a_delayed_handshake_does_not_prolong_rounds_without_limit() {
        let start = Instant::now();
        let mut window = ReceiveWindow::new(32 * MIB, None, Duration::from_secs(40), start);
        window.update(2 * MIB, 2 * MIB, start + Duration::from_secs(2));
        assert_eq!(window.size, 10 * MIB, "the round was cut to a second");
    }

    /// Arrivals that were recorded in virtual time: milliseconds, arrived and drained bytes.
    ///
    /// 300 Mbit/s, a round-trip time of 200 ms and a loss of one packet in ten on each leg.
    const LOSSY: [(u64, u64, u64); 20] = [
        (0, 0, 0),
        (710, 123_064, 123_060),
        (1_043, 491_779, 491_775),
        (1_281, 1_229_209, 1_229_205),
        (1_424, 3_810_214, 3_810_210),
        (1_831, 4_301_834, 4_301_830),
        (2_112, 5_039_264, 5_039_260),
        (2_245, 6_759_934, 6_759_930),
        (2_383, 9_095_129, 9_095_125),
        (2_584, 15_240_379, 15_240_375),
        (2_710, 19_664_959, 19_664_955),
        (2_838, 20_156_579, 20_156_575),
        (2_993, 25_441_494, 25_441_490),
        (3_126, 30_726_409, 30_357_690),
        (3_282, 33_799_034, 33_799_030),
        (3_412, 40_927_524, 40_927_520),
        (3_577, 43_385_624, 42_894_000),
        (3_808, 50_145_399, 50_145_395),
        (4_062, 58_871_654, 55_553_215),
        (4_545, 60_012_417, 60_012_417),
    ];

    /// 50 Mbit/s and a round-trip time of 60 ms. The receiver's host is paused after the sixth line, for 3 s.
    const STALLED: [(u64, u64, u64); 14] = [
        (0, 0, 0),
        (168, 245_969, 245_965),
        (317, 983_399, 983_395),
        (503, 1_843_734, 1_843_730),
        (655, 2_826_974, 2_826_970),
        (803, 3_687_309, 3_687_305),
        (3_899, 4_301_834, 4_301_830),
        (4_048, 4_793_454, 4_793_450),
        (4_199, 5_653_789, 5_653_785),
        (4_365, 6_514_124, 6_514_120),
        (4_529, 7_497_364, 7_497_360),
        (4_697, 8_480_604, 8_480_600),
        (4_845, 9_340_939, 9_340_935),
        (5_009, 10_324_179, 10_324_175),
    ];

    /// Replays recorded arrivals and returns the size of the window after each.
    fn replay(recorded: &[(u64, u64, u64)], rtt_ms: u64, bound: u64) -> Vec<u64> {
        let start = Instant::now();
        let mut window = ReceiveWindow::new(bound, None, Duration::from_millis(rtt_ms), start);
        let replayed = recorded.iter().map(|&(ms, arrived, drained)| {
            window.update(arrived, drained, start + Duration::from_millis(ms));
            assert!(window.granted() >= drained + 128 * 1024, "less than a record after {ms} ms");
            assert!(window.granted() <= drained + bound, "more than the bound after {ms} ms");
            window.size
        });
        replayed.collect()
    }

    #[test]
    fn the_window_does_not_limit_a_recorded_lossy_download() {
        let sizes = replay(&LOSSY, 400, 64 * MIB);
        let bdp = 15_000_000; // 300 Mbit/s × 400 ms, the whole path
        assert!(sizes.iter().rev().take(8).all(|size| *size >= 2 * bdp), "{sizes:?}");
        assert!(replay(&LOSSY, 400, MIB).iter().all(|size| *size <= MIB));
    }

    #[test]
    fn a_recorded_stall_does_not_shrink_the_window() {
        let sizes = replay(&STALLED, 60, 64 * MIB);
        let before = sizes[5];
        assert!(before >= 5 * 375_000 * 9 / 10, "about five times 50 Mbit/s × 60 ms: {sizes:?}");
        assert!(sizes[6..].iter().all(|size| *size >= before), "{sizes:?}");
    }

    proptest! {
        #[test]
        fn credit_never_falls_and_the_window_keeps_its_bounds(
            bound in 0..u64::MAX,
            rtt_ms in 0..100_000u64,
            steps in prop::collection::vec((0..5_000u64, 0.0..=1.0f64, 0.0..=1.0f64), 0..200),
        ) {
            let start = Instant::now();
            let mut window = ReceiveWindow::new(bound, None, Duration::from_millis(rtt_ms), start);
            let (mut now, mut arrived, mut drained, mut last) = (start, 0, 0, INITIAL_CREDIT);
            for (ms, arriving, draining) in steps {
                now += Duration::from_millis(ms);
                arrived += ((window.granted() - arrived) as f64 * arriving) as u64;
                drained += ((arrived - drained) as f64 * draining) as u64;
                if let Some(credit) = window.update(arrived, drained, now) {
                    prop_assert!(credit.limit >= last && credit.limit == window.granted());
                    prop_assert_eq!(credit.received, drained);
                    last = credit.limit;
                }
                prop_assert!(window.size <= window.max_size());
                prop_assert!(window.size >= MIN_START.min(window.max_size()));
                prop_assert!(window.granted() <= drained.max(INITIAL_CREDIT) + MAX_WINDOW);
            }
            // Whatever happened, a receiver that has drained everything grants at least one record more.
            now += Duration::from_secs(100);
            window.update(arrived, arrived, now);
            prop_assert!(window.granted() >= arrived + 128 * 1024);
        }
    }
}
