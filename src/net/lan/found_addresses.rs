//! The addresses that a search has found.

use std::net::SocketAddr;

/// The maximum number of addresses of one search.
const MAX_ADDRESSES: usize = 64;

/// The maximum number of addresses with the same IP address. Many senders may run on one machine.
const MAX_PER_IP: usize = 32;

/// As many of the places are kept for IP addresses with fewer than [`RESERVED_PER_IP`] addresses, so that a few
/// responders that announce many ports cannot keep another one out.
const RESERVED: usize = 16;

/// See [`RESERVED`].
const RESERVED_PER_IP: usize = 2;

/// Addresses in the order in which they were found, each once. Hands them out fairly by IP address.
#[derive(Debug, Default)]
pub(super) struct FoundAddresses {
    all: Vec<FoundAddress>,
}

#[derive(Debug)]
struct FoundAddress {
    addr: SocketAddr,
    is_handed_out: bool,
}

impl FoundAddresses {
    /// Adds an address, unless it is known or there is no place for it.
    pub(super) fn insert(&mut self, addr: SocketAddr) {
        let is_known = self.all.iter().any(|found| found.addr == addr);
        let of_ip = self.all.iter().filter(|found| found.addr.ip() == addr.ip()).count();
        let limit = if self.all.len() < MAX_ADDRESSES - RESERVED { MAX_PER_IP } else { RESERVED_PER_IP };
        if !is_known && of_ip < limit && self.all.len() < MAX_ADDRESSES {
            self.all.push(FoundAddress { addr, is_handed_out: false });
        }
    }

    /// Returns an address that was not handed out before: the oldest one of an IP address of which the fewest were
    /// handed out.
    pub(super) fn hand_out(&mut self) -> Option<SocketAddr> {
        let handed_out_of = |addr: SocketAddr| {
            self.all.iter().filter(|found| found.is_handed_out && found.addr.ip() == addr.ip()).count()
        };
        let waiting = self.all.iter().enumerate().filter(|(_, found)| !found.is_handed_out);
        let (next, _) = waiting.min_by_key(|(_, found)| handed_out_of(found.addr))?;
        self.all[next].is_handed_out = true;
        Some(self.all[next].addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(host: u8, port: u16) -> SocketAddr {
        ([192, 0, 2, host], port).into()
    }

    #[test]
    fn each_address_is_handed_out_once() {
        let mut found = FoundAddresses::default();
        for port in [5000, 5001, 5000] {
            found.insert(addr(1, port));
        }
        assert_eq!(found.hand_out(), Some(addr(1, 5000)));
        found.insert(addr(1, 5000));
        assert_eq!(found.hand_out(), Some(addr(1, 5001)));
        assert_eq!(found.hand_out(), None);
    }

    #[test]
    fn an_ip_address_with_few_addresses_goes_first() {
        let mut found = FoundAddresses::default();
        for port in 5000..5010 {
            found.insert(addr(1, port));
        }
        assert_eq!(found.hand_out(), Some(addr(1, 5000)));
        found.insert(addr(2, 6000));
        assert_eq!(found.hand_out(), Some(addr(2, 6000)));
        assert_eq!(found.hand_out(), Some(addr(1, 5001)));
    }

    #[test]
    fn one_ip_address_cannot_fill_the_table() {
        let mut found = FoundAddresses::default();
        for port in 5000..6000 {
            found.insert(addr(1, port));
        }
        assert_eq!(found.all.len(), MAX_PER_IP);
    }

    #[test]
    fn a_few_ip_addresses_cannot_keep_another_one_out() {
        let mut found = FoundAddresses::default();
        for port in 5000..6000 {
            (1..=8).for_each(|host| found.insert(addr(host, port)));
        }
        found.insert(addr(9, 6000));
        assert_eq!(found.hand_out(), Some(addr(1, 5000)));
        let handed_out: Vec<_> = std::iter::from_fn(|| found.hand_out()).take(8).collect();
        assert!(handed_out.contains(&addr(9, 6000)), "{handed_out:?}");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut found = FoundAddresses::default();
        for host in 0..=255 {
            found.insert(addr(host, 5000));
        }
        assert_eq!(std::iter::from_fn(|| found.hand_out()).count(), MAX_ADDRESSES);
    }
}
