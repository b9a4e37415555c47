//! Tickets, with which a sender reclaims its slot, and passes, with which a receiver proves an earlier bridge.
//!
//! A sender presents its *ticket* after a lost connection or a restart of the relay. A receiver presents its *pass*
//! when it reconnects. Only the bearer of a pass learns more about a slot than whether a sender has it: that the share
//! has ended, or that the sender is disconnected. The relay stores neither tickets nor passes; it authenticates both
//! by a key (keyed BLAKE3, whose hashes compare in constant time).
//!
//! ```text
//! ticket: | version, 1 | slot, 4 | owner, 16 | issued, 8 | MAC, 32 |        pass: | owner, 16 | MAC, 32 |
//! ```

use std::time::Duration;

use zeroize::Zeroizing;

use crate::{code::Slot, state::unix_time};

/// The time for which a ticket is valid after it was issued. Every registration issues a new one. A freed slot stays
/// reserved for the same time.
pub(super) const TICKET_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The tolerance for tickets issued in the future, in seconds: the relay's clock may have been set back since then.
const CLOCK_TOLERANCE: u64 = 5 * 60;

const VERSION: u8 = 1;

// The lengths of the fields, in bytes.
const MAC: usize = blake3::OUT_LEN;
const OWNER: usize = 16;
const SLOT: usize = 4;
const ISSUED: usize = 8;

/// The owner of a slot: a random number, which the ticket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotOwner([u8; OWNER]);

impl SlotOwner {
    /// Returns the bytes of the owner.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Creates the owner for a sender without a ticket.
    pub(super) fn random() -> Self {
        Self(rand::random())
    }
}

/// The key that authenticates tickets and passes.
#[derive(Clone)]
pub struct TicketKey(Zeroizing<[u8; 32]>);

impl TicketKey {
    /// Uses a stored key: tickets remain valid across restarts.
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Creates a key for this process only.
    pub fn random() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    /// Issues a ticket for a slot that another relay has assigned to the share in this relay's own process. The owner
    /// depends only on this key and the slot, so that passes outlive the process.
    pub fn issue_own_ticket(&self, slot: Slot) -> Vec<u8> {
        let mut owner = [0; OWNER];
        owner.copy_from_slice(&self.mac(b"own", slot.as_str().as_bytes()).as_bytes()[..OWNER]);
        self.issue_ticket(slot, SlotOwner(owner), unix_time())
    }

    /// Issues a ticket for a slot; `now` is the Unix time in seconds.
    pub(super) fn issue_ticket(&self, slot: Slot, owner: SlotOwner, now: u64) -> Vec<u8> {
        let mut ticket = vec![VERSION];
        ticket.extend_from_slice(slot.as_str().as_bytes());
        ticket.extend_from_slice(&owner.0);
        ticket.extend_from_slice(&now.to_be_bytes());
        let mac = self.mac(b"ticket", &ticket);
        ticket.extend_from_slice(mac.as_bytes());
        ticket
    }

    /// Returns the slot and the owner of a ticket, or `None` if this key did not issue it or it has expired.
    pub(super) fn verify_ticket(&self, ticket: &[u8], now: u64) -> Option<(Slot, SlotOwner)> {
        let (body, mac) = ticket.split_last_chunk::<MAC>()?;
        if body.len() != 1 + SLOT + OWNER + ISSUED || self.mac(b"ticket", body) != *mac {
            return None;
        }
        let (version, rest) = body.split_first()?;
        let (slot, rest) = rest.split_first_chunk::<SLOT>()?;
        let (owner, issued) = rest.split_first_chunk::<OWNER>()?;
        let issued = u64::from_be_bytes(issued.try_into().ok()?);
        let is_current = issued <= now + CLOCK_TOLERANCE && now.saturating_sub(issued) <= TICKET_LIFETIME.as_secs();
        let is_valid = *version == VERSION && is_current;
        is_valid.then(|| Slot::try_from(*slot).ok()).flatten().map(|slot| (slot, SlotOwner(*owner)))
    }

    /// Issues a pass to a receiver that is bridged to the owner of a slot.
    pub(super) fn issue_pass(&self, slot: Slot, owner: SlotOwner) -> Vec<u8> {
        [&owner.0[..], self.pass_mac(slot, owner).as_bytes()].concat()
    }

    /// Returns the owner that the bearer of a pass was bridged to at this slot, or `None` if the pass is not valid.
    pub(super) fn verify_pass(&self, slot: Slot, pass: &[u8]) -> Option<SlotOwner> {
        let (owner, mac) = pass.split_first_chunk::<OWNER>()?;
        let mac: [u8; MAC] = mac.try_into().ok()?;
        (self.pass_mac(slot, SlotOwner(*owner)) == mac).then_some(SlotOwner(*owner))
    }

    fn pass_mac(&self, slot: Slot, owner: SlotOwner) -> blake3::Hash {
        self.mac(b"pass", &[slot.as_str().as_bytes(), &owner.0].concat())
    }

    fn mac(&self, label: &[u8], body: &[u8]) -> blake3::Hash {
        blake3::Hasher::new_keyed(&self.0).update(label).update(body).finalize()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_ticket_is_valid_until_it_expires() {
        let (key, slot, owner) = (TicketKey::random(), Slot::from_number(77), SlotOwner::random());
        let ticket = key.issue_ticket(slot, owner, NOW);
        let lifetime = TICKET_LIFETIME.as_secs();
        for (now, is_valid) in [
            (NOW, true),
            (NOW - CLOCK_TOLERANCE, true),
            (NOW - CLOCK_TOLERANCE - 1, false),
            (NOW + lifetime, true),
            (NOW + lifetime + 1, false),
        ] {
            assert_eq!(key.verify_ticket(&ticket, now), is_valid.then_some((slot, owner)), "{now}");
        }
        assert_eq!(TicketKey::random().verify_ticket(&ticket, NOW), None, "a ticket of another relay");
        assert_eq!(key.verify_pass(slot, &ticket), None);
    }

    #[test]
    fn a_pass_is_valid_only_for_its_slot() {
        let (key, slot, owner) = (TicketKey::random(), Slot::from_number(77), SlotOwner::random());
        let pass = key.issue_pass(slot, owner);
        assert_eq!(key.verify_pass(slot, &pass), Some(owner));
        assert_eq!(key.verify_pass(Slot::from_number(78), &pass), None);
        assert_eq!(TicketKey::random().verify_pass(slot, &pass), None);
        assert_eq!(key.verify_ticket(&pass, NOW), None);
    }

    proptest! {
        #[test]
        fn altered_and_arbitrary_bytes_are_rejected(bytes in proptest::collection::vec(any::<u8>(), 0..100), bit: u16) {
            let (key, slot, owner) = (TicketKey::random(), Slot::from_number(1), SlotOwner::random());
            prop_assert_eq!(key.verify_ticket(&bytes, NOW), None);
            prop_assert_eq!(key.verify_pass(slot, &bytes), None);
            let (mut ticket, mut pass) = (key.issue_ticket(slot, owner, NOW), key.issue_pass(slot, owner));
            for bytes in [&mut ticket, &mut pass] {
                let bit = usize::from(bit) % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            prop_assert_eq!(key.verify_ticket(&ticket, NOW), None);
            prop_assert_eq!(key.verify_pass(slot, &pass), None);
        }
    }
}
