//! Two flows through one queue: ours beside CUBIC, CUBIC beside itself, ours beside itself.

use std::time::Duration;

use qshare::net::CongestionControl::{self, Auto, Cubic};

use crate::{
    all,
    vnet::{LinkConfig, Network, QuicPair, mbit, run_in_virtual_time},
};

/// What is counted.
const COUNTED: Duration = Duration::from_secs(80);

const PAIRS: [(&str, CongestionControl, CongestionControl); 4] = [
    ("ours, then CUBIC", Auto, Cubic),
    ("CUBIC, then ours", Cubic, Auto),
    ("ours, then ours", Auto, Auto),
    ("CUBIC, then CUBIC", Cubic, Cubic),
];

pub(super) fn run() {
    println!("\nThe share of the first of two flows, {COUNTED:?} long, the second 5s later; Jain's index.\n");
    print!("{:>16} {:>7} |", "line", "queue");
    PAIRS.iter().for_each(|(name, ..)| print!(" {name:^19} |"));
    println!();
    let lines: Vec<_> = [(10, 50), (50, 20), (50, 50), (100, 20), (100, 50)]
        .into_iter()
        .flat_map(|(rate, rtt)| [0.5, 1.0, 2.0].map(|queue| (rate, rtt, queue)))
        .collect();
    let jobs = lines.iter().flat_map(|line| PAIRS.map(|(_, first, second)| move || together(*line, first, second)));
    let mut shares = all(jobs.collect()).into_iter();
    for (rate, rtt, queue) in lines {
        print!("{rate:>4} Mbit/s {rtt:>3} ms {queue:>3} BDP |");
        for share in shares.by_ref().take(PAIRS.len()) {
            match share {
                Some(x) => print!("   {x:.3}   {:.3}     |", 1.0 / (2.0 * (x * x + (1.0 - x) * (1.0 - x)))),
                None => print!(" {:^19} |", "ended"),
            }
        }
        println!();
    }
}

fn together((rate, rtt, queue): (u64, u64, f64), first: CongestionControl, second: CongestionControl) -> f64 {
    run_in_virtual_time(1, async |network: Network| {
        let line = LinkConfig::new(mbit(rate), Duration::from_millis(rtt));
        let length = (line.queue as f64 * queue) as u64;
        QuicPair::bandwidth_share(&network, &line.queue(length), [first, second], COUNTED).await
    })
}
