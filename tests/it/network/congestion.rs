//! Our own congestion control on lines of all kinds.

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

/// What a stream came to in so much time.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Bytes that arrived, as a share of what the line can carry.
    goodput: f64,
    /// Bytes on the line for each byte that it had to carry.
    sent: f64,
    /// Packets dropped by a full queue or a policer, as a share of those sent.
    overflow: f64,
    /// The mean smoothed round trip.
    round_trip: Duration,
}

/// A stream without end on a line of its own.
struct Flow {
    pair: QuicPair,
    link: EmulatedLink,
}

impl Flow {
    async fn new(network: &Network, config: &LinkConfig) -> Self {
        let back = LinkConfig { policer: None, loss: 0.0, bursts: None, reordering: None, ..config.clone() };
        Self::on(
            network,
            &NetworkPath { forward: vec![network.link(config)], reverse: vec![network.link(&back)] },
            CongestionControl::Auto,
        )
        .await
    }

    async fn on(network: &Network, path: &NetworkPath, congestion: CongestionControl) -> Self {
        let pair = QuicPair::connect_with(network, path, congestion).await;
        Self { pair, link: path.forward[0].clone() }
    }

    /// Runs beside `watching`, which says what was seen.
    async fn run<T>(&self, watching: impl Future<Output = T>) -> T {
        self.pair.send_while(watching).await
    }

    /// What comes of the next so much time.
    async fn next(&self, time: Duration) -> Seen {
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
        Seen {
            goodput: arrived / (config.max_goodput() * time.as_secs_f64()),
            sent: offered as f64 * STREAM_EFFICIENCY * config.delivery_ratio() / arrived,
            overflow: (dropped(&counters) - dropped(&before)) as f64
                / (counters.offered.packets - before.offered.packets) as f64,
            round_trip: sum / samples,
        }
    }
}

/// A line with a queue of so many bandwidth-delay products.
fn with_queue(rate: u64, round_trip: Duration, products: f64) -> LinkConfig {
    let product = mbit(rate) as f64 * round_trip.as_secs_f64();
    LinkConfig::new(mbit(rate), round_trip).queue((product * products) as u64)
}

/// What a stream comes to from the beginning, and what in the second half.
fn alone(config: &LinkConfig, time: Duration) -> [Seen; 2] {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, config).await;
        flow.run(async { [flow.next(time / 2).await, flow.next(time / 2).await] }).await
    })
}

#[test]
fn loss_does_not_slow_a_line_down() {
    for (rate, round_trip, time) in [(10, 10, 40), (10, 200, 40), (100, 50, 10), (300, 10, 6)] {
        for (loss, least) in [(0.0, 0.97), (0.001, 0.97), (0.01, 0.97), (0.05, 0.97), (0.1, 0.96)] {
            let [first, steady] = alone(&LinkConfig::new(mbit(rate), round_trip * MS).loss(loss), time * SECOND);
            println!("{rate} Mbit/s, {round_trip} ms, {:.1} % lost: {steady:?}", loss * 100.0);
            assert!(steady.goodput >= least, "{rate} Mbit/s, {round_trip} ms, {loss} lost: {steady:?}");
            assert!(loss > 0.0 || first.overflow <= 0.01 && steady.overflow <= 0.01, "{first:?}, {steady:?}");
        }
    }
}

