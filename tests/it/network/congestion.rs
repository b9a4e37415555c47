//! The program's own congestion control on links of all kinds.

use std::{num::NonZeroU64, slice::from_ref, time::Duration};

use bytes::Bytes;
use qshare::{
    net::{CongestionControl, TransportOptions},
    relay::{MemoryBudget, MemoryUsage, RelayConfig},
};
use tokio::time::{Instant, sleep, timeout};

use super::units::{MS, SECOND};
use crate::vnet::{
    EmulatedLink, LinkConfig, Network, NetworkPath, QuicPair, STREAM_EFFICIENCY, Scenario, mbit, run_in_virtual_time,
};

/// What a stream achieved within some time.
#[derive(Debug, Clone, Copy)]
struct Measurement {
    /// The goodput as a share of the highest goodput of the link.
    goodput: f64,
    /// Bytes sent per byte that had to be sent.
    overhead: f64,
    /// Packets dropped by a full queue or a policer, as a share of the sent ones.
    overflow: f64,
    /// The mean of the smoothed round-trip time.
    rtt: Duration,
}

/// An endless stream on a path of its own.
struct Flow {
    pair: QuicPair,
    link: EmulatedLink,
}

impl Flow {
    /// Starts a stream over a forward link with this configuration. The reverse link has the same one without loss.
    async fn new(network: &Network, config: &LinkConfig) -> Self {
        let back = LinkConfig { policer: None, loss: 0.0, bursts: None, reordering: None, ..config.clone() };
        Self::on(
            network,
            &NetworkPath { forward: vec![network.link(config)], reverse: vec![network.link(&back)] },
            CongestionControl::Auto,
        )
        .await
    }

    /// Starts a stream over this path.
    async fn on(network: &Network, path: &NetworkPath, congestion: CongestionControl) -> Self {
        let pair = QuicPair::connect_with(network, path, congestion).await;
        Self { pair, link: path.forward[0].clone() }
    }

    /// Sends while `measuring` runs, and returns its result.
    async fn run<T>(&self, measuring: impl Future<Output = T>) -> T {
        self.pair.send_while(measuring).await
    }

    /// Measures the stream for `time`.
    async fn measure(&self, time: Duration) -> Measurement {
        let (arrived, before) = (self.pair.received_bytes(), self.link.counters());
        let (began, mut sum, mut samples) = (Instant::now(), Duration::ZERO, 0);
        while began.elapsed() < time {
            sleep(10 * MS).await;
            sum += self.pair.client.stats().path.rtt;
            samples += 1;
        }
        let (arrived, counters) = ((self.pair.received_bytes() - arrived) as f64, self.link.counters());
        let offered = counters.offered.bytes - before.offered.bytes;
        let dropped = |c: &crate::vnet::LinkCounters| c.overflowed.packets + c.policed.packets;
        let config = self.link.config();
        Measurement {
            goodput: arrived / (config.max_goodput() * time.as_secs_f64()),
            overhead: offered as f64 * STREAM_EFFICIENCY * config.delivery_ratio() / arrived,
            overflow: (dropped(&counters) - dropped(&before)) as f64
                / (counters.offered.packets - before.offered.packets) as f64,
            rtt: sum / samples,
        }
    }
}

/// Returns a link whose queue holds this many bandwidth-delay products.
fn link_with_queue(rate: u64, round_trip: Duration, products: f64) -> LinkConfig {
    let product = mbit(rate) as f64 * round_trip.as_secs_f64();
    LinkConfig::new(mbit(rate), round_trip).queue((product * products) as u64)
}

/// Measures the two halves of a stream of this duration.
fn measure_halves(config: &LinkConfig, time: Duration) -> [Measurement; 2] {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, config).await;
        flow.run(async { [flow.measure(time / 2).await, flow.measure(time / 2).await] }).await
    })
}

