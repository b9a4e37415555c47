//! Decides whether compression makes a download faster.

use std::time::Duration;

use tokio::time::Instant;

use super::content_record::CompressionCost;

/// The time between two decisions. Also the time that a download takes to switch compression on.
const STEP: Duration = Duration::from_millis(200);

/// The speed of compression, in bytes per second, until it is known, and the highest that counts. Source code reaches
/// 440 MB/s on one core, logs 840 MB/s, and zeros 22 GB/s.
const MAX_SPEED: f64 = 400e6;

/// Compression is switched on while the connection, and all connections of the share together, transmit less than one
/// part in this many of what one core compresses. Otherwise the processor would soon be the bottleneck: ten downloads
/// over loopback took a third longer with compression.
const MARGIN: f64 = 3.0;

/// How long compression stays switched on at least. It doubles each time compression turns out to be the bottleneck.
const MIN_TRIAL: Duration = Duration::from_secs(1);

/// The bound of that time. A connection that has become faster is noticed after this time at the latest.
const MAX_TRIAL: Duration = Duration::from_secs(120);

/// Decides whether the records of a download are compressed.
///
/// A download alternates between two waits: for the next record from the reader, which compresses, and for the
/// connection to take it. The longer wait is the one for the bottleneck.
/// - While compression is off, it is switched on if the connection is the bottleneck, and slow.
/// - While it is on, the connection's true rate is unknown unless the connection is the bottleneck. If compression is,
///   it is switched off for at least one [`STEP`], which measures the connection again.
pub(super) struct CompressionPolicy {
    is_on: bool,
    /// When compression was last switched on.
    on_since: Instant,
    /// The least time until it may be switched off.
    trial: Duration,
    /// Bytes per second that compression processes.
    speed: f64,
    step_start: Instant,
    /// The bytes that all downloads of the share had sent at `step_start`.
    step_offset: u64,
    /// When the last record was sent.
    sent_at: Instant,
    /// What has happened since `step_start`.
    step: Step,
}

#[derive(Default)]
struct Step {
    waited_for_reader: Duration,
    compressed_bytes: usize,
    compressing: Duration,
}

impl CompressionPolicy {
    /// Creates the policy of a download whose content begins now. All downloads of its share have sent `share_sent`
    /// bytes so far.
    pub(super) fn new(now: Instant, share_sent: u64) -> Self {
        Self {
            is_on: false,
            on_since: now,
            trial: MIN_TRIAL,
            speed: MAX_SPEED,
            step_start: now,
            step_offset: share_sent,
            sent_at: now,
            step: Step::default(),
        }
    }

    /// Records that the reader has delivered a record.
    pub(super) fn note_filled(&mut self, now: Instant, compression: Option<CompressionCost>) {
        self.step.waited_for_reader += now - self.sent_at;
        if let Some(CompressionCost { bytes, time }) = compression {
            self.step.compressed_bytes += bytes;
            self.step.compressing += time;
        }
    }

    /// Records that the connection has taken the record, and that all downloads of the share have sent `share_sent`
    /// bytes. Returns whether the next records are compressed.
    pub(super) fn note_sent(&mut self, now: Instant, share_sent: u64) -> bool {
        self.sent_at = now;
        let elapsed = now - self.step_start;
        if elapsed >= STEP {
            let rate = share_sent.saturating_sub(self.step_offset) as f64 / elapsed.as_secs_f64();
            self.decide(now, elapsed, rate);
            (self.step_start, self.step_offset, self.step) = (now, share_sent, Step::default());
        }
        self.is_on
    }

