//! The bytes between the sender and the receivers are bounded by each receiver's window.

use std::{cell::Cell, slice::from_ref};

use qshare::internals::relay::{MemoryBudget, RelayConfig};
use tokio::{join, time::sleep};

use super::{
    super::{
        join_all::join_all,
        units::{MIB, MS, SECOND},
    },
    harness::{FIRST_LEG, max_direction_bytes, relay_with_budget, unbounded_queue},
};
use crate::vnet::{EmulatedLink, NetworkPath, Scenario, mbit, run_in_virtual_time};

/// Twenty receivers' legs: rates in Mbit/s, round-trip times in milliseconds, and lost packets per million.
const TWENTY_LEGS: [(u64, u32, u32); 20] = [
    (1, 100, 0),
    (2, 20, 0),
    (3, 60, 0),
    (5, 10, 0),
    (8, 200, 0),
    (10, 40, 20),
    (15, 5, 0),
    (20, 80, 0),
    (25, 30, 0),
    (30, 150, 0),
    (40, 10, 20),
    (50, 25, 0),
    (60, 60, 0),
    (70, 15, 0),
    (80, 100, 0),
    (90, 40, 0),
    (100, 5, 20),
    (120, 30, 0),
    (150, 50, 0),
    (200, 20, 0),
];

/// Downloads over the selected ones of the twenty legs. Returns the goodputs, and the most bytes that were between the
/// sender and all receivers.
fn download_over(selected: impl Fn(usize) -> bool, memory: &MemoryBudget) -> (Vec<f64>, u64) {
    const SIZE: usize = 8_000_000;
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig { memory: memory.clone(), ..RelayConfig::default() });
        let file = scenario.scratch.file("file", SIZE);
        let up = network.path(&unbounded_queue(mbit(2500), FIRST_LEG));
        let share = scenario.share(&up, from_ref(&file)).await.unwrap();
        // All links exist in every run, and a receiver has the same address in every run. So it meets the same losses.
        let downs = TWENTY_LEGS.map(|(rate, round_trip, lost)| {
            network.path(&unbounded_queue(mbit(rate), MS * round_trip).loss(f64::from(lost) / 1e6))
        });
        let download = async |number: usize| {
            if !selected(number) {
                network.host();
                return None;
            }
            let download = scenario.download(&downs[number], &share.code).await.unwrap();
            assert!(download.contains_copy_of(&file));
            Some(download.goodput())
        };
        let all = join_all((0..TWENTY_LEGS.len()).map(download));
        let (goodputs, max_in_flight) = measure_in_flight(&up, &downs, all).await;
        share.stop().await.unwrap();
        scenario.stop().await;
        (goodputs.into_iter().flatten().collect(), max_in_flight)
    })
}

/// Runs `work` and returns its result with the most bytes that had passed the first leg and not yet the second, headers
/// included. Both legs have about the same headers.
async fn measure_in_flight<T>(up: &NetworkPath, downs: &[NetworkPath], work: impl Future<Output = T>) -> (T, u64) {
    let passed = |link: &EmulatedLink| link.counters().delivered.bytes;
    let max = Cell::new(0);
    let sampling = async {
        loop {
            let delivered: u64 = downs.iter().map(|down| passed(&down.reverse[0])).sum();
            max.set(max.get().max(passed(&up.forward[0]).saturating_sub(delivered)));
            sleep(MS).await;
        }
    };
    tokio::select! {
        result = work => (result, max.get()),
        () = sampling => unreachable!("sampling is endless"),
    }
}

