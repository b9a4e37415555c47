//! Announcements, searches and downloads on emulated local networks. Needs root, Linux, iproute2 and nftables:
//!
//! ```text
//! apt-get install iproute2 nftables
//! cargo test --test it local_network -- --ignored --nocapture --test-threads 1
//! ```
//!
//! - [`announcements`]: what is announced and found.
//! - [`downloads`]: the program with a bare code, without name servers, default routes and configured relays.

mod announcements;
mod downloads;

/// Prints the median and the worst of these times.
fn print_times(what: &str, mut times: Vec<std::time::Duration>) {
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!("{what}: median {} ms, worst {} ms of {}", median.as_millis(), worst.as_millis(), times.len());
}
