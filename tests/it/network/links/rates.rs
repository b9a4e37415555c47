//! The rate, the delay and the queue of a link, policers, cuts and changes.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    super::units::MS,
    harness::{PACKET, PAYLOAD, Probe, is_on_time, packet, receive, send, tally},
};
use crate::vnet::{LinkConfig, mbit, run_in_virtual_time};

#[test]
fn the_rate_and_the_delay_are_exact() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::new(mbit(10), Duration::from_micros(40_360)).queue(u64::MAX));
        probe.send(0..500);
        let arrivals = probe.arrivals().await;
        assert_eq!(arrivals.len(), 500);
        for (number, at) in arrivals {
            let due = MS * (number + 1) + Duration::from_micros(20_180);
            assert!(is_on_time(at, due), "{number}: {at:?} instead of {due:?}");
        }
        assert_eq!(probe.link.counters().delivered, tally(500));
    });
}

#[test]
fn paths_over_one_link_share_its_rate() {
    run_in_virtual_time(1, async |network| {
        let bottleneck = network.path(&LinkConfig::new(mbit(10), Duration::ZERO).queue(u64::MAX));
        let server = network.host();
        let incoming = server.bind(7);
        for _ in 0..2 {
            let host = network.host();
            let last_mile = network.path(&LinkConfig::new(mbit(100), 2 * MS).queue(u64::MAX));
            network.connect(&host, &server, &last_mile.then(&bottleneck));
            let out = host.bind(0);
            (0..100).for_each(|i| send(&out, &incoming, &packet(i, PAYLOAD)).unwrap());
        }
        let began = Instant::now();
        for _ in 0..200 {
            receive(&incoming).await;
        }
        // 0.1 ms of transmission and 1 ms of delay on the faster link, before the first of 200 reaches the slower one.
        let due = Duration::from_micros(1_100) + 200 * MS;
        assert!(is_on_time(began.elapsed(), due), "{:?}", began.elapsed());
        assert_eq!(bottleneck.forward[0].counters().offered, tally(200));
    });
}

#[test]
fn a_full_queue_drops_new_packets() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::new(mbit(10), Duration::ZERO).queue(10 * PACKET));
        probe.send(0..30);
        sleep(3 * MS).await;
        probe.send(100..110);
        assert_eq!(probe.numbers().await, (0..10).chain(100..103).collect::<Vec<_>>());
        let counters = probe.link.counters();
        assert_eq!((counters.overflowed, counters.longest_queue), (tally(27), 10 * PACKET));
        assert_eq!(counters.dropped(), tally(27));
    });
}

#[test]
fn a_policer_passes_one_burst_and_then_its_rate() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::ideal().policer(mbit(10), 10 * PACKET));
        probe.send(0..30);
        for i in 1..=100 {
            sleep(MS).await;
            probe.send([2 * i, 2 * i + 1].map(|n| 1000 + n)); // twice the rate
        }
        let numbers = probe.numbers().await;
        assert_eq!(numbers.iter().filter(|n| **n < 1000).count(), 10);
        assert_eq!(numbers.iter().filter(|n| **n >= 1000).count(), 100);
        assert_eq!(probe.link.counters().policed, tally(20 + 100));
    });
}

#[test]
fn a_cut_drops_queued_packets_but_not_those_after_the_queue() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::new(mbit(10), 100 * MS).queue(u64::MAX));
        probe.link.cut_after(Duration::from_micros(4_500), 100 * MS);
        probe.send(0..10);
        sleep(50 * MS).await;
        probe.send(100..110);
        sleep(60 * MS).await;
        probe.send(200..210);
        assert_eq!(probe.numbers().await, (0..4).chain(200..210).collect::<Vec<_>>());
        assert_eq!(probe.link.counters().cut, tally(6 + 10));
    });
}

#[test]
fn a_link_can_change_while_packets_are_on_it() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::new(mbit(10), Duration::ZERO).queue(u64::MAX));
        // Half of the third packet has been sent; the other half takes ten times as long.
        probe.link.change_after(Duration::from_micros(2_500), |config| config.rate = Some(mbit(1)));
        probe.link.change_after(Duration::from_micros(27_600), |config| {
            config.rate = Some(mbit(100));
            config.delay = 50 * MS;
        });
        probe.send(0..6);
        let due = [1_000, 2_000, 7_500, 17_500, 27_500, 27_600 + 99 + 50_000].map(Duration::from_micros);
        let arrivals = probe.arrivals().await;
        assert_eq!(arrivals.len(), due.len());
        for ((number, at), due) in arrivals.into_iter().zip(due) {
            assert!(is_on_time(at, due), "{number}: {at:?} instead of {due:?}");
        }
    });
}
