//! The connection ids of a relay: random, and marked so that the relay recognizes its own after a restart.
//!
//! A relay answers a packet of an unknown connection with a stateless reset (RFC 9000 section 10.3), so that a client
//! learns at once that the relay was restarted. The token in that reset is derived from the connection id. If others
//! could choose ids, they could collect the tokens of ids that are issued to clients later, and end those connections.
//! So an id has 96 random bits, which nobody can collect in advance, and a MAC. The relay answers only ids that it has
//! issued.

use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};
use zeroize::Zeroizing;

/// The number of random bytes of an id.
const RANDOM: usize = 12;

/// The number of bytes of its MAC. A forged id passes with probability 2⁻⁶⁴.
const MAC: usize = 8;

/// Generates and recognizes the connection ids of a relay.
pub(super) struct MarkedConnectionIds {
    key: Zeroizing<[u8; 32]>,
}

impl MarkedConnectionIds {
    /// Creates a generator whose ids every other generator with the same key recognizes.
    pub(super) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key }
    }

    /// Returns the MAC of the random part, truncated keyed BLAKE3.
    fn mac(&self, random: &[u8]) -> [u8; MAC] {
        let [a, b, c, d, e, f, g, h, ..] = *blake3::keyed_hash(&self.key, random).as_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

impl ConnectionIdGenerator for MarkedConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let random: [u8; RANDOM] = rand::random();
        ConnectionId::new(&[&random[..], &self.mac(&random)].concat())
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let Some((random, mac)) = id.split_at_checked(RANDOM) else { return Err(InvalidCid) };
        let expected = self.mac(random);
        // Compared in constant time: the difference of all bytes decides.
        let difference = mac.iter().zip(&expected).fold(0, |sum, (a, b)| sum | (a ^ b));
        if mac.len() == MAC && difference == 0 { Ok(()) } else { Err(InvalidCid) }
    }

    fn cid_len(&self) -> usize {
        RANDOM + MAC
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(key: u8) -> MarkedConnectionIds {
        MarkedConnectionIds::new(Zeroizing::new([key; 32]))
    }

    #[test]
    fn only_ids_of_the_same_key_are_recognized() {
        let id = generator(1).generate_cid();
        assert_eq!(id.len(), generator(1).cid_len());
        assert!(generator(1).validate(&id).is_ok(), "a restarted relay recognizes its ids");
        assert!(generator(2).validate(&id).is_err());
        for bit in 0..id.len() * 8 {
            let mut forged = id.to_vec();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(generator(1).validate(&ConnectionId::new(&forged)).is_err(), "bit {bit}");
        }
        for length in 0..id.len() {
            assert!(generator(1).validate(&ConnectionId::new(&id[..length])).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn ids_do_not_repeat() {
        let mut generator = generator(1);
        let ids: std::collections::HashSet<Vec<u8>> = (0..10_000).map(|_| generator.generate_cid().to_vec()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
