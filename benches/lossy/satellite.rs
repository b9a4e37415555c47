//! A satellite leg: fast down, slow up, and a long round trip.

use std::{slice::from_ref, time::Duration};

use qshare::internals::relay::RelayConfig;

use crate::{
    parallel::run_all,
    vnet::{LinkConfig, Network, NetworkPath, Scenario, mbit, run_in_virtual_time},
};

/// Mbit/s to the receiver.
const DOWN: u64 = 250;

/// Mbit/s to the relay.
const UP: u64 = 3;

const ROUND_TRIP: Duration = Duration::from_millis(600);

const BYTES: usize = 100_000_000;

/// One packet in 64.
const LOSS: f64 = 1.0 / 64.0;

/// The seeds over which the figures are averaged: which packets are lost several times is chance.
const SEEDS: u64 = 5;

/// The figures of one transfer.
struct Transfer {
    /// From the request to the end.
    seconds: f64,
    /// Mbit/s from the receiver to the relay.
    upstream: f64,
    /// Packets from the receiver per 100 packets to it.
    packets: f64,
    /// Packets to the receiver that a full queue dropped.
    overflowed: u64,
}

/// Measures the leg without and with loss and prints the table.
pub(super) fn run() {
    println!(
        "\n100 MB over one leg of {DOWN} Mbit/s down and {UP} Mbit/s up, {ROUND_TRIP:?}; the relay is next to the sender; \
         {SEEDS} seeds.\n"
    );
    println!("   loss | limit s | mean s   range s      | upstream Mbit/s, packets per 100 packets down | overflowed");
    let jobs = [0.0, LOSS].into_iter().flat_map(|loss| (1..=SEEDS).map(move |seed| move || measure(loss, seed)));
    let mut results = run_all(jobs.collect()).into_iter();
    for loss in [0.0, LOSS] {
        let all: Vec<Transfer> = results.by_ref().take(SEEDS as usize).flatten().collect();
        let mean = |figure: fn(&Transfer) -> f64| all.iter().map(figure).sum::<f64>() / all.len() as f64;
        let (min, max) =
            all.iter().fold((f64::INFINITY, 0f64), |(min, max), t| (min.min(t.seconds), max.max(t.seconds)));
        println!(
            "{:>5.2} % | {:>7.2} | {:>6.2}   {min:>5.2} to {max:>5.2} | {:>15.2}, {:.1} | {}",
            loss * 100.0,
            BYTES as f64 / down(loss).max_goodput(),
            mean(|t| t.seconds),
            mean(|t| t.upstream),
            mean(|t| t.packets),
            all.iter().map(|t| t.overflowed).sum::<u64>(),
        );
    }
}

fn down(loss: f64) -> LinkConfig {
    LinkConfig::new(mbit(DOWN), ROUND_TRIP).loss(loss)
}

fn measure(loss: f64, seed: u64) -> Transfer {
    run_in_virtual_time(seed, async |network: Network| {
        let up = LinkConfig::new(mbit(UP), ROUND_TRIP).loss(loss);
        let near = LinkConfig::new(mbit(1000), Duration::from_millis(1));
        let leg = NetworkPath { forward: vec![network.link(&up)], reverse: vec![network.link(&down(loss))] };
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", BYTES);
        let sharing = scenario.share(&network.path(&near), from_ref(&file)).await.unwrap();
        let download = scenario.download(&leg, &sharing.code).await.unwrap();
        let (content, acks) = (leg.reverse[0].counters(), leg.forward[0].counters());
        Transfer {
            seconds: download.finished.seconds,
            upstream: acks.offered.bytes as f64 * 8e-6 / download.duration.as_secs_f64(),
            packets: acks.offered.packets as f64 * 100.0 / content.offered.packets as f64,
            overflowed: content.overflowed.packets,
        }
    })
}