    fn decide(&mut self, now: Instant, elapsed: Duration, rate: f64) {
        let Step { waited_for_reader, compressed_bytes, compressing } = self.step;
        let waits_for_reader = waited_for_reader > elapsed / 2;
        if !compressing.is_zero() {
            let measured = compressed_bytes as f64 / compressing.as_secs_f64();
            self.speed = (self.speed + measured.min(MAX_SPEED)) / 2.0;
        }
        if !self.is_on {
            if !waits_for_reader && rate < self.speed / MARGIN {
                (self.is_on, self.on_since) = (true, now);
            }
        } else if waits_for_reader && compressing > elapsed / 2 && now - self.on_since >= self.trial {
            self.is_on = false;
            self.trial = MAX_TRIAL.min(2 * self.trial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Simulates a download from records of 100 kB.
    struct Simulation {
        policy: CompressionPolicy,
        now: Instant,
        is_on: bool,
        /// The connection's rate in bytes per second.
        connection: f64,
        /// The speed of compression in bytes per second.
        compression: f64,
        /// The factor by which content becomes shorter; 1 for random content, whose compression is not tried.
        ratio: f64,
        /// The time that the reader takes for a record.
        reading: Duration,
        /// Downloads of the share that are like this one.
        downloads: f64,
        share_sent: f64,
    }

    impl Simulation {
        fn new(connection: f64, ratio: f64) -> Self {
            let now = Instant::now();
            let policy = CompressionPolicy::new(now, 0);
            Self {
                policy,
                now,
                is_on: false,
                connection,
                compression: 400e6,
                ratio,
                reading: MS / 10,
                downloads: 1.0,
                share_sent: 0.0,
            }
        }

        /// Runs for this time. Returns the share of the records that were compressed.
        fn run(&mut self, time: Duration) -> f64 {
            const RECORD: usize = 100_000;
            let end = self.now + time;
            let (mut records, mut compressed) = (0.0, 0.0);
            while self.now < end {
                let is_shorter = self.is_on && self.ratio > 1.0;
                let length = RECORD as f64 / if is_shorter { self.ratio } else { 1.0 };
                let sending = Duration::from_secs_f64(length / self.connection);
                let cost = is_shorter.then(|| CompressionCost {
                    bytes: RECORD,
                    time: Duration::from_secs_f64(RECORD as f64 / self.compression),
                });
                // The reader has filled the record while the previous one was sent.
                let filling = self.reading + cost.map_or(Duration::ZERO, |cost| cost.time);
                self.now += filling.saturating_sub(sending);
                self.policy.note_filled(self.now, cost);
                self.now += sending;
                self.share_sent += length * self.downloads;
                self.is_on = self.policy.note_sent(self.now, self.share_sent as u64);
                records += 1.0;
                compressed += f64::from(u8::from(is_shorter));
            }
            compressed / records
        }
    }

    #[test]
    fn a_slow_connection_switches_compression_on_for_good() {
        for rate in [125e3, 2.5e6, 12.5e6, 100e6] {
            let mut slow = Simulation::new(rate, 5.0);
            slow.run(1_000 * MS);
            assert!(slow.run(300_000 * MS) > 0.999, "{rate}");
        }
    }

    #[test]
    fn a_fast_connection_or_a_slow_disk_leaves_compression_off() {
        assert_eq!(Simulation::new(600e6, 5.0).run(60_000 * MS), 0.0);
        let mut slow_disk = Simulation { reading: 100 * MS, ..Simulation::new(50e6, 5.0) };
        assert_eq!(slow_disk.run(60_000 * MS), 0.0);
    }

    #[test]
    fn many_downloads_that_are_fast_together_leave_compression_off() {
        let mut many = Simulation { downloads: 10.0, ..Simulation::new(60e6, 5.0) };
        assert_eq!(many.run(60_000 * MS), 0.0);
    }

    /// Content of zeros arrives faster than any connection transmits it, and the disk is the bottleneck.
    #[test]
    fn compression_that_is_not_the_bottleneck_stays_on() {
        let mut zeros = Simulation { compression: 20e9, ..Simulation::new(2.5e6, 250.0) };
        zeros.run(1_000 * MS);
        assert_eq!(zeros.run(60_000 * MS), 1.0);
    }

    #[test]
    fn a_connection_that_becomes_faster_switches_compression_off() {
        let mut growing = Simulation::new(5e6, 5.0);
        growing.run(10_000 * MS);
        growing.connection = 1e9;
        growing.run(5_000 * MS);
        assert_eq!(growing.run(60_000 * MS), 0.0);
        growing.connection = 5e6;
        growing.run(1_000 * MS);
        assert_eq!(growing.run(60_000 * MS), 1.0);
    }

    /// The trials without compression become rare.
    #[test]
    fn slow_compression_that_still_helps_stays_on_most_of_the_time() {
        let mut slow_machine = Simulation { compression: 40e6, ..Simulation::new(10e6, 20.0) };
        slow_machine.run(10_000 * MS);
        assert!(slow_machine.run(600_000 * MS) > 0.99);
    }
}