#[test]
fn a_long_line_is_full_within_ten_round_trips() {
    for loss in [0.0, 0.02, 0.1] {
        run_in_virtual_time(1, async |network| {
            let config = LinkConfig::new(mbit(300), 200 * MS).loss(loss);
            let flow = Flow::new(&network, &config).await;
            flow.run(async {
                flow.next(10 * 200 * MS).await;
                // What arrives in a round trip was sent in the one before.
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
fn bursts_jitter_and_reordering_are_no_congestion() {
    for (rate, round_trip) in [(100, 50), (300, 50)] {
        for (share, length) in [(0.01, 4.0), (0.01, 12.0), (0.03, 4.0), (0.03, 12.0)] {
            let config = LinkConfig::new(mbit(rate), round_trip * MS).bursts(share, length);
            let worse = config.clone().jitter(5 * MS).reordering(0.01, 5 * MS);
            for config in [config, worse] {
                let [_, steady] = alone(&config, 10 * SECOND);
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
fn acknowledgements_may_be_lost() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(100), 50 * MS).loss(0.01);
        let path = NetworkPath {
            forward: vec![network.link(&config)],
            reverse: vec![network.link(&config.clone().loss(0.3))],
        };
        let flow = Flow::on(&network, &path, CongestionControl::Auto).await;
        let steady = flow.run(async { (flow.next(5 * SECOND).await, flow.next(5 * SECOND).await).1 }).await;
        println!("{steady:?}");
        assert!(steady.goodput >= 0.95, "{steady:?}");
    });
}

#[test]
fn short_queues_and_policers_are_not_flooded() {
    for (products, most) in [(0.05, 0.03), (0.1, 0.03), (1.0, 0.01)] {
        let all = alone(&with_queue(100, 50 * MS, products), 20 * SECOND);
        println!("{products} products: {all:?}");
        assert!(all[1].goodput >= 0.96, "{products}: {all:?}");
        assert!(all.iter().all(|seen| seen.overflow <= most), "{products}: {all:?}");
    }
    for (rate, policed, round_trip, burst) in [(300, 50, 50, 100_000), (300, 50, 50, 1_000_000), (100, 20, 50, 100_000)]
    {
        let config = LinkConfig::new(mbit(rate), round_trip * MS).policer(mbit(policed), burst);
        let [first, steady] = alone(&config, 30 * SECOND);
        println!("{policed} of {rate} Mbit/s pass, {burst} bytes at once: {first:?}, {steady:?}");
        assert!(steady.goodput >= 0.9 && first.goodput >= 0.9, "{first:?}, {steady:?}");
        assert!(steady.sent <= 1.1, "{steady:?}");
    }
}

#[test]
fn no_queue_stands() {
    for (rate, round_trip) in [(10, 50), (100, 10), (100, 50), (300, 200)] {
        let [_, steady] = alone(&with_queue(rate, round_trip * MS, 2.0), 15 * SECOND);
        println!("{rate} Mbit/s, {round_trip} ms: {steady:?}");
        assert!(steady.round_trip <= (round_trip * MS).mul_f64(1.2) + 4 * MS, "{steady:?}");
        assert!(steady.goodput >= 0.97, "{steady:?}");
    }
}

#[test]
fn short_lines_are_filled() {
    for (rate, round_trip) in [(100, 300), (1000, 300), (1000, 1000)] {
        // With the queue of a switch.
        let config = LinkConfig::new(mbit(rate), Duration::from_micros(round_trip)).queue(128 * 1024);
        let [_, steady] = alone(&config, 3 * SECOND);
        println!("{rate} Mbit/s, {round_trip} us: {steady:?}");
        assert!(steady.goodput >= 0.95, "{steady:?}");
        assert!(steady.overflow <= 0.05, "{steady:?}");
    }
}

/// What comes of each second after a line has changed.
fn changed(config: &LinkConfig, seconds: usize, change: fn(&mut LinkConfig)) -> Vec<Seen> {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, config).await;
        flow.run(async {
            flow.next(5 * SECOND).await;
            flow.link.change(change);
            let mut seen = Vec::new();
            for _ in 0..seconds {
                seen.push(flow.next(SECOND).await);
            }
            println!("{:?}", seen.iter().map(|seen| (seen.goodput * 100.0).round()).collect::<Vec<_>>());
            seen
        })
        .await
    })
}

#[test]
fn a_rate_that_changes_is_found() {
    let config = LinkConfig::new(mbit(100), 50 * MS);
    let halved = changed(&config, 4, |config| config.rate = Some(mbit(50)));
    assert!(halved[1..].iter().all(|seen| seen.goodput >= 0.95), "{halved:?}");
    assert!(halved[2..].iter().all(|seen| seen.round_trip <= 70 * MS), "{halved:?}");
    let doubled = changed(&config, 4, |config| config.rate = Some(mbit(200)));
    assert!(doubled[2..].iter().all(|seen| seen.goodput >= 0.9), "{doubled:?}");
    let tenfold = changed(&LinkConfig::new(mbit(20), 50 * MS), 4, |config| config.rate = Some(mbit(200)));
    assert!(tenfold[2..].iter().all(|seen| seen.goodput >= 0.9), "{tenfold:?}");
}

#[test]
fn loss_that_begins_and_ends_is_followed() {
    let config = LinkConfig::new(mbit(100), 50 * MS);
    let begins = changed(&config, 6, |config| config.loss = 0.05);
    assert!(begins[3..].iter().all(|seen| seen.goodput >= 0.95), "{begins:?}");
    let ends = changed(&config.loss(0.05), 4, |config| config.loss = 0.0);
    assert!(ends[1..].iter().all(|seen| seen.goodput >= 0.95 && seen.overflow <= 0.01), "{ends:?}");
}

#[test]
fn a_route_that_becomes_longer_for_good_is_believed() {
    // Half of the path becomes longer: 50 ms become 100.
    let longer = changed(&LinkConfig::new(mbit(100), 50 * MS), 6, |config| config.delay += 50 * MS);
    assert!(longer[3..].iter().all(|seen| seen.goodput >= 0.9), "{longer:?}");
    let far_longer = changed(&LinkConfig::new(mbit(100), 20 * MS), 14, |config| config.delay += 180 * MS);
    assert!(far_longer[10..].iter().all(|seen| seen.goodput >= 0.9), "{far_longer:?}");
    let shorter = changed(&LinkConfig::new(mbit(100), 100 * MS), 4, |config| config.delay = Duration::ZERO);
    assert!(shorter[1..].iter().all(|seen| seen.goodput >= 0.93), "{shorter:?}");
}

#[test]
fn a_sender_with_little_to_send_does_not_forget_the_line() {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, &LinkConfig::new(mbit(100), 50 * MS)).await;
        let chunk = Bytes::from(vec![7; 100_000]);
        // Eight Mbit/s for a while, as from a slow disk, and then all that goes.
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
        let seen = flow.run(async { [flow.next(SECOND).await, flow.next(SECOND).await] }).await;
        println!("{seen:?}");
        assert!(seen[0].goodput >= 0.7 && seen[1].goodput >= 0.95, "{seen:?}");
        assert!(seen.iter().all(|seen| seen.overflow <= 0.01), "{seen:?}");
    });
}

