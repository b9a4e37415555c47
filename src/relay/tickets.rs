//! What a relay gives to its clients so that they find each other again: it keeps none of it, and knows its own.
//!
//! A sender gets a *ticket*, with which it takes its slot back after a lost connection or a restart of the relay. A
//! receiver gets a *pass*, which tells the relay that it has been with this sender before: only whoever shows one learns
//! more of a slot than whether a sender is there. Both are authenticated by a key that the relay keeps
//! (BLAKE3 keyed; its hashes compare in constant time).
//!
//! ```text
//! ticket: | 1 | slot, 4 | owner, 16 | issued, 8 | MAC, 32 |        pass: | owner, 16 | MAC, 32 |
//! ```

use std::time::Duration;

use zeroize::Zeroizing;

use crate::code::Slot;

/// How long a ticket is good, from its last use on. A freed slot rests for as long, so that nobody else has it.
pub(super) const TICKET_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const VERSION: u8 = 1;
const MAC: usize = blake3::OUT_LEN;
const OWNER: usize = 16;
const SLOT: usize = 4;
const ISSUED: usize = 8;

/// Whose a slot is: a random number that is in the ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner([u8; OWNER]);

impl Owner {
    /// Of a sender that has no ticket.
    pub(super) fn new() -> Self {
        Self(rand::random())
    }
}

/// Issues tickets and passes, and knows them again.
#[derive(Clone)]
pub struct TicketKey(Zeroizing<[u8; 32]>);

impl TicketKey {
    /// With a key that outlives the process.
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// With a key that does not.
    pub fn random() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    pub(super) fn ticket(&self, slot: Slot, owner: Owner, now: u64) -> Vec<u8> {
        let mut ticket = vec![VERSION];
        ticket.extend_from_slice(slot.as_str().as_bytes());
        ticket.extend_from_slice(&owner.0);
        ticket.extend_from_slice(&now.to_be_bytes());
        let mac = self.mac(b"ticket", &ticket);
        ticket.extend_from_slice(mac.as_bytes());
        ticket
    }

    /// Whose slot a ticket is for, where it is one of ours and not too old.
    pub(super) fn check(&self, ticket: &[u8], now: u64) -> Option<(Slot, Owner)> {
        let (said, mac) = ticket.split_last_chunk::<MAC>()?;
        if said.len() != 1 + SLOT + OWNER + ISSUED || self.mac(b"ticket", said) != *mac {
            return None;
        }
        let (version, rest) = said.split_first()?;
        let (slot, rest) = rest.split_first_chunk::<SLOT>()?;
        let (owner, issued) = rest.split_first_chunk::<OWNER>()?;
        let issued = u64::from_be_bytes(issued.try_into().ok()?);
        let is_good = *version == VERSION && now.saturating_sub(issued) <= TICKET_LIFE.as_secs();
        is_good.then(|| Slot::try_from(*slot).ok()).flatten().map(|slot| (slot, Owner(*owner)))
    }

    pub(super) fn pass(&self, slot: Slot, owner: Owner) -> Vec<u8> {
        [&owner.0[..], self.pass_mac(slot, owner).as_bytes()].concat()
    }

    /// With whom the bearer of a pass was at this slot.
    pub(super) fn check_pass(&self, slot: Slot, pass: &[u8]) -> Option<Owner> {
        let (owner, mac) = pass.split_first_chunk::<OWNER>()?;
        let mac: [u8; MAC] = mac.try_into().ok()?;
        (self.pass_mac(slot, Owner(*owner)) == mac).then_some(Owner(*owner))
    }

    fn pass_mac(&self, slot: Slot, owner: Owner) -> blake3::Hash {
        self.mac(b"pass", &[slot.as_str().as_bytes(), &owner.0].concat())
    }

    fn mac(&self, label: &[u8], said: &[u8]) -> blake3::Hash {
        blake3::Hasher::new_keyed(&self.0).update(label).update(said).finalize()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_ticket_is_known_again_until_it_is_too_old() {
        let (tickets, slot, owner) = (TicketKey::random(), Slot::from_number(77), Owner::new());
        let ticket = tickets.ticket(slot, owner, NOW);
        let life = TICKET_LIFE.as_secs();
        for (now, good) in [(NOW, true), (NOW - 5, true), (NOW + life, true), (NOW + life + 1, false)] {
            assert_eq!(tickets.check(&ticket, now), good.then_some((slot, owner)), "{now}");
        }
        assert_eq!(TicketKey::random().check(&ticket, NOW), None, "of another relay");
        assert_eq!(tickets.check_pass(slot, &ticket), None);
    }

    #[test]
    fn a_pass_is_good_for_its_slot_only() {
        let (tickets, slot, owner) = (TicketKey::random(), Slot::from_number(77), Owner::new());
        let pass = tickets.pass(slot, owner);
        assert_eq!(tickets.check_pass(slot, &pass), Some(owner));
        assert_eq!(tickets.check_pass(Slot::from_number(78), &pass), None);
        assert_eq!(TicketKey::random().check_pass(slot, &pass), None);
        assert_eq!(tickets.check(&pass, NOW), None);
    }

    proptest! {
        #[test]
        fn no_other_bytes_are_one(bytes in proptest::collection::vec(any::<u8>(), 0..100), bit: u16) {
            let (tickets, slot, owner) = (TicketKey::random(), Slot::from_number(1), Owner::new());
            prop_assert_eq!(tickets.check(&bytes, NOW), None);
            prop_assert_eq!(tickets.check_pass(slot, &bytes), None);
            let (mut ticket, mut pass) = (tickets.ticket(slot, owner, NOW), tickets.pass(slot, owner));
            for bytes in [&mut ticket, &mut pass] {
                let bit = usize::from(bit) % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            prop_assert_eq!(tickets.check(&ticket, NOW), None);
            prop_assert_eq!(tickets.check_pass(slot, &pass), None);
        }
    }
}
