//! The registry of slots: which sender has which slot, and which freed slots are reserved for their owner.

use std::{
    pin::pin,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep},
};

use super::{
    client::Client,
    limits::{HoldingKind, Limits},
    refusal::Refusal,
    resting_slots::{RestingSlot, RestingSlots},
    slot_journal::SlotRecord,
    slot_protection::SlotProtection,
    slots::{HeldSlot, Slots},
    source::Source,
    source_limiter::SourceLimiter,
    tickets::{SlotOwner, TICKET_LIFETIME},
};
use crate::{code::Slot, state::unix_time, sync::Mutex, wire::relay_limit::RelayLimit};

/// The time after which a held slot is established, because receivers may know it. A bridge establishes it at once. An
/// established slot is recorded and rests for [`TICKET_LIFETIME`] when it is freed.
pub(super) const ESTABLISHED_AFTER: Duration = Duration::from_secs(60);

/// The time for which any other slot rests: a receiver with a fresh code must not reach another sender.
const SHORT_REST: Duration = Duration::from_secs(5);

/// The senders of a relay by slot. A handle: clones share one registry.
#[derive(Clone)]
pub(super) struct Registry {
    slots: Arc<Mutex<Slots>>,
    limiter: SourceLimiter,
    limits: Limits,
    /// Notified when there are records for the journal.
    changed: Arc<Notify>,
    /// Notified when a sender has registered.
    registered: Arc<Notify>,
}

/// A sender that requests a slot.
pub(super) struct SlotRequest {
    pub(super) sender: Client,
    /// The slot that the sender claims with a ticket.
    pub(super) claim: Option<(Slot, SlotOwner)>,
    /// The sender's source; `None` if it has no limits by source.
    pub(super) source: Option<Source>,
}

/// The result of a lookup, limited to what the receiver may know about the slot.
pub(super) enum Lookup {
    /// The sender that has the slot, and the slot's owner.
    Found(Client, SlotOwner),
    /// The slot is protected against guesses, so the receiver must wait.
    Protected(Refusal),
    /// The sender that the receiver was bridged to has ended its share.
    ShareEnded,
    /// The sender that the receiver was bridged to is disconnected; it may reconnect.
    SenderAway,
    /// No sender has the slot, or the receiver may not know more.
    Unknown,
}

impl Registry {
    /// Creates a registry. The slots that an earlier process has `issued` stay reserved, each for its remaining time.
    pub(super) fn new(limits: Limits, limiter: SourceLimiter, issued: Vec<(Slot, Duration)>) -> Self {
        let slots = Slots { resting: RestingSlots::restore(issued), ..Slots::default() };
        Self {
            slots: Arc::new(Mutex::new(slots)),
            limiter,
            limits,
            changed: Arc::default(),
            registered: Arc::default(),
        }
    }

    /// Gives a sender a slot for as long as the [`SlotLease`] lives: the one that it claims with a ticket, otherwise a
    /// random free one.
    ///
    /// A claim replaces the older connection of the same owner, which is closed: a sender claims its slot only when it
    /// considers that connection lost.
    ///
    /// # Errors
    /// [`Refusal`] if a limit is reached, or there is no free slot.
    pub(super) fn register(&self, request: SlotRequest) -> Result<SlotLease, Refusal> {
        let SlotRequest { sender, claim, source } = request;
        let on_connection = sender.hold_slot(self.limits.get(RelayLimit::SlotsPerConnection))?;
        let (now, mut slots) = (Instant::now(), self.lock());
        let claim = claim.filter(|(slot, owner)| slots.may_claim(*slot, *owner, now));
        let takes_space = claim.is_none_or(|(slot, _)| slots.is_free(slot, now));
        if takes_space && slots.is_scarce() && !self.limiter.has_few_slots(source) {
            return Err(Refusal::until(RelayLimit::SlotsTotal, SHORT_REST));
        }
        let replaced = claim.and_then(|(slot, _)| slots.held.get_mut(&slot));
        let holding = match replaced.and_then(|older| older.holding.take_if(|holding| holding.is_of(source))) {
            Some(holding) => holding,
            None => self.limiter.hold(HoldingKind::Slot, source)?,
        };
        let (slot, owner) = match claim {
            Some(claim) => claim,
            None => (slots.pick_free(now).ok_or(no_free_slot())?, SlotOwner::random()),
        };
        slots.leases += 1;
        let lease = slots.leases;
        let mut held = HeldSlot {
            sender,
            owner,
            lease,
            source,
            is_established: false,
            protection: SlotProtection::default(),
            holding: Some(holding),
            _on_connection: on_connection,
        };
        if let Some(resting) = slots.resting.remove(slot).filter(|resting| resting.until > now) {
            held.protection = resting.protection.map_or_else(SlotProtection::default, |protection| *protection);
            if resting.is_established {
                held.is_established = true;
                self.record(&mut slots, SlotRecord::held(slot));
            }
        }
        if let Some(older) = slots.held.remove(&slot) {
            older.sender.connection().close();
            (held.is_established, held.protection) = (older.is_established, older.protection);
        }
        slots.held.insert(slot, held);
        self.registered.notify_waiters();
        Ok(SlotLease { slot, owner, id: lease, share_ended: false, registry: self.clone() })
    }

