//! The grid: every rate with every round-trip time and every kind of loss.

use crate::{
    chart,
    grid_cell::{CONTROLLERS, GridCell, LOSSES, LossPattern},
    parallel::run_all,
    support::Result,
    transfer::{TIME_LIMIT, transfer},
};

/// Mbit/s.
const RATES: [u64; 3] = [10, 100, 300];

/// Milliseconds, the sum of both legs.
const ROUND_TRIPS: [u64; 3] = [10, 50, 200];

/// Measures all cells, prints them and draws the chart.
pub(super) fn run() -> Result<()> {
    let paths: Vec<(u64, u64, LossPattern)> = RATES
        .into_iter()
        .flat_map(|rate| ROUND_TRIPS.map(|round_trip| (rate, round_trip)))
        .flat_map(|(rate, round_trip)| LOSSES.map(|loss| (rate, round_trip, loss)))
        .collect();
    let jobs = |&(rate, round_trip, loss): &(u64, u64, LossPattern)| {
        CONTROLLERS.map(|(_, congestion)| move || transfer(rate, round_trip, loss, congestion))
    };
    let mut results = run_all(paths.iter().flat_map(jobs).collect()).into_iter().map(Option::flatten);
    let cell = |(rate, round_trip, loss)| {
        let results = results.by_ref().take(CONTROLLERS.len()).collect();
        GridCell { rate, round_trip, loss, results }
    };
    let cells: Vec<GridCell> = paths.into_iter().map(cell).collect();
    print(&cells);
    chart::draw(&cells)
}

fn print(cells: &[GridCell]) {
    println!(
        "Goodput as a share of the limit: steady (whole transfer); bytes sent per byte; mean RTT over the minimum RTT."
    );
    println!(
        "Two equal legs; the RTT is the sum of both; - means not completed in {TIME_LIMIT} times the minimum time.\n"
    );
    print!("{:>16} {:>10} |", "path", "loss/leg");
    CONTROLLERS.iter().for_each(|(name, _)| print!(" {name:^29} |"));
    println!();
    for cell in cells {
        print!("{:>4} Mbit/s {:>3} ms {:>10} |", cell.rate, cell.round_trip, cell.loss.name);
        for result in &cell.results {
            match result {
                Some(r) => print!(
                    " {:>6.3} ({:.3})  {:>6.3}  {:>5.2} |",
                    r.steady_goodput, r.goodput, r.sent_per_byte, r.relative_rtt
                ),
                None => print!(" {:>29} |", "-"),
            }
        }
        println!();
    }
    for (i, (name, _)) in CONTROLLERS.iter().enumerate() {
        let all: Vec<f64> = cells.iter().map(|cell| cell.results[i].map_or(0.0, |r| r.steady_goodput)).collect();
        let worst = all.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{name}: worst {worst:.3}, mean {:.3}", all.iter().sum::<f64>() / all.len() as f64);
    }
}