#[test]
fn random_loss_does_not_reduce_the_goodput() {
    for (rate, round_trip, time) in [(10, 10, 40), (10, 200, 40), (100, 50, 10), (300, 10, 6)] {
        for (loss, least) in [(0.0, 0.97), (0.001, 0.97), (0.01, 0.97), (0.05, 0.97), (0.1, 0.96)] {
            let [first, steady] =
                measure_halves(&LinkConfig::new(mbit(rate), round_trip * MS).loss(loss), time * SECOND);
            println!("{rate} Mbit/s, {round_trip} ms, {:.1} % lost: {steady:?}", loss * 100.0);
            assert!(steady.goodput >= least, "{rate} Mbit/s, {round_trip} ms, {loss} lost: {steady:?}");
            assert!(loss > 0.0 || first.overflow <= 0.01 && steady.overflow <= 0.01, "{first:?}, {steady:?}");
        }
    }
}

#[test]
fn a_long_path_is_full_after_ten_round_trips() {
    for loss in [0.0, 0.02, 0.1] {
        run_in_virtual_time(1, async |network| {
            let config = LinkConfig::new(mbit(300), 200 * MS).loss(loss);
            let flow = Flow::new(&network, &config).await;
            flow.run(async {
                flow.measure(10 * 200 * MS).await;
                // Packets that arrive in one round trip were sent in the previous one.
                let (before, overflowed) = (flow.link.counters().delivered.bytes, flow.link.counters().overflowed);
                sleep(200 * MS).await;
                let rate = (flow.link.counters().delivered.bytes - before) as f64 / 0.2;
                println!("{loss} lost: {:.1} Mbit/s after 10 round trips, {overflowed:?}", rate * 8e-6);
                assert!(rate >= 0.9 * mbit(300) as f64 * (1.0 - loss), "{loss} lost: {rate}");
                assert_eq!(overflowed.packets, 0);
            })
            .await;
        });
    }
}

#[test]
fn bursts_of_loss_jitter_and_reordering_do_not_reduce_the_goodput() {
    for (rate, round_trip) in [(100, 50), (300, 50)] {
        for (share, length) in [(0.01, 4.0), (0.01, 12.0), (0.03, 4.0), (0.03, 12.0)] {
            let config = LinkConfig::new(mbit(rate), round_trip * MS).bursts(share, length);
            let worse = config.clone().jitter(5 * MS).reordering(0.01, 5 * MS);
            for config in [config, worse] {
                let [_, steady] = measure_halves(&config, 10 * SECOND);
                println!(
                    "{rate} Mbit/s, {round_trip} ms, {share} in bursts of {length}, {:?}: {steady:?}",
                    config.jitter
                );
                assert!(steady.goodput >= 0.93, "{config:?}: {steady:?}");
            }
        }
    }
}

#[test]
fn lost_acknowledgements_do_not_reduce_the_goodput() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(100), 50 * MS).loss(0.01);
        let path = NetworkPath {
            forward: vec![network.link(&config)],
            reverse: vec![network.link(&config.clone().loss(0.3))],
        };
        let flow = Flow::on(&network, &path, CongestionControl::Auto).await;
        let steady = flow.run(async { (flow.measure(5 * SECOND).await, flow.measure(5 * SECOND).await).1 }).await;
        println!("{steady:?}");
        assert!(steady.goodput >= 0.95, "{steady:?}");
    });
}

#[test]
fn short_queues_and_policers_drop_few_packets() {
    for (products, most) in [(0.05, 0.03), (0.1, 0.03), (1.0, 0.01)] {
        let all = measure_halves(&link_with_queue(100, 50 * MS, products), 20 * SECOND);
        println!("{products} products: {all:?}");
        assert!(all[1].goodput >= 0.96, "{products}: {all:?}");
        assert!(all.iter().all(|seen| seen.overflow <= most), "{products}: {all:?}");
    }
    for (rate, policed, round_trip, burst) in [(300, 50, 50, 100_000), (300, 50, 50, 1_000_000), (100, 20, 50, 100_000)]
    {
        let config = LinkConfig::new(mbit(rate), round_trip * MS).policer(mbit(policed), burst);
        let [first, steady] = measure_halves(&config, 30 * SECOND);
        println!("{policed} of {rate} Mbit/s pass, {burst} bytes at once: {first:?}, {steady:?}");
        assert!(steady.goodput >= 0.9 && first.goodput >= 0.9, "{first:?}, {steady:?}");
        assert!(steady.overhead <= 1.1, "{steady:?}");
    }
}

