//! The outcomes as a table.

use super::{
    case::{Case, Outcome},
    process::Usage,
};

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Below so many bytes the start of the processes is all there is, and figures per byte say nothing.
const LEAST: f64 = 1e7;

/// Prints all cases, a line each.
pub(super) fn print<'a>(rows: impl Iterator<Item = (&'a Case, &'a Vec<Outcome>)>) {
    println!(
        "{:33} | {:^23} | {:^23} | {:^20} | {:^20} | {:>5}",
        "", "MB/s", "seconds", "CPU s per GiB", "peak memory, MiB", "Jain"
    );
    println!(
        "{:33} | {:>7} {:>7} {:>7} | {:>7} {:>7} {:>7} | {:>6} {:>6} {:>6} | {:>6} {:>6} {:>6} |",
        "", "median", "min", "max", "median", "min", "max", "send", "relay", "recv", "send", "relay", "recv"
    );
    println!("{}", "-".repeat(33 + 2 * 26 + 2 * 23 + 8));
    for (case, outcomes) in rows {
        println!("{}", row(case, outcomes));
    }
    println!(
        "\nMB and kB are decimal, GiB and MiB binary. Seconds run from the start of the receiving process to its word\n\
         that all is verified and named; MB/s is over all receivers. CPU is user and system, from start to end of a\n\
         process, per GiB delivered; memory is the highest of any process. Jain's index of the receivers' rates is that\n\
         of the worst round. The bare stream is quinn with its defaults\n\
         but for windows of 16 MiB, one process to write zeros and one to drop them: one hop, no relay, no files, no\n\
         second encryption."
    );
}

fn row(case: &Case, outcomes: &[Outcome]) -> String {
    let seconds = Spread::of(outcomes.iter().flat_map(|o| o.seconds.iter().copied()));
    let rates = Spread::of(outcomes.iter().flat_map(|o| o.seconds.iter().map(|s| o.bytes as f64 / 1e6 / s)));
    let is_tiny = outcomes.iter().all(|o| delivered(o) < LEAST);
    let cpu = |usage: fn(&Outcome) -> Usage| cpu_per_gib(outcomes, usage);
    let peak = |usage: fn(&Outcome) -> Usage| {
        let peak = outcomes.iter().filter_map(|o| usage(o).peak).max();
        cell(peak.map(|bytes| bytes as f64 / MIB), 1)
    };
    let (sender, relay, receivers) = (|o: &Outcome| o.sender, |o: &Outcome| o.relay, |o: &Outcome| o.receivers);
    let fairness = outcomes.iter().filter_map(|o| o.fairness).reduce(f64::min);
    format!(
        "{:33} | {} | {} | {} {} {} | {} {} {} | {}",
        case.what,
        if is_tiny { format!("{:>7} {:>7} {:>7}", "n/a", "n/a", "n/a") } else { rates.cells() },
        seconds.cells(),
        cpu(sender),
        cpu(relay),
        cpu(receivers),
        peak(sender),
        peak(relay),
        peak(receivers),
        fairness.map_or_else(String::new, |index| format!("{index:.3}"))
    )
}

fn delivered(outcome: &Outcome) -> f64 {
    (outcome.bytes * outcome.seconds.len() as u64) as f64
}

/// The median over the rounds.
fn cpu_per_gib(outcomes: &[Outcome], usage: fn(&Outcome) -> Usage) -> String {
    let per_gib = |o: &Outcome| {
        let bytes = delivered(o);
        usage(o).cpu.filter(|_| bytes >= LEAST).map(|cpu| cpu * GIB / bytes)
    };
    let all: Vec<f64> = outcomes.iter().filter_map(per_gib).collect();
    cell((!all.is_empty()).then(|| Spread::of(all.into_iter()).median), 2)
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| format!("{:>6}", "n/a"), |value| format!("{value:>6.digits$}"))
}

struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// Of at least one value.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Self { median, min: values[0], max: values[values.len() - 1] }
    }

    /// Three cells, with as many digits as mean something.
    fn cells(&self) -> String {
        let digits = if self.median < 10.0 { 3 } else { 1 };
        let [median, min, max] = [self.median, self.min, self.max].map(|value| format!("{value:>7.digits$}"));
        format!("{median} {min} {max}")
    }
}
