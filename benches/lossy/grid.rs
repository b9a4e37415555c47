//! Every rate with every distance with every kind of loss.

use std::{cell::Cell as Counter, slice::from_ref, time::Duration};

use qshare::{
    net::{CongestionControl, TransportOptions},
    relay::RelayConfig,
};
use tokio::time::{sleep, timeout};

use crate::{
    Result, all, picture,
    vnet::{LinkConfig, Network, STREAM_EFFICIENCY, Scenario, mbit, run_in_virtual_time},
};

const RATES: [u64; 3] = [10, 100, 300];
const ROUND_TRIPS: [u64; 3] = [10, 50, 200];

/// What the two legs lose, each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loss {
    pub(super) name: &'static str,
    pub(super) share: f64,
    /// The mean length of a burst, in packets.
    burst: Option<f64>,
}

pub(super) const LOSSES: [Loss; 8] = [
    Loss { name: "0", share: 0.0, burst: None },
    Loss { name: "0.1 %", share: 0.001, burst: None },
    Loss { name: "1 %", share: 0.01, burst: None },
    Loss { name: "2 %", share: 0.02, burst: None },
    Loss { name: "5 %", share: 0.05, burst: None },
    Loss { name: "10 %", share: 0.1, burst: None },
    Loss { name: "1 % by 4", share: 0.01, burst: Some(4.0) },
    Loss { name: "3 % by 12", share: 0.03, burst: Some(12.0) },
];

pub(super) const CONTROLLERS: [(&str, CongestionControl); 3] =
    [("ours", CongestionControl::Auto), ("CUBIC", CongestionControl::Cubic), ("BBR", CongestionControl::Bbr)];

/// Queues are looked at this often.
const SAMPLE: Duration = Duration::from_millis(5);

/// A transfer that is not done after so many times what the line needs is stopped.
const PATIENCE: f64 = 4.0;

/// What a transfer came to. Shares are of what the line can carry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    /// Between the middle of the content and its last tenth.
    pub(super) steady: f64,
    /// From the receiver's acceptance to the end.
    pub(super) whole: f64,
    /// Bytes on the line for each byte that it had to carry.
    pub(super) sent: f64,
    /// The mean round trip of a leg over its shortest.
    pub(super) round_trip: f64,
}

/// The cell of a table: rate, round trip, loss, and what each controller made of it.
pub(super) struct Cell {
    pub(super) rate: u64,
    pub(super) round_trip: u64,
    pub(super) loss: Loss,
    pub(super) outcomes: Vec<Option<Outcome>>,
}

pub(super) fn run() -> Result<()> {
    let lines: Vec<(u64, u64, Loss)> = RATES
        .into_iter()
        .flat_map(|rate| ROUND_TRIPS.map(|round_trip| (rate, round_trip)))
        .flat_map(|(rate, round_trip)| LOSSES.map(|loss| (rate, round_trip, loss)))
        .collect();
    let each = |&(rate, round_trip, loss): &(u64, u64, Loss)| {
        CONTROLLERS.map(|(_, congestion)| move || transfer(rate, round_trip, loss, congestion))
    };
    let mut outcomes = all(lines.iter().flat_map(each).collect()).into_iter().map(Option::flatten);
    let cell = |(rate, round_trip, loss)| {
        let outcomes = outcomes.by_ref().take(CONTROLLERS.len()).collect();
        Cell { rate, round_trip, loss, outcomes }
    };
    let cells: Vec<Cell> = lines.into_iter().map(cell).collect();
    print(&cells);
    picture::draw(&cells)
}

fn print(cells: &[Cell]) {
    println!(
        "Goodput as a share of the limit, steady (and whole); bytes sent per byte; mean round trip over the shortest."
    );
    println!(
        "Two legs of the same kind, the round trip is that of both; - is what was not done in {PATIENCE} times the time.\n"
    );
    print!("{:>16} {:>10} |", "line", "loss a leg");
    CONTROLLERS.iter().for_each(|(name, _)| print!(" {name:^29} |"));
    println!();
    for cell in cells {
        print!("{:>4} Mbit/s {:>3} ms {:>10} |", cell.rate, cell.round_trip, cell.loss.name);
        for outcome in &cell.outcomes {
            match outcome {
                Some(o) => print!(" {:>6.3} ({:.3})  {:>6.3}  {:>5.2} |", o.steady, o.whole, o.sent, o.round_trip),
                None => print!(" {:>29} |", "-"),
            }
        }
        println!();
    }
    for (i, (name, _)) in CONTROLLERS.iter().enumerate() {
        let all: Vec<f64> = cells.iter().map(|cell| cell.outcomes[i].map_or(0.0, |o| o.steady)).collect();
        let worst = all.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{name}: worst {worst:.3}, mean {:.3}", all.iter().sum::<f64>() / all.len() as f64);
    }
}

/// Content for so many seconds at full rate, and longer where the start-up is: a hundred round trips.
fn content(rate: u64, round_trip: u64) -> u64 {
    let seconds = (round_trip as f64 / 10.0).clamp(6.0, 15.0);
    (mbit(rate) as f64 * seconds) as u64
}

fn transfer(rate: u64, round_trip: u64, loss: Loss, congestion: CongestionControl) -> Option<Outcome> {
    run_in_virtual_time(1, async |network: Network| {
        let clean = LinkConfig::new(mbit(rate), Duration::from_millis(round_trip) / 2);
        let lossy = match loss.burst {
            Some(length) => clean.bursts(loss.share, length),
            None => clean.loss(loss.share),
        };
        let scenario = Scenario::with_transport(
            &network,
            RelayConfig::default(),
            TransportOptions { congestion, send_rate_limit: None },
        );
        let file = scenario.scratch.file("file", content(rate, round_trip) as usize);
        // Both directions of a leg lose alike.
        let (up, down) = (network.path(&lossy), network.path(&lossy));
        let limit = lossy.max_goodput();
        let longest = content(rate, round_trip) as f64 / limit * PATIENCE;
        let sharing = scenario.share(&up, from_ref(&file)).await.ok()?;
        let legs = [&up.forward[0], &down.reverse[0]];
        let queues = Counter::new(([0.0; 2], 0.0));
        let watching = async {
            loop {
                sleep(SAMPLE).await;
                let (mut sums, samples) = queues.get();
                for (sum, leg) in sums.iter_mut().zip(legs) {
                    *sum += leg.queued_bytes() as f64 / mbit(rate) as f64;
                }
                queues.set((sums, samples + 1.0));
            }
        };
        let received = tokio::select! {
            received = timeout(Duration::from_secs_f64(longest), scenario.download(&down, &sharing.code)) => received,
            () = watching => unreachable!(),
        };
        let received = received.ok()?.ok()?;
        let content = received.finished.bytes as f64;
        let offered = legs.iter().map(|leg| leg.counters().offered.bytes as f64).fold(0.0, f64::max);
        let (sums, samples) = queues.get();
        let queue = sums.into_iter().fold(0.0, f64::max) / samples;
        Some(Outcome {
            steady: received.steady_goodput() / 8.0 / limit,
            whole: received.goodput() / 8.0 / limit,
            sent: offered * STREAM_EFFICIENCY * lossy.delivery_ratio() / content,
            round_trip: 1.0 + queue / (round_trip as f64 / 2e3),
        })
    })
}