#[test]
fn the_queue_stays_short() {
    for (rate, round_trip) in [(10, 50), (100, 10), (100, 50), (300, 200)] {
        let [_, steady] = measure_halves(&link_with_queue(rate, round_trip * MS, 2.0), 15 * SECOND);
        println!("{rate} Mbit/s, {round_trip} ms: {steady:?}");
        assert!(steady.rtt <= (round_trip * MS).mul_f64(1.2) + 4 * MS, "{steady:?}");
        assert!(steady.goodput >= 0.97, "{steady:?}");
    }
}

#[test]
fn paths_with_a_tiny_rtt_are_filled() {
    for (rate, round_trip) in [(100, 300), (1000, 300), (1000, 1000)] {
        // The queue of a typical switch.
        let config = LinkConfig::new(mbit(rate), Duration::from_micros(round_trip)).queue(128 * 1024);
        let [_, steady] = measure_halves(&config, 3 * SECOND);
        println!("{rate} Mbit/s, {round_trip} us: {steady:?}");
        assert!(steady.goodput >= 0.95, "{steady:?}");
        assert!(steady.overflow <= 0.05, "{steady:?}");
    }
}

/// Changes a link after five seconds and measures each second after that.
fn measure_change(config: &LinkConfig, seconds: usize, change: fn(&mut LinkConfig)) -> Vec<Measurement> {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, config).await;
        flow.run(async {
            flow.measure(5 * SECOND).await;
            flow.link.change(change);
            let mut seen = Vec::new();
            for _ in 0..seconds {
                seen.push(flow.measure(SECOND).await);
            }
            println!("{:?}", seen.iter().map(|seen| (seen.goodput * 100.0).round()).collect::<Vec<_>>());
            seen
        })
        .await
    })
}

#[test]
fn the_sender_adapts_to_a_new_rate() {
    let config = LinkConfig::new(mbit(100), 50 * MS);
    let halved = measure_change(&config, 4, |config| config.rate = Some(mbit(50)));
    assert!(halved[1..].iter().all(|seen| seen.goodput >= 0.95), "{halved:?}");
    assert!(halved[2..].iter().all(|seen| seen.rtt <= 70 * MS), "{halved:?}");
    let doubled = measure_change(&config, 4, |config| config.rate = Some(mbit(200)));
    assert!(doubled[2..].iter().all(|seen| seen.goodput >= 0.9), "{doubled:?}");
    let tenfold = measure_change(&LinkConfig::new(mbit(20), 50 * MS), 4, |config| config.rate = Some(mbit(200)));
    assert!(tenfold[2..].iter().all(|seen| seen.goodput >= 0.9), "{tenfold:?}");
}

#[test]
fn the_sender_adapts_to_loss_that_begins_or_ends() {
    let config = LinkConfig::new(mbit(100), 50 * MS);
    let begins = measure_change(&config, 6, |config| config.loss = 0.05);
    assert!(begins[3..].iter().all(|seen| seen.goodput >= 0.95), "{begins:?}");
    let ends = measure_change(&config.loss(0.05), 4, |config| config.loss = 0.0);
    assert!(ends[1..].iter().all(|seen| seen.goodput >= 0.95 && seen.overflow <= 0.01), "{ends:?}");
}

#[test]
fn the_sender_adapts_to_a_longer_or_shorter_rtt() {
    // The delay of the forward direction grows, so that an RTT of 50 ms becomes 100 ms.
    let longer = measure_change(&LinkConfig::new(mbit(100), 50 * MS), 6, |config| config.delay += 50 * MS);
    assert!(longer[3..].iter().all(|seen| seen.goodput >= 0.9), "{longer:?}");
    let far_longer = measure_change(&LinkConfig::new(mbit(100), 20 * MS), 14, |config| config.delay += 180 * MS);
    assert!(far_longer[10..].iter().all(|seen| seen.goodput >= 0.9), "{far_longer:?}");
    let shorter = measure_change(&LinkConfig::new(mbit(100), 100 * MS), 4, |config| config.delay = Duration::ZERO);
    assert!(shorter[1..].iter().all(|seen| seen.goodput >= 0.93), "{shorter:?}");
}

