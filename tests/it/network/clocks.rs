//! Virtual time: its determinism, and its agreement with the real clock.

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

/// Returns a transport configuration whose windows exceed every bandwidth-delay product of these tests.
fn wide_windows() -> TransportConfig {
    const WINDOW: u32 = 16 * 1024 * 1024;
    let mut config = TransportConfig::default();
    config.stream_receive_window(WINDOW.into()).send_window(WINDOW.into());
    config
}

/// Transfers `bytes` over a path with this configuration in both directions. Returns the forward link's counters too.
async fn transfer(network: &Network, config: &LinkConfig, bytes: u64) -> (BulkTransfer, LinkCounters) {
    let path = network.path(config);
    let pair = QuicPair::connect(network, &path, wide_windows(), wide_windows()).await;
    let transfer = pair.transfer(bytes).await;
    (transfer, path.forward[0].counters())
}

#[test]
fn the_clock_waits_for_blocking_work() {
    run_in_virtual_time(1, async |network| {
        // Packets in every step make the driver advance the clock between the ticks.
        let config = LinkConfig::new(mbit(100), 5 * MS);
        let traffic = network.clone();
        let transferring = spawn(async move { transfer(&traffic, &config, 2_000_000).await });
        for i in 0..50 {
            sleep(Duration::from_micros(1_730)).await;
            let began = Instant::now();
            for _ in 0..3 {
                let work = move || thread::sleep(Duration::from_micros(100 * (i % 4)));
                spawn_blocking(work).await.unwrap();
            }
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
        transferring.await.unwrap();
    });
}

#[test]
#[should_panic(expected = "the test waits for an event that never happens")]
fn a_wait_for_an_event_that_never_happens_panics() {
    run_in_virtual_time(1, async |_| std::future::pending::<()>().await);
}

#[test]
fn a_transfer_of_a_quic_pair_repeats_to_the_packet() {
    let config = LinkConfig::new(mbit(50), 20 * MS).loss(0.005).jitter(MS).duplication(0.01);
    let run = |seed| {
        run_in_virtual_time(seed, async |network| {
            let (transfer, counters) = transfer(&network, &config, 1_000_000).await;
            (transfer.duration, transfer.stats.path.lost_packets, counters)
        })
    };
    let first = run(1);
    assert_eq!(run(1), first);
    assert_ne!(run(2), first);
}

#[test]
fn the_measured_rtt_is_that_of_the_path() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(1000), Duration::from_micros(2_300));
        let (transfer, _) = transfer(&network, &config, 10_000).await;
        let min_rtt = transfer.stats.path.min_rtt;
        assert!(min_rtt >= Duration::from_micros(2_300), "{min_rtt:?}");
        assert!(min_rtt < Duration::from_micros(2_320) + 2 * STEP, "{min_rtt:?}");
    });
}

/// Runs the same transfer on both clocks and returns both durations.
fn durations_on_both_clocks(config: &LinkConfig, bytes: u64) -> [Duration; 2] {
    let work = async |network: Network| {
        let (transfer, counters) = transfer(&network, config, bytes).await;
        println!("{:?} {counters:?}", transfer.duration);
        transfer.duration
    };
    [run_in_virtual_time(1, work), run_in_real_time(1, work)]
}

#[test]
fn the_real_clock_is_not_faster_than_virtual_time() {
    // This holds on a busy machine too: the link takes half a second to transmit the bytes.
    let [in_virtual, in_real] = durations_on_both_clocks(&LinkConfig::new(mbit(4), 40 * MS).queue(u64::MAX), 250_000);
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
        let [in_virtual, in_real] = durations_on_both_clocks(&config, bytes);
        let ratio = in_real.as_secs_f64() / in_virtual.as_secs_f64();
        assert!((0.8..1.25).contains(&ratio), "{in_real:?} instead of {in_virtual:?}");
    }
}
