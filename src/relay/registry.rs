//! Who shares under which slot.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::client::Client;
use crate::code::Slot;

/// A freed slot is not handed out again for this long, so that an old code does not reach a stranger.
const REST: Duration = Duration::from_secs(24 * 60 * 60);

/// The senders of a relay by slot. A handle: clones share one registry.
#[derive(Clone)]
pub(super) struct Registry {
    slots: Arc<Mutex<Slots>>,
    most: usize,
}

#[derive(Default)]
struct Slots {
    taken: HashMap<Slot, Client>,
    resting: HashMap<Slot, Instant>,
}

impl Registry {
    /// An empty registry for at most `most` senders.
    pub(super) fn new(most: usize) -> Self {
        Self { slots: Arc::default(), most }
    }

    /// Gives a sender a random free slot, for as long as the [`Lease`] lives; `None` when all are taken.
    pub(super) fn register(&self, sender: Client) -> Option<Lease> {
        /// With at most half of all slots taken, this many tries fail once in 2⁶⁴ times.
        const TRIES: usize = 64;
        let mut slots = self.lock();
        if slots.taken.len() >= self.most {
            return None;
        }
        let now = Instant::now();
        if slots.resting.len() > Slot::COUNT as usize / 4 {
            slots.resting.retain(|_, until| *until > now);
        }
        let free =
            |slot: &Slot| !slots.taken.contains_key(slot) && slots.resting.get(slot).is_none_or(|until| *until <= now);
        let slot = (0..TRIES).map(|_| Slot::from_number(rand::random_range(0..Slot::COUNT))).find(free)?;
        slots.taken.insert(slot, sender);
        Some(Lease { slot, registry: self.clone() })
    }

    /// The sender behind a slot.
    pub(super) fn find(&self, slot: Slot) -> Option<Client> {
        self.lock().taken.get(&slot).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot that is taken until this is dropped.
pub(super) struct Lease {
    slot: Slot,
    registry: Registry,
}

impl Lease {
    /// The slot.
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut slots = self.registry.lock();
        slots.taken.remove(&self.slot);
        slots.resting.insert(self.slot, Instant::now() + REST);
    }
}
