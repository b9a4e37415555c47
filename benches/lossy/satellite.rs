//! A satellite leg: fast down, slow up, and a long round trip.

use std::{slice::from_ref, time::Duration};

use qshare::relay::RelayConfig;

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

/// Measures the leg without and with loss and prints the table.
pub(super) fn run() {
    println!(
        "\n100 MB over one leg of {DOWN} Mbit/s down and {UP} Mbit/s up, {ROUND_TRIP:?}; the relay is next to the sender.\n"
    );
    println!("   loss | bytes alone s | request to end s | upstream Mbit/s, packets per 100 packets down | overflowed");
    for result in run_all([0.0, LOSS].map(|loss| move || measure(loss)).into()) {
        println!("{}", result.unwrap_or_else(|| "failed".to_owned()));
    }
}

fn measure(loss: f64) -> String {
    run_in_virtual_time(1, async |network: Network| {
        let down = LinkConfig::new(mbit(DOWN), ROUND_TRIP).loss(loss);
        let up = LinkConfig::new(mbit(UP), ROUND_TRIP).loss(loss);
        let near = LinkConfig::new(mbit(1000), Duration::from_millis(1));
        let leg = NetworkPath { forward: vec![network.link(&up)], reverse: vec![network.link(&down)] };
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", BYTES);
        let sharing = scenario.share(&network.path(&near), from_ref(&file)).await.unwrap();
        let download = scenario.download(&leg, &sharing.code).await.unwrap();
        let (sent, acks) = (leg.reverse[0].counters(), leg.forward[0].counters());
        let seconds = download.finished.seconds;
        format!(
            "{:>5.2} % | {:>13.2} | {seconds:>16.2} | {:>15.2}, {:.1} | {}",
            loss * 100.0,
            BYTES as f64 / down.max_goodput(),
            acks.offered.bytes as f64 * 8e-6 / download.duration.as_secs_f64(),
            acks.offered.packets as f64 * 100.0 / sent.offered.packets as f64,
            sent.overflowed.packets,
        )
    })
}