#[test]
fn an_application_limited_sender_keeps_its_estimate_of_the_rate() {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, &LinkConfig::new(mbit(100), 50 * MS)).await;
        let chunk = Bytes::from(vec![7; 100_000]);
        // 8 Mbit/s for a while, as from a slow disk, and then as much as possible.
        let mut slow = flow.pair.client.open_uni().await.unwrap();
        let reading = async {
            let mut stream = flow.pair.server.accept_uni().await.unwrap();
            while stream.read_chunk(usize::MAX, false).await.unwrap().is_some() {}
        };
        let writing = async {
            for _ in 0..100 {
                slow.write_chunk(chunk.clone()).await.unwrap();
                sleep(100 * MS).await;
            }
            slow.finish().unwrap();
        };
        tokio::join!(reading, writing);
        assert_eq!(flow.link.counters().overflowed.packets, 0);
        let seen = flow.run(async { [flow.measure(SECOND).await, flow.measure(SECOND).await] }).await;
        println!("{seen:?}");
        assert!(seen[0].goodput >= 0.7 && seen[1].goodput >= 0.95, "{seen:?}");
        assert!(seen.iter().all(|seen| seen.overflow <= 0.01), "{seen:?}");
    });
}

#[test]
fn a_stream_after_an_idle_time_starts_at_full_rate_without_overflow() {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, &link_with_queue(100, 50 * MS, 0.5)).await;
        flow.pair.transfer(20_000_000).await;
        sleep(20 * SECOND).await;
        let before = flow.link.counters().overflowed.packets;
        let moved = flow.pair.transfer(20_000_000).await;
        println!("{moved:?}");
        assert!(moved.goodput() / 8.0 >= 0.93 * flow.link.config().max_goodput(), "{moved:?}");
        assert!(flow.link.counters().overflowed.packets - before <= 130, "1 % of the packets");
    });
}

#[test]
fn the_sender_adapts_to_another_network() {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, &LinkConfig::new(mbit(100), 20 * MS)).await;
        let other = network.path(&LinkConfig::new(mbit(40), 80 * MS).loss(0.01));
        flow.run(async {
            flow.measure(3 * SECOND).await;
            flow.pair.migrate(&network, &other);
            sleep(5 * SECOND).await;
            let before = flow.pair.received_bytes();
            sleep(5 * SECOND).await;
            let goodput = (flow.pair.received_bytes() - before) as f64 / 5.0 / other.forward[0].config().max_goodput();
            println!("{goodput:.3} of the other path");
            assert!(goodput >= 0.9, "{goodput}");
        })
        .await;
    });
}

/// Returns the share of the first of two competing streams.
fn share_of_first(config: &LinkConfig, first: CongestionControl, second: CongestionControl) -> f64 {
    run_in_virtual_time(1, async |network| {
        QuicPair::bandwidth_share(&network, config, [first, second], 40 * SECOND).await
    })
}

#[test]
fn neither_cubic_nor_ours_starves_the_other() {
    for products in [0.5, 1.0, 2.0] {
        let config = link_with_queue(50, 20 * MS, products);
        let first = share_of_first(&config, CongestionControl::Auto, CongestionControl::Cubic);
        let second = 1.0 - share_of_first(&config, CongestionControl::Cubic, CongestionControl::Auto);
        println!("{products} products: ours gets {first:.3} where it is first, {second:.3} where it is second");
        assert!((0.25..0.75).contains(&first) && (0.25..0.75).contains(&second), "{products}: {first} {second}");
    }
}