    /// Looks up the sender of a slot for a receiver. `known_owner` is the owner that the receiver was bridged to
    /// before, as its pass proves. A receiver without a pass learns only whether a sender has the slot.
    pub(super) fn look_up(&self, slot: Slot, known_owner: Option<SlotOwner>, source: Option<Source>) -> Lookup {
        let mut slots = self.lock();
        match (slots.held.get_mut(&slot), known_owner) {
            (Some(held), known) if known.is_none_or(|known| known == held.owner) => {
                match source.map_or(Ok(()), |source| held.protection.check(source)) {
                    Ok(()) => Lookup::Found(held.sender.clone(), held.owner),
                    Err(refusal) => Lookup::Protected(refusal),
                }
            }
            (Some(_), _) => Lookup::ShareEnded,
            (None, None) => Lookup::Unknown,
            (None, Some(known)) => match slots.resting.get(slot, Instant::now()) {
                Some(resting) if resting.share_ended || resting.owner.is_some_and(|owner| owner != known) => {
                    Lookup::ShareEnded
                }
                _ => Lookup::SenderAway,
            },
        }
    }

    /// Waits until a sender has the slot.
    pub(super) async fn wait_until_held(&self, slot: Slot) {
        loop {
            let mut registered = pin!(self.registered.notified());
            registered.as_mut().enable();
            if self.lock().held.contains_key(&slot) {
                return;
            }
            registered.await;
        }
    }

    /// Returns whether a source had a confirmed session with the owner of a slot.
    pub(super) fn is_known(&self, slot: Slot, owner: SlotOwner, source: Source) -> bool {
        self.lock().held_by(slot, owner).is_some_and(|held| held.protection.knows(source))
    }

    /// Records that a receiver is bridged to the owner of a slot.
    pub(super) fn note_bridge(&self, slot: Slot, owner: SlotOwner) {
        let mut slots = self.lock();
        if slots.held_by(slot, owner).is_some_and(HeldSlot::establish) {
            self.record(&mut slots, SlotRecord::held(slot));
        }
    }

    /// Notes that the bridge of a source carried more than a session without the code can.
    pub(super) fn note_confirmed(&self, slot: Slot, owner: SlotOwner, source: Option<Source>) {
        if let (Some(held), Some(source)) = (self.lock().held_by(slot, owner), source) {
            held.protection.note_confirmed(source);
        }
    }

    /// Records an unconfirmed session with the owner of a slot.
    pub(super) fn note_unconfirmed(&self, slot: Slot, owner: SlotOwner) {
        if let Some(held) = self.lock().held_by(slot, owner) {
            held.protection.note_unconfirmed(self.limits.get(RelayLimit::SlotUnconfirmed));
        }
    }

    /// Removes the slots that no longer rest, in batches between which it releases the lock. Never completes.
    pub(super) async fn keep_expiring(&self) {
        const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
        loop {
            sleep(EXPIRY_INTERVAL).await;
            while self.expire_some() {
                yield_now().await;
            }
        }
    }

    fn expire_some(&self) -> bool {
        self.lock().resting.expire(Instant::now())
    }

    /// Returns the numbers of held and of resting slots.
    pub(super) fn counts(&self) -> (usize, usize) {
        let slots = self.lock();
        (slots.held.len(), slots.resting.len())
    }

    /// Takes the records that are not in the journal yet.
    pub(super) fn take_records(&self) -> Vec<SlotRecord> {
        std::mem::take(&mut self.lock().records).into_values().collect()
    }

