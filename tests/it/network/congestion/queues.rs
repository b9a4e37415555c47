//! The length of the queue at the bottleneck, and the packets that it drops.

use super::{
    super::units::{MS, SECOND},
    harness::{link_with_queue, measure_halves},
};
use crate::vnet::{LinkConfig, mbit};

#[test]
fn short_queues_and_policers_drop_few_packets() {
    for (products, max_overflow) in [(0.05, 0.03), (0.1, 0.03), (1.0, 0.01)] {
        let all = measure_halves(&link_with_queue(100, 50 * MS, products), 20 * SECOND);
        println!("{products} products: {all:?}");
        assert!(all[1].goodput >= 0.96, "{products}: {all:?}");
        assert!(all.iter().all(|m| m.overflow <= max_overflow), "{products}: {all:?}");
    }
    for (rate, policed, round_trip, burst) in [(300, 50, 50, 100_000), (300, 50, 50, 1_000_000), (100, 20, 50, 100_000)]
    {
        let config = LinkConfig::new(mbit(rate), round_trip * MS).policer(mbit(policed), burst);
        let [first, steady] = measure_halves(&config, 30 * SECOND);
        println!("{policed} of {rate} Mbit/s pass the policer, {burst} bytes of burst: {first:?}, {steady:?}");
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
