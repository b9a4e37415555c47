//! The freed slots that stay reserved for their owners.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use super::{slot_protection::SlotProtection, source_limiter::Holding, tickets::SlotOwner};
use crate::code::Slot;

/// The freed slots, each reserved for its owner until a point in time.
#[derive(Default)]
pub(super) struct RestingSlots {
    slots: HashMap<Slot, RestingSlot>,
    /// The same slots, ordered by expiry.
    ends: BTreeSet<(Instant, Slot)>,
}

/// A freed slot.
pub(super) struct RestingSlot {
    pub(super) until: Instant,
    /// `None` if the slot was issued by an earlier process: the journal holds no owners.
    pub(super) owner: Option<SlotOwner>,
    /// Whether the sender has ended its share; otherwise it was disconnected.
    pub(super) share_ended: bool,
    /// Counts the slot for its source if it rests for a week.
    pub(super) _holding: Option<Holding>,
    /// Whether receivers may know the slot, because it was bridged or was held long enough.
    pub(super) is_established: bool,
    /// The protection of the slot, if it was attacked before it was freed.
    pub(super) protection: Option<Box<SlotProtection>>,
}

impl RestingSlots {
    /// Creates the resting slots of an earlier process, each with its remaining time.
    pub(super) fn restore(slots: Vec<(Slot, Duration)>) -> Self {
        let (now, mut restored) = (Instant::now(), Self::default());
        for (slot, time) in slots {
            let until = now + time;
            let entry = RestingSlot {
                until,
                owner: None,
                share_ended: false,
                _holding: None,
                is_established: true,
                protection: None,
            };
            restored.insert(slot, entry);
        }
        restored
    }

    /// Adds a slot, which must not be present.
    pub(super) fn insert(&mut self, slot: Slot, entry: RestingSlot) {
        self.ends.insert((entry.until, slot));
        self.slots.insert(slot, entry);
    }

    /// Removes a slot that its owner has reclaimed.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<RestingSlot> {
        let entry = self.slots.remove(&slot)?;
        self.ends.remove(&(entry.until, slot));
        Some(entry)
    }

    /// Returns a slot that still rests.
    pub(super) fn get(&self, slot: Slot, now: Instant) -> Option<&RestingSlot> {
        self.slots.get(&slot).filter(|entry| entry.until > now)
    }

    /// Removes slots that no longer rest, a bounded number per call. Returns whether there may be more.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        const PER_CALL: usize = 64;
        for _ in 0..PER_CALL {
            match self.ends.first() {
                Some((until, slot)) if *until <= now => {
                    self.slots.remove(slot);
                    self.ends.pop_first();
                }
                _ => return false,
            }
        }
        true
    }

    /// Returns the number of slots, including expired ones that are not removed yet.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slots_rest_until_their_time_has_passed() {
        let slots = (0..200).map(|n| (Slot::from_number(n), Duration::from_secs((n % 100 + 1).into()))).collect();
        let mut resting = RestingSlots::restore(slots);
        advance(Duration::from_secs(50)).await;
        let now = Instant::now();
        assert!(resting.get(Slot::from_number(49), now).is_none());
        assert!(resting.get(Slot::from_number(50), now).is_some());
        assert!(resting.expire(now));
        assert_eq!(resting.len(), 200 - 64);
        assert!(!resting.expire(now));
        assert_eq!(resting.len(), 100);
        assert!(resting.remove(Slot::from_number(50)).is_some());
        assert_eq!(resting.ends.len(), resting.len());
    }
}
