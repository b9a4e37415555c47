//! One transfer over two equal legs, in virtual time.

use std::{cell::Cell, slice::from_ref, time::Duration};

use qshare::internals::{
    net::{CongestionControl, TransportOptions},
    relay::RelayConfig,
};
use tokio::time::{sleep, timeout};

use crate::{
    grid_cell::{LossPattern, TransferResult},
    vnet::{EmulatedLink, LinkConfig, Network, STREAM_EFFICIENCY, Scenario, mbit, run_in_virtual_time},
};

/// A transfer that takes this many times the minimum is stopped.
pub(super) const TIME_LIMIT: f64 = 4.0;

/// The interval at which queues are sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(5);

/// Measures a transfer; `rate` is in Mbit/s, `round_trip` in milliseconds as the sum of both legs. Returns `None` if it
/// does not complete within [`TIME_LIMIT`].
pub(super) fn transfer(
    rate: u64,
    round_trip: u64,
    loss: LossPattern,
    congestion: CongestionControl,
) -> Option<TransferResult> {
    run_in_virtual_time(1, async |network: Network| {
        let clean = LinkConfig::new(mbit(rate), Duration::from_millis(round_trip) / 2);
        let lossy = match loss.burst {
            Some(mean_length) => clean.bursts(loss.fraction, mean_length),
            None => clean.loss(loss.fraction),
        };
        let options = TransportOptions { congestion, ..TransportOptions::default() };
        let scenario = Scenario::with_transport(&network, RelayConfig::default(), options);
        let file = scenario.scratch.file("file", content_length(rate, round_trip) as usize);
        // The loss is the same in both directions of a leg.
        let (up, down) = (network.path(&lossy), network.path(&lossy));
        let limit = lossy.max_goodput();
        let time_limit = Duration::from_secs_f64(content_length(rate, round_trip) as f64 / limit * TIME_LIMIT);
        let sharing = scenario.share(&up, from_ref(&file)).await.ok()?;
        let legs = [&up.forward[0], &down.reverse[0]];
        let queues = QueueSamples::default();
        let download = tokio::select! {
            download = timeout(time_limit, scenario.download(&down, &sharing.code)) => download,
            () = queues.sample(legs, mbit(rate)) => unreachable!(),
        };
        let download = download.ok()?.ok()?;
        let content = download.finished.bytes as f64;
        let offered = legs.iter().map(|leg| leg.counters().offered.bytes as f64).fold(0.0, f64::max);
        Some(TransferResult {
            steady_goodput: download.steady_goodput() / 8.0 / limit,
            goodput: download.goodput() / 8.0 / limit,
            sent_per_byte: offered * STREAM_EFFICIENCY * lossy.delivery_ratio() / content,
            relative_rtt: 1.0 + queues.longest_mean() / (round_trip as f64 / 2e3),
        })
    })
}

/// Returns the bytes to send: a hundred round trips at full rate, within 6 to 15 seconds.
fn content_length(rate: u64, round_trip: u64) -> u64 {
    let seconds = (round_trip as f64 / 10.0).clamp(6.0, 15.0);
    (mbit(rate) as f64 * seconds) as u64
}

/// The queueing delay of both legs, in seconds.
#[derive(Default)]
struct QueueSamples {
    sums: Cell<[f64; 2]>,
    count: Cell<f64>,
}

impl QueueSamples {
    /// Samples the queues of both legs, whose rate is in bytes per second. Never completes.
    async fn sample(&self, legs: [&EmulatedLink; 2], rate: u64) {
        loop {
            sleep(SAMPLE_INTERVAL).await;
            let mut sums = self.sums.get();
            for (sum, leg) in sums.iter_mut().zip(legs) {
                *sum += leg.queued_bytes() as f64 / rate as f64;
            }
            self.sums.set(sums);
            self.count.set(self.count.get() + 1.0);
        }
    }

    /// Returns the mean queueing delay of the leg with the longer queue.
    fn longest_mean(&self) -> f64 {
        self.sums.get().into_iter().fold(0.0, f64::max) / self.count.get()
    }
}