#[test]
fn two_streams_of_ours_share_evenly() {
    for (rate, round_trip, products) in [(50, 20, 0.5), (50, 50, 1.0), (20, 50, 2.0)] {
        let share = share_of_first(
            &link_with_queue(rate, round_trip * MS, products),
            CongestionControl::Auto,
            CongestionControl::Auto,
        );
        let jain = 1.0 / (2.0 * (share * share + (1.0 - share) * (1.0 - share)));
        println!("{rate} Mbit/s, {round_trip} ms, {products} products: {share:.3}, Jain {jain:.3}");
        assert!(jain >= 0.95, "{jain}");
    }
}

#[test]
fn a_slow_second_leg_fills_less_than_2_mb_in_the_relay() {
    run_in_virtual_time(1, async |network| {
        let memory = MemoryBudget::new(1 << 30);
        let config = RelayConfig { memory: memory.clone(), ..RelayConfig::default() };
        let scenario = Scenario::new(&network, config);
        let file = scenario.scratch.file("file", 20_000_000);
        let slow = LinkConfig::new(mbit(20), 100 * MS).loss(0.01);
        let sharing =
            scenario.share(&network.path(&LinkConfig::new(mbit(300), 20 * MS)), from_ref(&file)).await.unwrap();
        let received = scenario.download(&network.path(&slow), &sharing.code).await.unwrap();
        assert!(received.contains_copy_of(&file));
        let MemoryUsage { largest, .. } = memory.usage();
        let share = received.steady_goodput() / 8.0 / slow.max_goodput();
        println!("{share:.3} of the second leg, {largest} bytes at most in the relay");
        assert!(share >= 0.95, "{share}");
        // Less than a second at the rate of the leg. Bytes wait there for retransmissions, and arrive in bursts.
        assert!(largest <= 2_000_000, "{largest}");
    });
}

#[test]
fn a_transfer_completes_over_any_link() {
    let config = || LinkConfig::new(mbit(50), 50 * MS);
    for (what, config) in [
        ("bursts as long as a bandwidth-delay product", LinkConfig::new(mbit(10), 10 * MS).bursts(0.03, 12.0)),
        ("30 % lost", config().loss(0.3)),
        ("bursts", config().bursts(0.05, 12.0)),
        ("half of the packets late", config().reordering(0.5, 20 * MS)),
        ("a tenth duplicated", config().duplication(0.1).loss(0.1)),
        (
            "all impairments",
            config().loss(0.1).bursts(0.02, 4.0).reordering(0.2, 20 * MS).duplication(0.05).jitter(10 * MS),
        ),
    ] {
        run_in_virtual_time(1, async |network| {
            let scenario = Scenario::new(&network, RelayConfig::default());
            let file = scenario.scratch.file("file", 5_000_000);
            let sharing = scenario.share(&network.path(&config), from_ref(&file)).await.unwrap();
            let received = scenario.download(&network.path(&config), &sharing.code).await.unwrap();
            assert!(received.contains_copy_of(&file));
            println!("{what}: {:.3} of the highest goodput", received.goodput() / 8.0 / config.max_goodput());
        });
    }
}

#[test]
fn a_rate_limit_holds_for_two_receivers_together() {
    const LIMIT: u64 = 500_000;
    run_in_virtual_time(1, async |network| {
        let limit = NonZeroU64::new(LIMIT);
        let config = LinkConfig::new(mbit(100), 20 * MS);
        let scenario = Scenario::with_transport(
            &network,
            RelayConfig::default(),
            TransportOptions { send_rate_limit: limit, ..TransportOptions::default() },
        );
        let file = scenario.scratch.file("file", 5_000_000);
        let sharing = scenario.share(&network.path(&config), from_ref(&file)).await.unwrap();
        let paths = [network.path(&config), network.path(&config)];
        let began = Instant::now();
        let both = async {
            tokio::join!(scenario.download(&paths[0], &sharing.code), scenario.download(&paths[1], &sharing.code))
        };
        let (a, b) = timeout(60 * SECOND, both).await.unwrap();
        assert!(a.unwrap().contains_copy_of(&file) && b.unwrap().contains_copy_of(&file));
        let rate = 10e6 / began.elapsed().as_secs_f64();
        println!("two receivers together {rate:.0} bytes a second");
        assert!((0.9..1.01).contains(&(rate / LIMIT as f64)), "{rate}");
    });
}
