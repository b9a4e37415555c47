//! The registry of slots: which sender has which slot, and which freed slots are reserved for their owner.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    client::Client,
    tickets::{SlotOwner, TICKET_LIFETIME},
};
use crate::{code::Slot, sync::Mutex};

/// The senders of a relay by slot. A handle: clones share one registry.
#[derive(Clone)]
pub(super) struct Registry {
    slots: Arc<Mutex<Slots>>,
    max_senders: usize,
    /// Notified when a slot is issued or freed.
    changed: Arc<Notify>,
}

/// The result of a lookup, limited to what the receiver may know about the slot.
pub(super) enum Lookup {
    /// The sender that has the slot, and the slot's owner.
    Found(Client, SlotOwner),
    /// The sender that the receiver was bridged to has ended its share.
    ShareEnded,
    /// The sender that the receiver was bridged to is disconnected; it may reconnect.
    SenderAway,
    /// No sender has the slot, or the receiver may not know more.
    Unknown,
}

impl Registry {
    /// Creates a registry for at most `max_senders` senders. The slots that an earlier process has `issued` stay
    /// reserved, each for its remaining time.
    pub(super) fn new(max_senders: usize, issued: Vec<(Slot, Duration)>) -> Self {
        let now = Instant::now();
        let reserve = |(slot, time)| (slot, ReservedSlot { until: now + time, owner: None, share_ended: false });
        let slots = Slots { reserved: issued.into_iter().map(reserve).collect(), ..Slots::default() };
        Self { slots: Arc::new(Mutex::new(slots)), max_senders, changed: Arc::default() }
    }

    /// Gives a sender a slot for as long as the [`SlotLease`] lives: the one that it claims with a ticket, otherwise a
    /// random free one. Returns `None` if the relay has the maximum number of senders or finds no free slot.
    ///
    /// A claim replaces the older connection of the same owner, which is closed: a sender claims its slot only when it
    /// considers that connection lost.
    pub(super) fn register(&self, sender: Client, claim: Option<(Slot, SlotOwner)>) -> Option<SlotLease> {
        let mut slots = self.lock();
        let claim = claim.filter(|(slot, owner)| slots.may_claim(*slot, *owner));
        if claim.is_none() && slots.taken.len() >= self.max_senders {
            return None;
        }
        let (slot, owner) = match claim {
            Some(claim) => claim,
            None => (slots.pick_free()?, SlotOwner::random()),
        };
        slots.leases += 1;
        let lease = slots.leases;
        slots.reserved.remove(&slot);
        if let Some(older) = slots.taken.insert(slot, TakenSlot { sender, owner, lease }) {
            older.sender.connection().close();
        }
        self.changed.notify_one();
        Some(SlotLease { slot, owner, id: lease, share_ended: false, registry: self.clone() })
    }

    /// Looks up the sender of a slot for a receiver. `known_owner` is the owner that the receiver was bridged to
    /// before, as its pass proves. A receiver without a pass learns only whether a sender has the slot.
    pub(super) fn look_up(&self, slot: Slot, known_owner: Option<SlotOwner>) -> Lookup {
        let slots = self.lock();
        match (slots.taken.get(&slot), known_owner) {
            (Some(taken), None) => Lookup::Found(taken.sender.clone(), taken.owner),
            (Some(taken), Some(known)) if taken.owner == known => Lookup::Found(taken.sender.clone(), taken.owner),
            (Some(_), Some(_)) => Lookup::ShareEnded,
            (None, None) => Lookup::Unknown,
            (None, Some(known)) => match slots.reserved.get(&slot) {
                Some(reserved) if reserved.share_ended || reserved.owner.is_some_and(|owner| owner != known) => {
                    Lookup::ShareEnded
                }
                _ => Lookup::SenderAway,
            },
        }
    }

    /// Returns the slots that must not be given to other senders, each with the time for which it stays reserved.
    pub(super) fn issued_slots(&self) -> Vec<(Slot, Duration)> {
        let (slots, now) = (self.lock(), Instant::now());
        let taken = slots.taken.keys().map(|slot| (*slot, TICKET_LIFETIME));
        let reserved = slots.reserved.iter().map(|(slot, r)| (*slot, r.until.saturating_duration_since(now)));
        taken.chain(reserved.filter(|(_, time)| !time.is_zero())).collect()
    }

    /// Waits until a slot has been issued or freed since the last call.
    pub(super) async fn wait_for_change(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock()
    }
}

/// A sender's hold on its slot. When it is dropped, the slot is freed and reserved for its owner.
pub(super) struct SlotLease {
    slot: Slot,
    owner: SlotOwner,
    id: u64,
    share_ended: bool,
    registry: Registry,
}

impl SlotLease {
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    pub(super) fn owner(&self) -> SlotOwner {
        self.owner
    }

    /// Frees the slot because the sender has ended its share. A lookup with a pass then returns
    /// [`Lookup::ShareEnded`].
    pub(super) fn end_share(mut self) {
        self.share_ended = true;
    }
}

impl Drop for SlotLease {
    fn drop(&mut self) {
        let mut slots = self.registry.lock();
        if slots.taken.get(&self.slot).is_some_and(|taken| taken.lease == self.id) {
            slots.taken.remove(&self.slot);
            let until = Instant::now() + TICKET_LIFETIME;
            let reserved = ReservedSlot { until, owner: Some(self.owner), share_ended: self.share_ended };
            slots.reserved.insert(self.slot, reserved);
            self.registry.changed.notify_one();
        }
    }
}

#[derive(Default)]
struct Slots {
    taken: HashMap<Slot, TakenSlot>,
    reserved: HashMap<Slot, ReservedSlot>,
    /// The number of the last lease.
    leases: u64,
}

/// A slot that a connected sender has.
struct TakenSlot {
    sender: Client,
    owner: SlotOwner,
    /// The number of its lease.
    lease: u64,
}

/// A freed slot. Only its owner may have it until the given time.
struct ReservedSlot {
    until: Instant,
    /// `None` if the slot was issued by an earlier process: the journal holds no owners.
    owner: Option<SlotOwner>,
    /// Whether the sender has ended its share; otherwise it was disconnected.
    share_ended: bool,
}

impl Slots {
    /// Whether the bearer of a ticket of `owner` may take the slot.
    fn may_claim(&self, slot: Slot, owner: SlotOwner) -> bool {
        match (self.taken.get(&slot), self.reserved.get(&slot)) {
            (Some(taken), _) => taken.owner == owner,
            (None, Some(reserved)) => reserved.owner.is_none_or(|reserved| reserved == owner),
            (None, None) => true,
        }
    }

    /// Returns a random slot that is neither taken nor reserved; `None` if the attempts are used up.
    fn pick_free(&mut self) -> Option<Slot> {
        /// While at most half of all slots are taken, all of these attempts fail with a probability of 2⁻⁶⁴.
        const ATTEMPTS: usize = 64;
        let now = Instant::now();
        if self.reserved.len() > Slot::COUNT as usize / 4 {
            self.reserved.retain(|_, reserved| reserved.until > now);
        }
        let is_free = |slot: &Slot| {
            !self.taken.contains_key(slot) && self.reserved.get(slot).is_none_or(|reserved| reserved.until <= now)
        };
        (0..ATTEMPTS).map(|_| Slot::from_number(rand::random_range(0..Slot::COUNT))).find(is_free)
    }
}
