//! Loss, jitter, reordering and duplication, and their determinism.

use std::time::Duration;

use tokio::time::{sleep, sleep_until};

use super::{
    super::units::MS,
    harness::{Probe, is_on_time, receive, tally},
};
use crate::vnet::{LinkConfig, STEP, mbit, run_in_virtual_time};

#[test]
fn the_configured_share_of_packets_is_lost() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::ideal().loss(0.05));
        for batch in 0..20 {
            probe.send(batch * 1000..(batch + 1) * 1000);
            sleep(MS).await;
        }
        let arrived = probe.numbers().await.len() as u64;
        let counters = probe.link.counters();
        assert_eq!((counters.offered, counters.delivered), (tally(20_000), tally(arrived)));
        assert_eq!(counters.lost, tally(20_000 - arrived));
        // The standard deviation is 31.
        assert!(counters.lost.packets.abs_diff(1000) < 100, "{} lost", counters.lost.packets);
    });
}

#[test]
fn bursts_have_the_configured_share_and_length() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::ideal().bursts(0.02, 5.0));
        let mut arrived = Vec::new();
        for batch in 0..100 {
            probe.send(batch * 1000..(batch + 1) * 1000);
            while arrived.len() as u64 + probe.link.counters().lost.packets < u64::from(batch + 1) * 1000 {
                let (payload, _) = receive(&probe.incoming).await;
                arrived.push(u32::from_be_bytes(payload[..4].try_into().unwrap()));
            }
        }
        let gaps: Vec<u32> = arrived.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
        let lost: u32 = gaps.iter().sum();
        let mean = f64::from(lost) / gaps.len() as f64;
        // With 400 bursts, the standard deviation is 0.22 for the mean length and 140 for the lost packets.
        assert!((4.0..6.0).contains(&mean), "{} bursts of {mean}", gaps.len());
        assert!(lost.abs_diff(2000) < 500, "{lost} lost");
    });
}

#[test]
fn jitter_delays_packets_without_reordering_them() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig { delay: 10 * MS, ..LinkConfig::ideal() }.jitter(10 * MS);
        let probe = Probe::new(&network, &config);
        let (mut min, mut max, mut last) = (Duration::MAX, Duration::ZERO, None);
        let sending = async {
            for i in 0..200 {
                sleep_until(probe.began + 30 * MS * i).await; // so far apart that no packet waits for another one
                probe.send([i]);
            }
        };
        let receiving = async {
            for (number, at) in probe.arrivals().await {
                assert!(last.replace(number) < Some(number));
                let delay = at - 30 * MS * number;
                (min, max) = (min.min(delay), max.max(delay));
            }
        };
        tokio::join!(sending, receiving);
        assert!(min >= 10 * MS && min < 11 * MS, "{min:?}");
        assert!(max > 19 * MS && max < 20 * MS + STEP, "{max:?}");
        probe.send(0..200);
        assert!(probe.numbers().await.is_sorted());
    });
}

#[test]
fn the_configured_share_of_packets_is_reordered() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(10), 10 * MS).queue(u64::MAX).reordering(0.1, Duration::from_micros(3_500));
        let probe = Probe::new(&network, &config);
        probe.send(0..2000);
        let arrivals = probe.arrivals().await;
        let (late, prompt): (Vec<_>, Vec<_>) = arrivals.iter().partition(|(n, at)| *at > MS * (n + 1) + 6 * MS);
        assert!(late.len().abs_diff(200) < 60, "{} were late", late.len()); // the standard deviation is 13
        assert!(late.iter().all(|(n, at)| is_on_time(*at, MS * (n + 1) + Duration::from_micros(8_500))));
        assert!(prompt.iter().all(|(n, at)| is_on_time(*at, MS * (n + 1) + 5 * MS)));
        assert!(!arrivals.is_sorted());
    });
}

#[test]
fn the_configured_share_of_packets_is_duplicated() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::ideal().duplication(0.2));
        probe.send(0..2000);
        let numbers = probe.numbers().await;
        let twice = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
        assert!(twice.abs_diff(400) < 90, "{twice}"); // the standard deviation is 18
        assert_eq!(numbers.len() as u64, 2000 + twice);
        let counters = probe.link.counters();
        assert_eq!((counters.duplicated, counters.delivered), (tally(twice), tally(2000 + twice)));
    });
}

#[test]
fn the_same_seed_gives_every_packet_the_same_outcome() {
    let config = || LinkConfig::ideal().loss(0.1).bursts(0.05, 3.0).duplication(0.1).reordering(0.1, 2 * MS).jitter(MS);
    let run = |seed: u64, config: LinkConfig, other: LinkConfig| {
        run_in_virtual_time(seed, async |network| {
            let others = Probe::new(&network, &other);
            let probe = Probe::new(&network, &config);
            for i in 0..500 {
                probe.send([i]);
                others.send([i]);
                sleep(MS).await;
            }
            probe.arrivals().await
        })
    };
    let first = run(1, config(), LinkConfig::ideal());
    assert_eq!(run(1, config(), LinkConfig::ideal()), first);
    assert_eq!(run(1, config(), config()), first, "the outcomes on one link depend on another link");
    assert_ne!(run(2, config(), LinkConfig::ideal()), first);
    let numbers = |arrivals: &[(u32, Duration)]| {
        let mut numbers: Vec<_> = arrivals.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    };
    let plain = run(1, LinkConfig { jitter: Duration::ZERO, reordering: None, ..config() }, LinkConfig::ideal());
    assert_eq!(numbers(&plain), numbers(&first), "loss depends on jitter and reordering");
}
