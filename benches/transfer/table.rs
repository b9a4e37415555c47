//! Prints the measurements as a table.

use crate::{case::Case, measurement::Measurement, support::process::ResourceUsage};

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Below this many bytes, starting the processes takes most of the time, and figures per byte are meaningless.
const MIN_BYTES: f64 = 1e7;

/// Prints a row for each case.
pub(super) fn print<'a>(rows: impl Iterator<Item = (&'a Case, &'a Vec<Measurement>)>) {
    println!(
        "{:33} | {:^23} | {:^23} | {:^20} | {:^20} | {:>5}",
        "", "MB/s", "seconds", "CPU s per GiB", "peak memory, MiB", "Jain"
    );
    println!(
        "{:33} | {:>7} {:>7} {:>7} | {:>7} {:>7} {:>7} | {:>6} {:>6} {:>6} | {:>6} {:>6} {:>6} |",
        "", "median", "min", "max", "median", "min", "max", "send", "relay", "recv", "send", "relay", "recv"
    );
    println!("{}", "-".repeat(33 + 2 * 26 + 2 * 23 + 8));
    for (case, measurements) in rows {
        println!("{}", row(case, measurements));
    }
    println!(
        "\nMB and kB are decimal, GiB and MiB binary. Seconds: from the start of the receiving process to its\n\
         `finished` event. MB/s: all receivers together. CPU: user and system time of a process's whole life, per GiB\n\
         delivered. Memory: the highest peak of any process. Jain: the fairness index of the receivers' rates in the\n\
         worst round. Bare stream: quinn with its defaults except for windows of 16 MiB; one process writes zeros,\n\
         one discards them. One hop, no relay, no files, no second encryption."
    );
}

fn row(case: &Case, measurements: &[Measurement]) -> String {
    let seconds = Spread::new(measurements.iter().flat_map(|m| m.seconds.iter().copied()));
    let rates = Spread::new(measurements.iter().flat_map(|m| m.seconds.iter().map(|s| m.bytes as f64 / 1e6 / s)));
    let is_tiny = measurements.iter().all(|m| delivered(m) < MIN_BYTES);
    let cpu = |usage: fn(&Measurement) -> ResourceUsage| cpu_per_gib(measurements, usage);
    let peak = |usage: fn(&Measurement) -> ResourceUsage| {
        let peak = measurements.iter().filter_map(|m| usage(m).peak_memory).max();
        format_cell(peak.map(|bytes| bytes as f64 / MIB), 1)
    };
    let (sender, relay, receivers) =
        (|m: &Measurement| m.sender, |m: &Measurement| m.relay, |m: &Measurement| m.receivers);
    let fairness = measurements.iter().filter_map(|m| m.fairness).reduce(f64::min);
    format!(
        "{:33} | {} | {} | {} {} {} | {} {} {} | {}",
        case.description,
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

fn delivered(measurement: &Measurement) -> f64 {
    (measurement.bytes * measurement.seconds.len() as u64) as f64
}

/// Returns the median over the rounds.
fn cpu_per_gib(measurements: &[Measurement], usage: fn(&Measurement) -> ResourceUsage) -> String {
    let per_gib = |m: &Measurement| {
        let bytes = delivered(m);
        usage(m).cpu.filter(|_| bytes >= MIN_BYTES).map(|cpu| cpu * GIB / bytes)
    };
    let all: Vec<f64> = measurements.iter().filter_map(per_gib).collect();
    format_cell((!all.is_empty()).then(|| Spread::new(all.into_iter()).median), 2)
}

fn format_cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| format!("{:>6}", "n/a"), |value| format!("{value:>6.digits$}"))
}

struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// Computes the spread of at least one value.
    fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Self { median, min: values[0], max: values[values.len() - 1] }
    }

    /// Returns three cells with as many digits as are significant.
    fn cells(&self) -> String {
        let digits = if self.median < 10.0 { 3 } else { 1 };
        let [median, min, max] = [self.median, self.min, self.max].map(|value| format!("{value:>7.digits$}"));
        format!("{median} {min} {max}")
    }
}
