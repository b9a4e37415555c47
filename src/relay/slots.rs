//! The held and the resting slots of a relay.

use std::collections::HashMap;

use tokio::time::Instant;

use super::{
    client::{Client, ConnectionSlot},
    resting_slots::RestingSlots,
    slot_journal::SlotRecord,
    slot_protection::SlotProtection,
    source::Source,
    source_limiter::Holding,
    tickets::SlotOwner,
};
use crate::code::Slot;

/// The slots of a relay.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) held: HashMap<Slot, HeldSlot>,
    pub(super) resting: RestingSlots,
    /// The records that are not in the journal yet.
    pub(super) records: HashMap<Slot, SlotRecord>,
    /// The number of the last lease.
    pub(super) leases: u64,
}

/// A slot that a connected sender holds.
pub(super) struct HeldSlot {
    pub(super) sender: Client,
    pub(super) owner: SlotOwner,
    /// The number of its lease.
    pub(super) lease: u64,
    pub(super) source: Option<Source>,
    /// Whether it was held for [`ESTABLISHED_AFTER`](super::registry::ESTABLISHED_AFTER) or bridged.
    pub(super) is_established: bool,
    pub(super) protection: SlotProtection,
    /// Counts the slot for its source. `None` only while another lease replaces this one.
    pub(super) holding: Option<Holding>,
    pub(super) _on_connection: ConnectionSlot,
}

impl HeldSlot {
    /// Marks the slot as established. Returns whether this is a change.
    pub(super) fn establish(&mut self) -> bool {
        !std::mem::replace(&mut self.is_established, true)
    }
}

impl Slots {
    pub(super) fn held_by(&mut self, slot: Slot, owner: SlotOwner) -> Option<&mut HeldSlot> {
        self.held.get_mut(&slot).filter(|held| held.owner == owner)
    }

    /// Returns whether the bearer of a ticket of `owner` may take the slot.
    pub(super) fn may_claim(&self, slot: Slot, owner: SlotOwner, now: Instant) -> bool {
        match (self.held.get(&slot), self.resting.get(slot, now)) {
            (Some(held), _) => held.owner == owner,
            (None, Some(resting)) => resting.owner.is_none_or(|resting| resting == owner),
            (None, None) => true,
        }
    }

    pub(super) fn is_free(&self, slot: Slot, now: Instant) -> bool {
        !self.held.contains_key(&slot) && self.resting.get(slot, now).is_none()
    }

    /// Returns whether three quarters of all slots are held or rest.
    pub(super) fn is_scarce(&self) -> bool {
        self.held.len() + self.resting.len() >= Slot::COUNT as usize / 4 * 3
    }

    /// Returns a random slot that is neither held nor resting; `None` if the attempts are used up.
    pub(super) fn pick_free(&self, now: Instant) -> Option<Slot> {
        /// While 99 % of all slots are taken, all of these attempts fail with a probability of 3 · 10⁻⁵. They take
        /// 0.1 ms then.
        const ATTEMPTS: usize = 1_024;
        let mut candidates = (0..ATTEMPTS).map(|_| Slot::from_number(rand::random_range(0..Slot::COUNT)));
        candidates.find(|slot| self.is_free(*slot, now))
    }
}
