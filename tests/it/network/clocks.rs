//! Virtual time, what repeats in it, and what the real clock says to the same scenario.

use std::{thread, time::Duration};

use quinn::TransportConfig;
use tokio::{
    task::{spawn, spawn_blocking},
    time::{Instant, sleep},
};

use super::units::MS;
use crate::vnet::{
    BulkTransfer, LinkConfig, LinkCounters, Network, QuicPair, STEP, mbit, run_in_real_time, run_in_virtual_time,
};

/// Windows that no line here fills.
fn wide() -> TransportConfig {
    const WINDOW: u32 = 16 * 1024 * 1024;
    let mut config = TransportConfig::default();
    config.stream_receive_window(WINDOW.into()).send_window(WINDOW.into());
    config
}

/// Moves bytes over a line that is the same in both directions; gives what the link there did too.
async fn moves(network: &Network, config: &LinkConfig, bytes: u64) -> (BulkTransfer, LinkCounters) {
    let path = network.path(config);
    let pair = QuicPair::connect(network, &path, wide(), wide()).await;
    let moved = pair.transfer(bytes).await;
    (moved, path.forward[0].counters())
}

#[test]
fn the_clock_waits_for_blocking_work() {
    run_in_virtual_time(1, async |network| {
        // Packets in every step keep the clock going between its ticks.
        let config = LinkConfig::new(mbit(100), 5 * MS);
        let traffic = network.clone();
        let moving = spawn(async move { moves(&traffic, &config, 2_000_000).await });
        for i in 0..50 {
            sleep(Duration::from_micros(1_730)).await;
            let began = Instant::now();
            for _ in 0..3 {
                let work = move || thread::sleep(Duration::from_micros(100 * (i % 4)));
                spawn_blocking(work).await.unwrap();
            }
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
        moving.await.unwrap();
    });
}

#[test]
#[should_panic(expected = "nothing will happen any more")]
fn what_never_happens_is_noticed() {
    run_in_virtual_time(1, async |_| std::future::pending::<()>().await);
}

#[test]
fn a_bare_transfer_repeats_to_the_packet() {
    let config = LinkConfig::new(mbit(50), 20 * MS).loss(0.005).jitter(MS).duplication(0.01);
    let run = |seed| {
        run_in_virtual_time(seed, async |network| {
            let (moved, counters) = moves(&network, &config, 1_000_000).await;
            (moved.duration, moved.stats.path.lost_packets, counters)
        })
    };
    let first = run(1);
    assert_eq!(run(1), first);
    assert_ne!(run(2), first);
}

#[test]
fn a_round_trip_is_as_long_as_the_line() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(1000), Duration::from_micros(2_300));
        let (moved, _) = moves(&network, &config, 10_000).await;
        let least = moved.stats.path.min_rtt;
        assert!(least >= Duration::from_micros(2_300), "{least:?}");
        assert!(least < Duration::from_micros(2_320) + 2 * STEP, "{least:?}");
    });
}

/// The same transfer on both clocks: how long it took on each.
fn on_both_clocks(config: &LinkConfig, bytes: u64) -> [Duration; 2] {
    let work = async |network: Network| {
        let (moved, counters) = moves(&network, config, bytes).await;
        println!("{:?} {counters:?}", moved.duration);
        moved.duration
    };
    [run_in_virtual_time(1, work), run_in_real_time(1, work)]
}

#[test]
fn the_real_clock_is_not_faster() {
    // However busy the machine is: the line takes half a second for this.
    let [in_virtual, in_real] = on_both_clocks(&LinkConfig::new(mbit(4), 40 * MS).queue(u64::MAX), 250_000);
    assert!(in_real > in_virtual.mul_f64(0.95), "{in_real:?} instead of {in_virtual:?}");
}

#[test]
#[ignore = "needs an idle machine: cargo test --release --test it both_clocks_agree -- --ignored --nocapture"]
fn both_clocks_agree() {
    for (config, bytes) in [
        (LinkConfig::new(mbit(20), 40 * MS), 2_000_000),
        (LinkConfig::new(mbit(100), 40 * MS), 5_000_000),
        (LinkConfig::new(mbit(20), 40 * MS).loss(0.01), 1_000_000),
    ] {
        let [in_virtual, in_real] = on_both_clocks(&config, bytes);
        let ratio = in_real.as_secs_f64() / in_virtual.as_secs_f64();
        assert!((0.8..1.25).contains(&ratio), "{in_real:?} instead of {in_virtual:?}");
    }
}
