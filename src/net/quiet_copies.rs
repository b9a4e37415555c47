//! A filter that sends a client's small datagrams twice while its socket is quiet.
//!
//! The packets of a handshake, a request and a confirmation are single small datagrams, and nothing follows them. When
//! the network loses one, QUIC notices after a probe timeout: early in a connection that is three round trips (RFC 9002
//! section 6.2). If the last packet of the client's handshake is lost, the server also drops the request that follows
//! it, and a download over 360 ms begins 1.3 s late. A second copy avoids nearly all of that. The peer discards
//! duplicates (RFC 9000 section 12.3).
//!
//! Only clients do this. A server answers addresses that it has not verified, and must not send them more than needed.

use std::{io, time::Duration};

use quinn::{AsyncUdpSocket, udp::Transmit};
use tokio::time::Instant;

use super::filtered_socket::DatagramFilter;
use crate::sync::Mutex;

/// The socket is quiet while it sends at most this many datagrams in an interval and the one before. The
/// acknowledgements of a fast download are more.
const MAX_DATAGRAMS: usize = 4;

/// The length of an interval.
const INTERVAL: Duration = Duration::from_millis(50);

/// Larger datagrams, which contain content or probe the path MTU, are sent once. A client's first datagram has 1,200
/// bytes.
const MAX_SIZE: usize = 1200;

/// Copies a client's datagrams while it is quiet.
pub(super) struct QuietCopies {
    recent: Mutex<RecentDatagrams>,
}

impl QuietCopies {
    pub(super) fn new() -> Self {
        Self { recent: Mutex::new(RecentDatagrams::new(Instant::now())) }
    }
}

impl DatagramFilter for QuietCopies {
    fn send(&self, socket: &dyn AsyncUdpSocket, transmit: &Transmit<'_>) -> io::Result<()> {
        socket.try_send(transmit)?;
        let length = transmit.contents.len();
        let datagrams = transmit.segment_size.map_or(1, |segment| length.div_ceil(segment.max(1)));
        let is_quiet = self.recent.lock().add(datagrams, Instant::now());
        if is_quiet && datagrams == 1 && length <= MAX_SIZE {
            let _ = socket.try_send(transmit); // the first copy is on its way
        }
        Ok(())
    }
}

/// Counts the datagrams of this interval and the one before.
#[derive(Debug)]
struct RecentDatagrams {
    interval_start: Instant,
    current: usize,
    previous: usize,
}

impl RecentDatagrams {
    fn new(now: Instant) -> Self {
        Self { interval_start: now, current: 0, previous: 0 }
    }

    /// Adds datagrams. Returns whether the socket is quiet.
    fn add(&mut self, datagrams: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.interval_start);
        if elapsed >= INTERVAL {
            let previous = if elapsed < 2 * INTERVAL { self.current } else { 0 };
            *self = Self { interval_start: now, current: 0, previous };
        }
        self.current += datagrams;
        self.current + self.previous <= MAX_DATAGRAMS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_datagrams_after_a_pause_are_copied() {
        let start = Instant::now();
        let mut recent = RecentDatagrams::new(start);
        let copied: Vec<bool> = (0..6).map(|_| recent.add(1, start)).collect();
        assert_eq!(copied, [true, true, true, true, false, false]);
        assert!(!recent.add(1, start + INTERVAL), "the interval before was busy");
        assert!(recent.add(1, start + 4 * INTERVAL), "two quiet intervals have passed");
    }

    #[test]
    fn acknowledgements_of_a_fast_download_are_sent_once() {
        let start = Instant::now();
        let mut recent = RecentDatagrams::new(start);
        let copies = (0..1000).filter(|&ms| recent.add(1, start + Duration::from_millis(ms))).count();
        assert_eq!(copies, MAX_DATAGRAMS);
    }

    #[test]
    fn a_batch_of_datagrams_counts_as_all_of_them() {
        let mut recent = RecentDatagrams::new(Instant::now());
        assert!(!recent.add(MAX_DATAGRAMS + 1, Instant::now()));
    }
}
