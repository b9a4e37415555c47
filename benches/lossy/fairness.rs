//! Fairness: how two flows share one bottleneck.

use std::time::Duration;

use qshare::internals::net::CongestionControl::{self, Auto, Cubic};

use crate::{
    parallel::run_all,
    vnet::{LinkConfig, Network, QuicPair, mbit, run_in_virtual_time},
};

/// How long both flows run.
const DURATION: Duration = Duration::from_secs(80);

/// The controllers of the two flows, in the order in which the flows start.
const PAIRS: [(&str, CongestionControl, CongestionControl); 4] = [
    ("qshare, then CUBIC", Auto, Cubic),
    ("CUBIC, then qshare", Cubic, Auto),
    ("qshare, then qshare", Auto, Auto),
    ("CUBIC, then CUBIC", Cubic, Cubic),
];

/// Measures all pairs on all bottlenecks and prints the shares.
pub(super) fn run() {
    println!(
        "\nThe first flow's share of the bottleneck, and Jain's index. {DURATION:?}; the second starts 5s later.\n"
    );
    print!("{:>16} {:>7} |", "bottleneck", "queue");
    PAIRS.iter().for_each(|(name, ..)| print!(" {name:^19} |"));
    println!();
    let bottlenecks: Vec<_> = [(10, 50), (50, 20), (50, 50), (100, 20), (100, 50)]
        .into_iter()
        .flat_map(|(rate, rtt)| [0.5, 1.0, 2.0].map(|queue| (rate, rtt, queue)))
        .collect();
    let jobs = bottlenecks
        .iter()
        .flat_map(|bottleneck| PAIRS.map(|(_, first, second)| move || first_share(*bottleneck, first, second)));
    let mut shares = run_all(jobs.collect()).into_iter();
    for (rate, rtt, queue) in bottlenecks {
        print!("{rate:>4} Mbit/s {rtt:>3} ms {queue:>3} BDP |");
        for share in shares.by_ref().take(PAIRS.len()) {
            match share {
                Some(x) => print!("   {x:.3}   {:.3}     |", 1.0 / (2.0 * (x * x + (1.0 - x) * (1.0 - x)))),
                None => print!(" {:^19} |", "failed"),
            }
        }
        println!();
    }
}

/// Returns the share of the first flow. The bottleneck has a rate in Mbit/s, a round-trip time in milliseconds and a
/// queue in bandwidth-delay products.
fn first_share((rate, rtt, queue): (u64, u64, f64), first: CongestionControl, second: CongestionControl) -> f64 {
    run_in_virtual_time(1, async |network: Network| {
        let link = LinkConfig::new(mbit(rate), Duration::from_millis(rtt));
        let queue_bytes = (link.queue as f64 * queue) as u64;
        QuicPair::bandwidth_share(&network, &link.queue(queue_bytes), [first, second], DURATION).await
    })
}
