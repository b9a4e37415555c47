//! Permits that groups of peers share fairly.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::sync::Mutex;

/// A bounded number of permits. Each belongs to a group `G`, such as the network that a peer connects from.
///
/// Acquiring a permit always succeeds at once. If the group is at its limit, its oldest permit is revoked. If no permit
/// is left, the oldest permit of the largest group is revoked. So a single group cannot exclude the others.
pub(super) struct FairPermits<G> {
    max: usize,
    max_per_group: usize,
    held: Arc<Mutex<HeldPermits<G>>>,
}

struct HeldPermits<G> {
    /// The held permits, oldest first. They are at most a few hundred, so scanning all of them is cheap.
    permits: Vec<HeldPermit<G>>,
    last_id: u64,
}

struct HeldPermit<G> {
    id: u64,
    group: G,
    revoked: Arc<Notify>,
}

impl<G: Copy + Eq> FairPermits<G> {
    /// Creates `max` permits, of which one group may hold `max_per_group`.
    pub(super) fn new(max: usize, max_per_group: usize) -> Self {
        let held = HeldPermits { permits: Vec::new(), last_id: 0 };
        Self { max, max_per_group, held: Arc::new(Mutex::new(held)) }
    }

    /// Acquires a permit for `group`. May revoke another one.
    pub(super) fn acquire(&self, group: G) -> FairPermit<G> {
        let mut held = self.held.lock();
        if held.count(group) >= self.max_per_group {
            held.revoke_oldest(group);
        } else if held.permits.len() >= self.max
            && let Some(largest) = held.largest_group()
        {
            held.revoke_oldest(largest);
        }
        held.last_id += 1;
        let (id, revoked) = (held.last_id, Arc::new(Notify::new()));
        held.permits.push(HeldPermit { id, group, revoked: Arc::clone(&revoked) });
        FairPermit { id, revoked, held: Arc::clone(&self.held) }
    }
}

impl<G: Copy + Eq> HeldPermits<G> {
    fn count(&self, group: G) -> usize {
        self.permits.iter().filter(|permit| permit.group == group).count()
    }

    /// Returns the group with the most permits. Ties go to the group with the oldest permit.
    fn largest_group(&self) -> Option<G> {
        let mut groups: Vec<(G, usize)> = Vec::new();
        for HeldPermit { group, .. } in &self.permits {
            match groups.iter_mut().find(|(other, _)| other == group) {
                Some((_, count)) => *count += 1,
                None => groups.push((*group, 1)),
            }
        }
        groups.into_iter().rev().max_by_key(|(_, count)| *count).map(|(group, _)| group)
    }

    fn revoke_oldest(&mut self, group: G) {
        if let Some(index) = self.permits.iter().position(|permit| permit.group == group) {
            self.permits.remove(index).revoked.notify_one();
        }
    }
}

/// A permit that can be revoked. Dropping it frees it.
pub(super) struct FairPermit<G> {
    id: u64,
    revoked: Arc<Notify>,
    held: Arc<Mutex<HeldPermits<G>>>,
}

impl<G> FairPermit<G> {
    /// Waits until the permit is revoked.
    pub(super) async fn revoked(&self) {
        self.revoked.notified().await;
    }
}

impl<G> Drop for FairPermit<G> {
    fn drop(&mut self) {
        self.held.lock().permits.retain(|permit| permit.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Context, task::Poll, task::Waker};

    use proptest::prelude::*;

    use super::*;

    fn is_revoked(permit: &FairPermit<u8>) -> bool {
        let revoked = pin!(permit.revoked()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(());
        if revoked {
            permit.revoked.notify_one(); // so that the next check sees it too
        }
        revoked
    }

    #[test]
    fn a_group_over_its_share_loses_its_own_oldest_permit() {
        let permits = FairPermits::new(10, 2);
        let [first, second, other] = [1, 1, 2].map(|group| permits.acquire(group));
        let third = permits.acquire(1);
        assert_eq!([&first, &second, &other, &third].map(is_revoked), [true, false, false, false]);
        drop(second);
        let _fourth = permits.acquire(1);
        assert!(!is_revoked(&third), "a permit was free");
    }

    #[test]
    fn the_largest_group_gives_way_when_no_permit_is_left() {
        let permits = FairPermits::new(5, 3);
        let held = [1, 2, 2, 2, 3].map(|group| permits.acquire(group));
        let _new = permits.acquire(4);
        assert_eq!(held.each_ref().map(is_revoked), [false, true, false, false, false]);
    }

    proptest! {
        #[test]
        fn groups_and_the_total_stay_within_their_bounds(groups in prop::collection::vec((0..6u8, any::<bool>()), 0..200)) {
            let permits = FairPermits::new(8, 3);
            let mut held = Vec::new();
            for (group, keeps) in groups {
                let permit = permits.acquire(group);
                prop_assert!(!is_revoked(&permit));
                if keeps {
                    held.push(permit);
                }
                let counted = permits.held.lock();
                prop_assert!(counted.permits.len() <= 8);
                for group in 0..6 {
                    prop_assert!(counted.count(group) <= 3);
                }
            }
            let valid = held.iter().filter(|permit| !is_revoked(permit)).count();
            prop_assert_eq!(valid, permits.held.lock().permits.len());
        }
    }
}