#[test]
fn twenty_receivers_are_each_as_fast_as_alone() {
    let memory = MemoryBudget::new(usize::MAX);
    let (together, max_in_flight) = download_over(|_| true, &memory);
    assert_eq!(together.len(), TWENTY_LEGS.len());
    let usage = memory.usage();
    println!("{usage:?}");
    for (number, ((rate, round_trip, lost), goodput)) in TWENTY_LEGS.into_iter().zip(&together).enumerate() {
        let alone = download_over(|n| n == number, &MemoryBudget::new(usize::MAX)).0[0];
        let ratio = goodput / alone;
        println!(
            "{rate:3} Mbit/s, {round_trip:3} ms, {lost:2} ppm lost: {:6.2} Mbit/s, alone {:6.2}, ratio {ratio:.3}",
            goodput / 1e6,
            alone / 1e6
        );
        assert!(ratio > 0.9, "{ratio}");
    }
    // A window is five bandwidth-delay products of the path, and at least the first window.
    let window = |(rate, round_trip, _): (u64, u32, u32)| {
        let round_trip = MS * round_trip + FIRST_LEG;
        (4 * MIB).max((5.0 * mbit(rate) as f64 * round_trip.as_secs_f64()) as u64)
    };
    let windows: u64 = TWENTY_LEGS.into_iter().map(window).sum();
    println!("all windows: {windows}, most bytes in flight: {max_in_flight}");
    assert!(max_in_flight <= windows, "{max_in_flight}");
    assert!(usage.peak as u64 <= windows, "{usage:?}");
    assert!(usage.largest <= max_direction_bytes(RelayConfig::default().max_bridge_bytes), "{usage:?}");
    assert_eq!((usage.held, usage.directions, usage.evicted), (0, 0, 0));
}

#[test]
fn a_slow_receiver_keeps_its_first_window() {
    const FIRST_WINDOW: u64 = 2 * MIB; // an eighth of the bound
    run_in_virtual_time(1, async |network| {
        let (scenario, memory) = relay_with_budget(&network, 16 * MIB, 1024 * MIB);
        let file = scenario.scratch.file("file", 6_000_000);
        let up = network.path(&unbounded_queue(mbit(1000), FIRST_LEG));
        let down = network.path(&unbounded_queue(mbit(1) / 2, 50 * MS));
        let share = scenario.share(&up, from_ref(&file)).await.unwrap();
        let (download, max) = measure_in_flight(&up, from_ref(&down), scenario.download(&down, &share.code)).await;
        let download = download.unwrap();
        assert!(download.contains_copy_of(&file));
        println!("{:?}, most bytes in flight: {max}", memory.usage());
        assert!(max <= FIRST_WINDOW + FIRST_WINDOW / 8, "{max}"); // headers included
        assert!(memory.usage().largest as u64 <= FIRST_WINDOW + FIRST_WINDOW / 8, "{:?}", memory.usage());
        assert!(download.goodput() > 0.9 * 0.5e6, "{}", download.goodput());
        share.stop().await.unwrap();
        scenario.stop().await;
    });
}

#[test]
fn a_paused_receiver_leaves_at_most_its_steady_window_in_flight() {
    run_in_virtual_time(1, async |network| {
        let (scenario, memory) = relay_with_budget(&network, 16 * MIB, 1024 * MIB);
        let file = scenario.scratch.file("file", 15_000_000);
        let up = network.path(&unbounded_queue(mbit(1000), FIRST_LEG));
        let down = network.path(&unbounded_queue(mbit(100), 30 * MS));
        let share = scenario.share(&up, from_ref(&file)).await.unwrap();
        let pausing = async {
            sleep(700 * MS).await;
            scenario.receiver_hosts()[0].pause();
            sleep(4 * SECOND).await; // shorter than the idle timeout of a connection
            let usage = memory.usage();
            scenario.receiver_hosts()[0].resume();
            usage
        };
        let downloading = async { join!(scenario.download(&down, &share.code), pausing) };
        let ((download, usage), max) = measure_in_flight(&up, from_ref(&down), downloading).await;
        assert!(download.unwrap().contains_copy_of(&file));
        // Five bandwidth-delay products, with a rate that is a quarter higher while the sender probes. The window may
        // be twice that while it grows.
        let steady = (5.0 * 1.25 * mbit(100) as f64 * 0.04) as u64;
        println!("{usage:?}, most bytes in flight: {max}, steady window {steady}");
        assert!(max <= 2 * steady + steady / 8, "{max}"); // headers included
        assert!(usage.held as u64 <= steady + steady / 8, "{usage:?}"); // headers included
        share.stop().await.unwrap();
        scenario.stop().await;
    });
}
