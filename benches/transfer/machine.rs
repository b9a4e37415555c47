//! The machine that the figures are of.

use std::{fs, thread};

/// Processor, cores, kernel, and how busy others keep it.
pub(super) fn describe() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpu = value_of("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let line = |path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let kernel = line("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = line("/proc/loadavg").and_then(|text| Some(text.split_once(' ')?.0.to_owned()));
    let load = load.map_or_else(String::new, |load| format!(", load {load} at the start"));
    format!("{cpu}, {cores} cores, {} {kernel}{load}", std::env::consts::OS)
}

/// Bytes of memory that are free to use, where the system tells.
pub(super) fn free_memory() -> Option<u64> {
    kibibytes(&value_of("/proc/meminfo", "MemAvailable")?)
}

/// The first value under a name in one of the kernel's lists of `name: value`.
pub(super) fn value_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(n, _)| n.trim() == name)?;
    Some(value.trim().to_owned())
}

/// `12 kB` in bytes.
pub(super) fn kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
