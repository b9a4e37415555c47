//! Permits that groups of peers share fairly.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    sync::Mutex,
    wire::relay::{SiteTag, SourceTag},
};

/// The group of a peer, such as the network that it connects from. Each group is part of a site.
pub(super) trait PermitGroup: Copy + Eq {
    type Site: Copy + Eq;

    fn site(self) -> Self::Site;
}

/// Networks are grouped by site, because one customer may have all networks of a site.
impl PermitGroup for SourceTag {
    type Site = SiteTag;

    fn site(self) -> SiteTag {
        self.site
    }
}

/// The id of a resuming receiver, which is a site of its own.
impl PermitGroup for [u8; 16] {
    type Site = Self;

    fn site(self) -> Self {
        self
    }
}

/// A bounded number of permits. Each belongs to a group `G` and its site.
///
/// Acquiring a permit always succeeds at once. If the site is at its limit, the oldest permit of the site's largest
/// group is revoked. If no permit is left, the same happens to the largest site. So a single site cannot exclude the
/// others, and a single group cannot exclude the others of its site.
pub(super) struct FairPermits<G> {
    max: usize,
    max_per_site: usize,
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

impl<G: PermitGroup> FairPermits<G> {
    /// Creates `max` permits, of which one site may hold `max_per_site`.
    pub(super) fn new(max: usize, max_per_site: usize) -> Self {
        let held = HeldPermits { permits: Vec::new(), last_id: 0 };
        Self { max, max_per_site, held: Arc::new(Mutex::new(held)) }
    }

    /// Acquires a permit for `group`. May revoke another one.
    pub(super) fn acquire(&self, group: G) -> FairPermit<G> {
        let mut held = self.held.lock();
        if held.count(group.site()) >= self.max_per_site {
            held.revoke_one(group.site());
        } else if held.permits.len() >= self.max
            && let Some(largest) = most_frequent(held.permits.iter().map(|permit| permit.group.site()))
        {
            held.revoke_one(largest);
        }
        held.last_id += 1;
        let (id, revoked) = (held.last_id, Arc::new(Notify::new()));
        held.permits.push(HeldPermit { id, group, revoked: Arc::clone(&revoked) });
        FairPermit { id, revoked, held: Arc::clone(&self.held) }
    }
}

impl<G: PermitGroup> HeldPermits<G> {
    fn count(&self, site: G::Site) -> usize {
        self.permits.iter().filter(|permit| permit.group.site() == site).count()
    }

    /// Revokes the oldest permit of the largest group of a site.
    fn revoke_one(&mut self, site: G::Site) {
        let groups = self.permits.iter().map(|permit| permit.group).filter(|group| group.site() == site);
        let largest = most_frequent(groups);
        if let Some(index) = self.permits.iter().position(|permit| Some(permit.group) == largest) {
            self.permits.remove(index).revoked.notify_one();
        }
    }
}

/// Returns the most frequent item, of several ones the first.
fn most_frequent<T: Copy + Eq>(items: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: Vec<(T, usize)> = Vec::new();
    for item in items {
        match counts.iter_mut().find(|(other, _)| *other == item) {
            Some((_, count)) => *count += 1,
            None => counts.push((item, 1)),
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(item, _)| item)
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

    /// Groups 10 to 19 are one site, 20 to 29 another one, and so on.
    impl PermitGroup for u8 {
        type Site = u8;

        fn site(self) -> u8 {
            self / 10
        }
    }

    fn is_revoked(permit: &FairPermit<u8>) -> bool {
        let revoked = pin!(permit.revoked()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(());
        if revoked {
            permit.revoked.notify_one(); // so that the next check sees it too
        }
        revoked
    }

    #[test]
    fn a_site_over_its_share_loses_its_own_oldest_permit() {
        let permits = FairPermits::new(10, 2);
        let [first, second, other] = [10, 10, 20].map(|group| permits.acquire(group));
        let third = permits.acquire(10);
        assert_eq!([&first, &second, &other, &third].map(is_revoked), [true, false, false, false]);
        drop(second);
        let _fourth = permits.acquire(10);
        assert!(!is_revoked(&third), "a permit was free");
    }

    #[test]
    fn the_largest_site_gives_way_when_no_permit_is_left() {
        let permits = FairPermits::new(5, 3);
        let held = [10, 20, 21, 22, 30].map(|group| permits.acquire(group));
        let _new = permits.acquire(40);
        assert_eq!(held.each_ref().map(is_revoked), [false, true, false, false, false]);
    }

    #[test]
    fn the_largest_group_of_a_full_site_gives_way() {
        let permits = FairPermits::new(10, 4);
        let held = [11, 12, 12, 12].map(|group| permits.acquire(group));
        let _new = permits.acquire(13);
        assert_eq!(held.each_ref().map(is_revoked), [false, true, false, false]);
    }

    proptest! {
        #[test]
        fn groups_and_the_total_stay_within_their_bounds(groups in prop::collection::vec((0..60u8, any::<bool>()), 0..200)) {
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
                for site in 0..6 {
                    prop_assert!(counted.count(site) <= 3);
                }
            }
            let valid = held.iter().filter(|permit| !is_revoked(permit)).count();
            prop_assert_eq!(valid, permits.held.lock().permits.len());
        }
    }
}
