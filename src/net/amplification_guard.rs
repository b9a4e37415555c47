//! A filter that sends an unknown address at most three times the bytes that came from it.
//!
//! An attacker can send a server the first packet of a handshake from a forged address. Until the address has proved
//! that it receives packets, the server may send it three times as many bytes as it got (RFC 9000 section 8.1). quinn
//! lets one packet exceed that limit. This filter counts the bytes to and from each such address and drops what is
//! beyond the limit; to quinn, such a packet is lost. An address that sends a Handshake or 1-RTT packet has read the
//! server's first packets, and quinn verifies that. From then on, quinn's own limit counts.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, IoSliceMut},
    net::SocketAddr,
};

use quinn::{
    AsyncUdpSocket,
    udp::{RecvMeta, Transmit},
};

use super::filtered_socket::DatagramFilter;
use crate::sync::Mutex;

/// How many times the received bytes may be sent.
const FACTOR: usize = 3;

/// The maximum number of addresses that are counted. With more, the oldest is forgotten, and quinn's own limit counts.
const MAX_ADDRESSES: usize = 4096;

/// Enforces the limit for a server.
#[derive(Default)]
pub(super) struct AmplificationGuard {
    budgets: Mutex<Budgets>,
}

impl DatagramFilter for AmplificationGuard {
    fn send(&self, socket: &dyn AsyncUdpSocket, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
        let allowed = self.budgets.lock().take(transmit.destination, transmit.contents.len(), segment);
        if allowed == 0 {
            return Ok(());
        }
        socket.try_send(&Transmit { contents: &transmit.contents[..allowed], ..transmit.clone() })
    }

    fn note_received(&self, bufs: &[IoSliceMut<'_>], meta: &[RecvMeta]) {
        let mut budgets = self.budgets.lock();
        for (buf, meta) in bufs.iter().zip(meta) {
            for datagram in buf[..meta.len].chunks(meta.stride.max(1)) {
                if let Some(packet) = FirstPacket::parse(datagram) {
                    budgets.note(meta.addr, packet, datagram.len());
                }
            }
        }
    }
}

/// The first packet of a datagram from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstPacket {
    /// Initial or 0-RTT: anyone can send it.
    Unverified,
    /// Handshake or 1-RTT: only a peer that has read the server's Initial packet can encrypt it.
    Verified,
}

impl FirstPacket {
    /// Parses the first byte of a datagram (RFC 9000 section 17.2).
    fn parse(datagram: &[u8]) -> Option<Self> {
        const LONG_HEADER: u8 = 0x80;
        const TYPE: u8 = 0x30;
        const HANDSHAKE: u8 = 0x20;
        let first = *datagram.first()?;
        let is_verified = first & LONG_HEADER == 0 || first & TYPE == HANDSHAKE;
        Some(if is_verified { Self::Verified } else { Self::Unverified })
    }
}

/// The bytes that may still be sent to each address.
#[derive(Default)]
struct Budgets {
    by_address: HashMap<SocketAddr, usize>,
    /// The addresses, the oldest first. It may contain addresses that are no longer counted.
    order: VecDeque<SocketAddr>,
}

impl Budgets {
    /// Counts a received datagram.
    fn note(&mut self, from: SocketAddr, packet: FirstPacket, bytes: usize) {
        match packet {
            FirstPacket::Verified if self.by_address.is_empty() => {} // the usual case, without hashing
            FirstPacket::Verified => {
                self.by_address.remove(&from);
            }
            FirstPacket::Unverified => {
                if !self.by_address.contains_key(&from) {
                    self.order.push_back(from);
                    if self.order.len() > MAX_ADDRESSES
                        && let Some(oldest) = self.order.pop_front()
                    {
                        self.by_address.remove(&oldest);
                    }
                }
                *self.by_address.entry(from).or_default() += FACTOR * bytes;
            }
        }
    }

    /// Takes `bytes` from the budget of an address. Returns how many of them may be sent: whole segments.
    fn take(&mut self, to: SocketAddr, bytes: usize, segment: usize) -> usize {
        let Some(left) = self.by_address.get_mut(&to) else { return bytes };
        let allowed = if bytes <= *left { bytes } else { *left / segment.max(1) * segment };
        *left -= allowed;
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn an_unknown_address_gets_three_times_its_bytes_in_whole_segments() {
        let mut budgets = Budgets::default();
        budgets.note(address(1), FirstPacket::Unverified, 1200);
        assert_eq!(budgets.take(address(1), 2400, 1200), 2400);
        assert_eq!(budgets.take(address(1), 2400, 1100), 1100);
        assert_eq!(budgets.take(address(1), 101, 101), 0);
        assert_eq!(budgets.take(address(1), 100, 100), 100);
        budgets.note(address(1), FirstPacket::Unverified, 10);
        assert_eq!(budgets.take(address(1), 30, 30), 30);
        assert_eq!(budgets.take(address(1), 1, 1), 0);
        assert_eq!(budgets.take(address(2), 1, 1), 1, "quinn answers only addresses that have sent something");
    }

    #[test]
    fn an_address_that_has_read_the_servers_packets_is_not_limited() {
        let mut budgets = Budgets::default();
        budgets.note(address(1), FirstPacket::Unverified, 1200);
        budgets.note(address(1), FirstPacket::Verified, 50);
        assert_eq!(budgets.take(address(1), 10_000, 1000), 10_000);
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let mut budgets = Budgets::default();
        for port in 0..=u16::MAX {
            budgets.note(address(port), FirstPacket::Unverified, 1200);
            budgets.note(address(port), FirstPacket::Unverified, 1200);
            assert!(budgets.order.len() <= MAX_ADDRESSES && budgets.by_address.len() <= MAX_ADDRESSES);
        }
    }

    #[test]
    fn packets_are_recognized_by_their_first_byte() {
        assert_eq!(FirstPacket::parse(&[0xc3]), Some(FirstPacket::Unverified));
        assert_eq!(FirstPacket::parse(&[0xe0]), Some(FirstPacket::Verified));
        assert_eq!(FirstPacket::parse(&[0x43]), Some(FirstPacket::Verified));
        assert_eq!(FirstPacket::parse(&[]), None);
    }
}
