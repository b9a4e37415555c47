//! An endless stream over an emulated path, and measurements of it.

use std::time::Duration;

use qshare::internals::net::CongestionControl;
use tokio::time::{Instant, sleep};

use super::super::units::{MS, SECOND};
use crate::vnet::{
    EmulatedLink, LinkConfig, LinkCounters, Network, NetworkPath, QuicPair, STREAM_EFFICIENCY, mbit,
    run_in_virtual_time,
};

/// What a stream achieved within some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measurement {
    /// The goodput as a share of the highest goodput of the link.
    pub(super) goodput: f64,
    /// Bytes sent per byte that had to be sent.
    pub(super) overhead: f64,
    /// Packets dropped by a full queue or a policer, as a share of the sent ones.
    pub(super) overflow: f64,
    /// The mean of the smoothed round-trip time.
    pub(super) rtt: Duration,
}

/// An endless stream on a path of its own.
pub(super) struct Flow {
    pub(super) pair: QuicPair,
    pub(super) link: EmulatedLink,
}

impl Flow {
    /// Starts a stream over a forward link with this configuration. The reverse link has the same one without loss.
    pub(super) async fn new(network: &Network, config: &LinkConfig) -> Self {
        let reverse = LinkConfig { policer: None, loss: 0.0, bursts: None, reordering: None, ..config.clone() };
        Self::on(
            network,
            &NetworkPath { forward: vec![network.link(config)], reverse: vec![network.link(&reverse)] },
            CongestionControl::Auto,
        )
        .await
    }

    /// Starts a stream over this path.
    pub(super) async fn on(network: &Network, path: &NetworkPath, congestion: CongestionControl) -> Self {
        let pair = QuicPair::connect_with(network, path, congestion).await;
        Self { pair, link: path.forward[0].clone() }
    }

    /// Sends while `measuring` runs, and returns its result.
    pub(super) async fn run<T>(&self, measuring: impl Future<Output = T>) -> T {
        self.pair.send_while(measuring).await
    }

    /// Measures the stream for `time`.
    pub(super) async fn measure(&self, time: Duration) -> Measurement {
        let (received, before) = (self.pair.received_bytes(), self.link.counters());
        let (began, mut sum, mut samples) = (Instant::now(), Duration::ZERO, 0);
        while began.elapsed() < time {
            sleep(10 * MS).await;
            sum += self.pair.client.stats().path.rtt;
            samples += 1;
        }
        let (received, counters) = ((self.pair.received_bytes() - received) as f64, self.link.counters());
        let offered = counters.offered.bytes - before.offered.bytes;
        let dropped = |c: &LinkCounters| c.overflowed.packets + c.policed.packets;
        let config = self.link.config();
        Measurement {
            goodput: received / (config.max_goodput() * time.as_secs_f64()),
            overhead: offered as f64 * STREAM_EFFICIENCY * config.delivery_ratio() / received,
            overflow: (dropped(&counters) - dropped(&before)) as f64
                / (counters.offered.packets - before.offered.packets) as f64,
            rtt: sum / samples,
        }
    }
}

/// Returns a link whose queue holds this many bandwidth-delay products.
pub(super) fn link_with_queue(rate: u64, round_trip: Duration, products: f64) -> LinkConfig {
    let product = mbit(rate) as f64 * round_trip.as_secs_f64();
    LinkConfig::new(mbit(rate), round_trip).queue((product * products) as u64)
}

/// Measures the two halves of a stream of this duration.
pub(super) fn measure_halves(config: &LinkConfig, time: Duration) -> [Measurement; 2] {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, config).await;
        flow.run(async { [flow.measure(time / 2).await, flow.measure(time / 2).await] }).await
    })
}

/// Changes a link after five seconds and measures each second after that.
pub(super) fn measure_change(config: &LinkConfig, seconds: usize, change: fn(&mut LinkConfig)) -> Vec<Measurement> {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, config).await;
        flow.run(async {
            flow.measure(5 * SECOND).await;
            flow.link.change(change);
            let mut measurements = Vec::new();
            for _ in 0..seconds {
                measurements.push(flow.measure(SECOND).await);
            }
            println!("{:?}", measurements.iter().map(|m| (m.goodput * 100.0).round()).collect::<Vec<_>>());
            measurements
        })
        .await
    })
}
