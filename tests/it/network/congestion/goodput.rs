//! The goodput over lossy, reordering, long and very short paths.

use std::time::Duration;

use qshare::internals::net::CongestionControl;
use tokio::time::sleep;

use super::{
    super::units::{MS, SECOND},
    harness::{Flow, measure_halves},
};
use crate::vnet::{LinkConfig, NetworkPath, mbit, run_in_virtual_time};

#[test]
fn random_loss_does_not_reduce_the_goodput() {
    for (rate, round_trip, time) in [(10, 10, 40), (10, 200, 40), (100, 50, 10), (300, 10, 6)] {
        for (loss, min_goodput) in [(0.0, 0.97), (0.001, 0.97), (0.01, 0.97), (0.05, 0.97), (0.1, 0.96)] {
            let [first, steady] =
                measure_halves(&LinkConfig::new(mbit(rate), round_trip * MS).loss(loss), time * SECOND);
            println!("{rate} Mbit/s, {round_trip} ms, {:.1} % lost: {steady:?}", loss * 100.0);
            assert!(steady.goodput >= min_goodput, "{rate} Mbit/s, {round_trip} ms, {loss} lost: {steady:?}");
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
fn bursts_that_drop_a_whole_window_do_not_stall_the_stream() {
    // A window is about 140 packets. A burst lasts until packets are sent, or until acknowledgements are.
    let config = LinkConfig::new(mbit(300), 5 * MS).bursts(0.03, 12.0);
    for seed in 1..=3 {
        run_in_virtual_time(seed, async |network| {
            let flow = Flow::on(&network, &network.path(&config), CongestionControl::Auto).await;
            let steady = flow.run(async { (flow.measure(3 * SECOND).await, flow.measure(5 * SECOND).await).1 }).await;
            println!("seed {seed}: {steady:?}");
            assert!(steady.goodput >= 0.88, "seed {seed}: {steady:?}");
        });
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
