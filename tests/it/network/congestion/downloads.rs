//! Whole downloads through a relay: a slow second leg, impaired links, and rate limits.

use std::{num::NonZeroU64, slice::from_ref, sync::Arc};

use qshare::internals::{
    net::TransportOptions,
    rate_limiter::RateLimiter,
    relay::{MemoryBudget, MemoryUsage, RelayConfig},
};
use tokio::time::{Instant, timeout};

use super::super::units::{MS, SECOND};
use crate::vnet::{LinkConfig, Scenario, mbit, run_in_virtual_time};

#[test]
fn a_slow_second_leg_fills_at_most_the_first_window_in_the_relay() {
    const FIRST_WINDOW: usize = 4 << 20;
    run_in_virtual_time(1, async |network| {
        let memory = MemoryBudget::new(1 << 30);
        let config = RelayConfig { memory: memory.clone(), ..RelayConfig::default() };
        let scenario = Scenario::new(&network, config);
        let file = scenario.scratch.file("file", 20_000_000);
        let slow = LinkConfig::new(mbit(20), 100 * MS).loss(0.01);
        let share = scenario.share(&network.path(&LinkConfig::new(mbit(300), 20 * MS)), from_ref(&file)).await.unwrap();
        let download = scenario.download(&network.path(&slow), &share.code).await.unwrap();
        assert!(download.contains_copy_of(&file));
        let MemoryUsage { largest, .. } = memory.usage();
        let goodput = download.steady_goodput() / 8.0 / slow.max_goodput();
        println!("{goodput:.3} of the second leg, at most {largest} bytes in the relay");
        assert!(goodput >= 0.95, "{goodput}");
        assert!(largest <= FIRST_WINDOW, "{largest}");
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
            let share = scenario.share(&network.path(&config), from_ref(&file)).await.unwrap();
            let download = scenario.download(&network.path(&config), &share.code).await.unwrap();
            assert!(download.contains_copy_of(&file));
            println!("{what}: {:.3} of the highest goodput", download.goodput() / 8.0 / config.max_goodput());
        });
    }
}

#[test]
fn a_rate_limit_holds_for_two_receivers_together() {
    const LIMIT: u64 = 500_000;
    run_in_virtual_time(1, async |network| {
        let limiter = RateLimiter::new(NonZeroU64::new(LIMIT).unwrap());
        let config = LinkConfig::new(mbit(100), 20 * MS);
        let scenario = Scenario::with_transport(
            &network,
            RelayConfig::default(),
            TransportOptions { send_limiter: Some(Arc::new(limiter)), ..TransportOptions::default() },
        );
        let file = scenario.scratch.file("file", 5_000_000);
        let share = scenario.share(&network.path(&config), from_ref(&file)).await.unwrap();
        let paths = [network.path(&config), network.path(&config)];
        let began = Instant::now();
        let both = async {
            tokio::join!(scenario.download(&paths[0], &share.code), scenario.download(&paths[1], &share.code))
        };
        let (a, b) = timeout(60 * SECOND, both).await.unwrap();
        assert!(a.unwrap().contains_copy_of(&file) && b.unwrap().contains_copy_of(&file));
        let rate = 10e6 / began.elapsed().as_secs_f64();
        println!("two receivers together: {rate:.0} bytes per second");
        assert!((0.9..1.01).contains(&(rate / LIMIT as f64)), "{rate}");
    });
}