#[test]
fn a_start_after_a_pause_is_at_full_speed_without_a_flood() {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, &with_queue(100, 50 * MS, 0.5)).await;
        flow.pair.transfer(20_000_000).await;
        sleep(20 * SECOND).await;
        let before = flow.link.counters().overflowed.packets;
        let moved = flow.pair.transfer(20_000_000).await;
        println!("{moved:?}");
        assert!(moved.goodput() / 8.0 >= 0.93 * flow.link.config().max_goodput(), "{moved:?}");
        assert!(flow.link.counters().overflowed.packets - before <= 130, "1 % of it");
    });
}

#[test]
fn another_network_under_a_running_stream_is_found_out() {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, &LinkConfig::new(mbit(100), 20 * MS)).await;
        let other = network.path(&LinkConfig::new(mbit(40), 80 * MS).loss(0.01));
        flow.run(async {
            flow.next(3 * SECOND).await;
            flow.pair.migrate(&network, &other);
            sleep(5 * SECOND).await;
            let before = flow.pair.received_bytes();
            sleep(5 * SECOND).await;
            let goodput = (flow.pair.received_bytes() - before) as f64 / 5.0 / other.forward[0].config().max_goodput();
            println!("{goodput:.3} of the other config");
            assert!(goodput >= 0.9, "{goodput}");
        })
        .await;
    });
}

/// The share of the first of two streams.
fn share(config: &LinkConfig, first: CongestionControl, second: CongestionControl) -> f64 {
    run_in_virtual_time(1, async |network| {
        QuicPair::bandwidth_share(&network, config, [first, second], 40 * SECOND).await
    })
}

#[test]
fn beside_cubic_each_keeps_its_part() {
    for products in [0.5, 1.0, 2.0] {
        let config = with_queue(50, 20 * MS, products);
        let first = share(&config, CongestionControl::Auto, CongestionControl::Cubic);
        let second = 1.0 - share(&config, CongestionControl::Cubic, CongestionControl::Auto);
        println!("{products} products: ours gets {first:.3} where it is first, {second:.3} where it is second");
        assert!((0.25..0.75).contains(&first) && (0.25..0.75).contains(&second), "{products}: {first} {second}");
    }
}

#[test]
fn two_of_ours_share_evenly() {
    for (rate, round_trip, products) in [(50, 20, 0.5), (50, 50, 1.0), (20, 50, 2.0)] {
        let x = share(&with_queue(rate, round_trip * MS, products), CongestionControl::Auto, CongestionControl::Auto);
        let jain = 1.0 / (2.0 * (x * x + (1.0 - x) * (1.0 - x)));
        println!("{rate} Mbit/s, {round_trip} ms, {products} products: {x:.3}, Jain {jain:.3}");
        assert!(jain >= 0.95, "{jain}");
    }
}

#[test]
fn a_slow_second_leg_builds_no_queue_in_the_relay() {
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
        // Less than a second of the line: bytes wait there for packets that are sent again, and come in heaps.
        assert!(largest <= 2_000_000, "{largest}");
    });
}

#[test]
fn no_line_ends_a_transfer() {
    let config = || LinkConfig::new(mbit(50), 50 * MS);
    for (what, config) in [
        ("bursts as long as all that is on the path", LinkConfig::new(mbit(10), 10 * MS).bursts(0.03, 12.0)),
        ("30 % lost", config().loss(0.3)),
        ("bursts", config().bursts(0.05, 12.0)),
        ("every second packet late", config().reordering(0.5, 20 * MS)),
        ("a tenth twice", config().duplication(0.1).loss(0.1)),
        ("all of it", config().loss(0.1).bursts(0.02, 4.0).reordering(0.2, 20 * MS).duplication(0.05).jitter(10 * MS)),
    ] {
        run_in_virtual_time(1, async |network| {
            let scenario = Scenario::new(&network, RelayConfig::default());
            let file = scenario.scratch.file("file", 5_000_000);
            let sharing = scenario.share(&network.path(&config), from_ref(&file)).await.unwrap();
            let received = scenario.download(&network.path(&config), &sharing.code).await.unwrap();
            assert!(received.contains_copy_of(&file));
            println!("{what}: {:.3} of what the config carries", received.goodput() / 8.0 / config.max_goodput());
        });
    }
}

#[test]
fn limits_leave_room() {
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
