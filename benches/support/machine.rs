//! The machine on which a benchmark runs.

use std::{fs, thread};

/// Describes processor, cores and kernel, and the load at the start.
pub(crate) fn describe() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpu = read_field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let read_line = |path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let kernel = read_line("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = read_line("/proc/loadavg").and_then(|text| Some(text.split_once(' ')?.0.to_owned()));
    let load = load.map_or_else(String::new, |load| format!(", load {load} at the start"));
    format!("{cpu}, {cores} cores, {} {kernel}{load}", std::env::consts::OS)
}

/// Returns the available memory in bytes, if the system reports it.
pub(crate) fn available_memory() -> Option<u64> {
    parse_kibibytes(&read_field("/proc/meminfo", "MemAvailable")?)
}

/// Returns the first value with this name in one of the kernel's files of `name: value` lines.
pub(crate) fn read_field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(n, _)| n.trim() == name)?;
    Some(value.trim().to_owned())
}

/// Parses `12 kB` and returns it in bytes.
pub(crate) fn parse_kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