    /// Waits until there may be records for the journal.
    pub(super) async fn wait_for_change(&self) {
        self.changed.notified().await;
    }

    fn record(&self, slots: &mut Slots, record: SlotRecord) {
        slots.records.insert(record.slot, record);
        self.changed.notify_one();
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

    /// Records that the slot has been held for [`ESTABLISHED_AFTER`].
    pub(super) fn establish(&self) {
        self.registry.note_bridge(self.slot, self.owner);
    }

    /// Frees the slot because the sender has ended its share. A lookup with a pass then returns
    /// [`Lookup::ShareEnded`].
    pub(super) fn end_share(mut self) {
        self.share_ended = true;
    }
}

impl Drop for SlotLease {
    fn drop(&mut self) {
        let Registry { limiter, .. } = &self.registry;
        let mut slots = self.registry.lock();
        if slots.held.get(&self.slot).is_none_or(|held| held.lease != self.id) {
            return;
        }
        let Some(HeldSlot { source, is_established, protection, .. }) = slots.held.remove(&self.slot) else { return };
        // A source with too many resting slots gets only the short rest for further ones. Half of all slots never rest.
        let may_rest = is_established && slots.resting.len() < Slot::COUNT as usize / 2;
        let holding = may_rest.then(|| limiter.hold(HoldingKind::RestingSlot, source).ok()).flatten();
        let rest = if holding.is_some() { TICKET_LIFETIME } else { SHORT_REST };
        let (until, owner) = (Instant::now() + rest, Some(self.owner));
        let (share_ended, protection) = (self.share_ended, protection.at_rest());
        let resting = RestingSlot { until, owner, share_ended, _holding: holding, is_established, protection };
        slots.resting.insert(self.slot, resting);
        if is_established {
            let record = SlotRecord::resting(self.slot, unix_time() + rest.as_secs());
            self.registry.record(&mut slots, record);
        }
    }
}

fn no_free_slot() -> Refusal {
    Refusal::until(RelayLimit::SlotsTotal, ESTABLISHED_AFTER)
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;

    use tokio::time::advance;

    use super::*;
    use crate::net::{Connection, TransportOptions};

    fn registry(limits: Limits, issued: Vec<(Slot, Duration)>) -> Registry {
        Registry::new(limits.clone(), SourceLimiter::new(limits, false), issued)
    }

    fn source(number: u8) -> Option<Source> {
        Some(Source::from(IpAddr::from([192, 0, 2, number])))
    }

    fn register(
        registry: &Registry,
        source: Option<Source>,
        claim: Option<(Slot, SlotOwner)>,
    ) -> Result<SlotLease, RelayLimit> {
        let (_, relay_end) = Connection::in_memory(TransportOptions::default());
        let request =
            SlotRequest { sender: Client::new(relay_end, std::net::Ipv4Addr::LOCALHOST.into()), claim, source };
        registry.register(request).map_err(|refusal| refusal.limit)
    }

    /// Registers a sender whose slot is established.
    pub(in super::super) fn establish_slot(registry: &Registry) -> SlotLease {
        let lease = register(registry, source(1), None).unwrap();
        lease.establish();
        lease
    }

    /// Returns the time for which a freed slot rests, in seconds.
    async fn rest_after(registry: &Registry, lease: SlotLease) -> u64 {
        let slot = lease.slot();
        drop(lease);
        let rests = || registry.lock().resting.get(slot, Instant::now()).is_some();
        let began = Instant::now();
        while rests() {
            advance(Duration::from_secs(1)).await;
        }
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn only_established_slots_rest_for_a_week_and_are_recorded() {
        let registry = registry(Limits::default(), Vec::new());
        let unused = register(&registry, source(1), None).unwrap();
        assert_eq!(rest_after(&registry, unused).await, SHORT_REST.as_secs());
        assert_eq!(registry.take_records(), []);
        for by_bridge in [true, false] {
            let lease = register(&registry, source(1), None).unwrap();
            let (slot, owner) = (lease.slot(), lease.owner());
            if by_bridge {
                registry.note_bridge(slot, owner)
            } else {
                lease.establish()
            }
            lease.establish();
            assert_eq!(registry.take_records(), [SlotRecord::held(slot)]);
            assert_eq!(rest_after(&registry, lease).await, TICKET_LIFETIME.as_secs());
            assert_eq!(registry.take_records().len(), 1);
            assert!(matches!(registry.look_up(slot, None, source(2)), Lookup::Unknown));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_gets_its_slot_back_and_nobody_else_does() {
        let registry = registry(Limits::default(), Vec::new());
        let lease = register(&registry, source(1), None).unwrap();
        let claim = (lease.slot(), lease.owner());
        lease.establish();
        let other = register(&registry, source(2), Some((claim.0, SlotOwner::random()))).unwrap();
        assert_ne!(other.slot(), claim.0);
        let replacing = register(&registry, source(1), Some(claim)).unwrap();
        assert_eq!((replacing.slot(), replacing.owner()), claim);
        drop(lease); // another lease has replaced it
        assert!(matches!(registry.look_up(claim.0, Some(claim.1), source(3)), Lookup::Found(..)));
        drop(replacing);
        assert!(matches!(registry.look_up(claim.0, Some(claim.1), source(3)), Lookup::SenderAway));
        let returned = register(&registry, source(1), Some(claim)).unwrap();
        assert_eq!(returned.slot(), claim.0);
        returned.end_share();
        assert!(matches!(registry.look_up(claim.0, Some(claim.1), source(3)), Lookup::ShareEnded));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attacked_slot_is_still_protected_after_its_sender_reconnects() {
        let registry = registry(Limits::default(), Vec::new());
        let lease = register(&registry, source(1), None).unwrap();
        let claim @ (slot, owner) = (lease.slot(), lease.owner());
        registry.note_confirmed(slot, owner, source(2));
        for _ in 0..=Limits::default().get(RelayLimit::SlotUnconfirmed) {
            registry.note_unconfirmed(slot, owner);
        }
        let is_found = |source| matches!(registry.look_up(slot, None, source), Lookup::Found(..));
        assert!(is_found(source(3)) && !is_found(source(4)));
        drop(lease);
        let returned = register(&registry, source(1), Some(claim)).unwrap();
        assert!(is_found(source(2)), "the source of an earlier download");
        assert!(!is_found(source(3)) && !is_found(source(4)));
        drop(register(&registry, source(1), Some(claim)).unwrap());
        drop(returned);
        advance(Duration::from_secs(3600)).await;
        let _returned = register(&registry, source(1), Some(claim)).unwrap();
        assert!((3..10).all(|number| is_found(source(number))));
    }

    #[tokio::test(start_paused = true)]
    async fn scarce_slots_are_for_sources_that_have_few() {
        let issued = (0..Slot::COUNT / 4 * 3).map(|n| (Slot::from_number(n), TICKET_LIFETIME)).collect();
        let registry = registry(Limits::default(), issued);
        let leases: Vec<_> = (0..2).map(|_| register(&registry, source(1), None).unwrap()).collect();
        assert_eq!(register(&registry, source(1), None).err(), Some(RelayLimit::SlotsTotal));
        let claim = (leases[0].slot(), leases[0].owner());
        assert!(register(&registry, source(1), Some(claim)).is_ok(), "a claim takes no further slot");
        assert!(register(&registry, source(2), None).is_ok());
        let exempt: Vec<_> = (0..4).map(|_| register(&registry, None, None).unwrap()).collect();
        drop((leases, exempt));
        advance(TICKET_LIFETIME).await;
        while registry.expire_some() {}
        let held: Vec<_> = (0..5).map(|_| register(&registry, source(1), None).unwrap()).collect();
        assert_eq!(registry.counts(), (held.len(), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_with_many_resting_slots_gets_no_week_for_more() {
        let registry = registry(Limits::default().with(RelayLimit::RestingSlots, 3), Vec::new());
        let mut slots = Vec::new();
        for _ in 0..5 {
            let lease = register(&registry, source(1), None).unwrap();
            lease.establish();
            slots.push(lease.slot());
        }
        advance(2 * SHORT_REST).await;
        let resting = slots.iter().filter(|slot| registry.lock().resting.get(**slot, Instant::now()).is_some());
        assert_eq!(resting.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_drawn_when_almost_all_are_taken() {
        let issued = (0..Slot::COUNT / 100 * 99).map(|n| (Slot::from_number(n), TICKET_LIFETIME)).collect();
        let registry = registry(Limits::default(), issued);
        assert!(register(&registry, source(1), None).is_ok());
    }
}
