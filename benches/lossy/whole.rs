//! Whole transfers, from the start of the receiver to its exit.

use std::{slice::from_ref, time::Duration};

use qshare::internals::relay::RelayConfig;

use crate::{
    parallel::run_all,
    vnet::{LinkConfig, Network, Scenario, mbit, run_in_virtual_time},
};

/// Mbit/s.
const RATE: u64 = 50;

/// The time that the bytes take at the highest goodput of a leg.
const SECONDS: f64 = 8.0;

/// The seeds over which the figures are averaged: how the last packets are lost is chance.
const SEEDS: u64 = 20;

/// The round-trip time of both legs together in milliseconds, and the loss of each leg.
const PATHS: [(u64, f64); 3] = [(132, 0.03), (160, 0.04), (360, 0.07)];

/// Measures all paths and prints the table.
pub(super) fn run() {
    println!("\n{SECONDS} s of content at {RATE} Mbit/s, from the start of recv to its exit, {SEEDS} seeds.\n");
    println!("    path  loss/leg | limit s | mean s   range s      | share of the limit");
    let jobs = PATHS
        .iter()
        .flat_map(|&(round_trip, loss)| (1..=SEEDS).map(move |seed| move || seconds(round_trip, loss, seed)));
    let mut results = run_all(jobs.collect()).into_iter();
    for (round_trip, loss) in PATHS {
        let all: Vec<f64> = results.by_ref().take(SEEDS as usize).flatten().collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let (min, max) = all.iter().fold((f64::INFINITY, 0f64), |(min, max), x| (min.min(*x), max.max(*x)));
        let (percent, share) = (loss * 100.0, SECONDS / mean);
        println!(
            "{round_trip:>5} ms {percent:>7.0} % | {SECONDS:>7.2} | {mean:>6.2}   {min:>5.2} to {max:>5.2} | {share:.3}"
        );
    }
}

fn seconds(round_trip: u64, loss: f64, seed: u64) -> f64 {
    run_in_virtual_time(seed, async |network: Network| {
        let link = LinkConfig::new(mbit(RATE), Duration::from_millis(round_trip) / 2).loss(loss);
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", (link.max_goodput() * SECONDS) as usize);
        let sharing = scenario.share(&network.path(&link), from_ref(&file)).await.unwrap();
        scenario.download(&network.path(&link), &sharing.code).await.unwrap().duration.as_secs_f64()
    })
}
