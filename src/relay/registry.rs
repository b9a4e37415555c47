//! Who shares under which slot.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    client::Client,
    tickets::{Owner, TICKET_LIFE},
};
use crate::code::Slot;
use crate::sync::Mutex;

/// The senders of a relay by slot. A handle: clones share one registry.
#[derive(Clone)]
pub(super) struct Registry {
    slots: Arc<Mutex<Slots>>,
    most: usize,
    /// Told when slots are given out or freed.
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Slots {
    taken: HashMap<Slot, Taken>,
    resting: HashMap<Slot, Resting>,
    leases: u64,
}

/// A slot with a sender.
struct Taken {
    sender: Client,
    owner: Owner,
    /// The number of its lease.
    lease: u64,
}

/// A slot whose sender is gone: nobody but its owner gets it.
struct Resting {
    until: Instant,
    /// Whose it was; not known of one from before a restart.
    owner: Option<Owner>,
    /// Whether its sender ended it, and was not merely lost.
    ended: bool,
}

/// What a relay knows of a slot.
pub(super) enum Lookup {
    /// A sender is there, and whose it is.
    Sender(Client, Owner),
    /// The sender that the receiver was with before has ended its share.
    Ended,
    /// The sender that the receiver was with before is away.
    Away,
    /// Nothing that this receiver may know.
    Nothing,
}

impl Registry {
    /// A registry for at most `most` senders. The slots `issued` before a restart rest, each for so long.
    pub(super) fn new(most: usize, issued: Vec<(Slot, Duration)>) -> Self {
        let now = Instant::now();
        let rest = |(slot, time)| (slot, Resting { until: now + time, owner: None, ended: false });
        let slots = Slots { resting: issued.into_iter().map(rest).collect(), ..Slots::default() };
        Self { slots: Arc::new(Mutex::new(slots)), most, changed: Arc::default() }
    }

    /// Gives a sender a slot, for as long as the [`Lease`] lives: the one that it has a ticket for, else a random free
    /// one; `None` when all are taken.
    pub(super) fn register(&self, sender: Client, ticket: Option<(Slot, Owner)>) -> Option<Lease> {
        /// With at most half of all slots taken, this many tries fail once in 2⁶⁴ times.
        const TRIES: usize = 64;
        let mut slots = self.lock();
        let claimed = ticket.filter(|(slot, owner)| slots.may_claim(*slot, *owner));
        if claimed.is_none() && slots.taken.len() >= self.most {
            return None;
        }
        let (slot, owner) = match claimed {
            Some(claimed) => claimed,
            None => {
                let now = Instant::now();
                if slots.resting.len() > Slot::COUNT as usize / 4 {
                    slots.resting.retain(|_, rest| rest.until > now);
                }
                let free = |slot: &Slot| {
                    !slots.taken.contains_key(slot) && slots.resting.get(slot).is_none_or(|rest| rest.until <= now)
                };
                let random = || Slot::from_number(rand::random_range(0..Slot::COUNT));
                ((0..TRIES).map(|_| random()).find(free)?, Owner::new())
            }
        };
        slots.leases += 1;
        let lease = slots.leases;
        slots.resting.remove(&slot);
        if let Some(older) = slots.taken.insert(slot, Taken { sender, owner, lease }) {
            older.sender.connection().close(); // it is dead, or its sender would not be here
        }
        self.changed.notify_one();
        Some(Lease { slot, owner, number: lease, ended: false, registry: self.clone() })
    }

    /// What a receiver may know of a slot, with whom it was there before.
    pub(super) fn find(&self, slot: Slot, before: Option<Owner>) -> Lookup {
        let slots = self.lock();
        let (taken, resting) = (slots.taken.get(&slot), slots.resting.get(&slot));
        match (taken, before) {
            (Some(taken), None) => Lookup::Sender(taken.sender.clone(), taken.owner),
            (Some(taken), Some(before)) if taken.owner == before => Lookup::Sender(taken.sender.clone(), taken.owner),
            (Some(_), Some(_)) => Lookup::Ended,
            (None, None) => Lookup::Nothing,
            (None, Some(before)) => match resting {
                Some(rest) if rest.ended || rest.owner.is_some_and(|owner| owner != before) => Lookup::Ended,
                _ => Lookup::Away,
            },
        }
    }

    /// All slots that nobody else may get, each with how long it is to rest from now on.
    pub(super) fn issued(&self) -> Vec<(Slot, Duration)> {
        let (slots, now) = (self.lock(), Instant::now());
        let resting = slots.resting.iter().map(|(slot, rest)| (*slot, rest.until.saturating_duration_since(now)));
        let taken = slots.taken.keys().map(|slot| (*slot, TICKET_LIFE));
        taken.chain(resting.filter(|(_, rest)| !rest.is_zero())).collect()
    }

    /// Waits until a slot was given out or freed, since the last time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock()
    }
}

impl Slots {
    /// Whether a slot is still its owner's, who has a ticket for it.
    fn may_claim(&self, slot: Slot, owner: Owner) -> bool {
        match (self.taken.get(&slot), self.resting.get(&slot)) {
            (Some(taken), _) => taken.owner == owner,
            (None, Some(rest)) => rest.owner.is_none_or(|resting| resting == owner),
            (None, None) => true,
        }
    }
}

/// A slot that is taken until this is dropped.
pub(super) struct Lease {
    slot: Slot,
    owner: Owner,
    number: u64,
    ended: bool,
    registry: Registry,
}

impl Lease {
    /// The slot.
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    /// Whose it is.
    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    /// The sender gives the slot back.
    pub(super) fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut slots = self.registry.lock();
        if slots.taken.get(&self.slot).is_some_and(|taken| taken.lease == self.number) {
            slots.taken.remove(&self.slot);
            let until = Instant::now() + TICKET_LIFE;
            slots.resting.insert(self.slot, Resting { until, owner: Some(self.owner), ended: self.ended });
            self.registry.changed.notify_one();
        }
    }
}
