//! Counts the usage of the relay by source, and enforces the limits.
//!
//! Every limit applies to a source and, times [`SITE_FACTOR`](super::limits::SITE_FACTOR), to the IPv6 /48 around it.
//! Some limits also have a total for all sources. When the total is nearly used up, only sources that use little are
//! served, so sources that use much cannot lock them out. They may use at most as much again as the total of a rate, so
//! many sources that each use little cannot overload the relay.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    limits::{HOUR, HoldingKind, Limits, RateKind},
    refusal::Refusal,
    source::Source,
    source_table::{SourceTable, prefixes, rate},
    token_bucket::Rate,
};
use crate::{sync::Mutex, wire::relay_limit::RelayLimit};

/// The time for which a source that has exceeded [`RelayLimit::Unconfirmed`] is barred.
const BAR_TIME: Duration = HOUR;

/// Counts the usage of sources. A handle: clones share the counts.
///
/// A source of `None` stands for a client without limits by source. The totals apply to resources that it holds, but
/// not to its requests.
#[derive(Clone)]
pub(super) struct SourceLimiter {
    limits: Limits,
    limit_loopback: bool,
    table: Arc<Mutex<SourceTable>>,
}

impl SourceLimiter {
    /// Creates a limiter. Clients on this machine have limits by source only if `limit_loopback` is set.
    pub(super) fn new(limits: Limits, limit_loopback: bool) -> Self {
        Self { limits, limit_loopback, table: Arc::default() }
    }

    /// Returns the source if limits by source apply to it.
    pub(super) fn limited(&self, source: Source) -> Option<Source> {
        Some(source).filter(|source| self.limit_loopback || !source.is_loopback())
    }

    /// Counts a request of a source.
    ///
    /// # Errors
    /// [`Refusal`] if the source may not make it now.
    pub(super) fn take(&self, kind: RateKind, source: Option<Source>) -> Result<(), Refusal> {
        let Some(source) = source else { return Ok(()) };
        self.table.lock().take(&self.limits, kind, source)
    }

    /// Checks that a source may make a request, without counting it.
    ///
    /// # Errors
    /// [`Refusal`] if the source may not make it now.
    pub(super) fn check(&self, kind: RateKind, source: Option<Source>) -> Result<(), Refusal> {
        let Some(source) = source else { return Ok(()) };
        self.table.lock().check(&self.limits, kind, source, Instant::now()).map(drop)
    }

    /// Counts a resource of a source until the returned [`Holding`] is dropped.
    ///
    /// # Errors
    /// [`Refusal`] if the source may not hold it now.
    pub(super) fn hold(&self, kind: HoldingKind, source: Option<Source>) -> Result<Holding, Refusal> {
        let source = self.table.lock().hold(&self.limits, kind, source)?;
        Ok(Holding { kind, source, table: Arc::clone(&self.table) })
    }

    /// Returns whether a source has so few slots that it may have one more when slots are scarce.
    pub(super) fn has_few_slots(&self, source: Option<Source>) -> bool {
        let table = self.table.lock();
        source.is_none_or(|source| table.holds_few(&self.limits, HoldingKind::Slot, table.resolve(source)))
    }

    /// Returns whether a source uses half of its connections or handshakes. Clients that claim an address of this
    /// source must then prove it, so forged packets cannot use up its limits.
    pub(super) fn is_busy(&self, source: Source) -> bool {
        let table = self.table.lock();
        let connections = self.limits.get(RelayLimit::Connections);
        prefixes(source).any(|(prefix, factor)| {
            let usage = table.usage(prefix);
            let bucket = usage.rates[RateKind::Handshake as usize];
            let rate = rate(&self.limits, RateKind::Handshake, factor);
            usage.held[HoldingKind::Connection as usize] >= connections.saturating_mul(factor) / 2
                || !bucket.has_used_at_most(rate.tokens / 2, rate, Instant::now())
        })
    }

    /// Counts an unconfirmed session of a source. Bars the source if there are too many.
    pub(super) fn note_unconfirmed(&self, source: Option<Source>) {
        let Some(source) = source else { return };
        let (now, mut table) = (Instant::now(), self.table.lock());
        let source = table.resolve(source);
        for (prefix, factor) in prefixes(source) {
            let tokens = self.limits.get(RelayLimit::Unconfirmed).saturating_mul(factor);
            let usage = table.entry(prefix, now);
            if usage.unconfirmed.take(Rate { tokens, period: BAR_TIME }, now).is_err() {
                usage.barred_until = Some(now + BAR_TIME);
            }
        }
    }

    /// Checks that a source is not barred.
    ///
    /// # Errors
    /// [`Refusal`] with the remaining time of the bar.
    pub(super) fn check_barred(&self, source: Option<Source>) -> Result<(), Refusal> {
        let Some(source) = source else { return Ok(()) };
        let (now, table) = (Instant::now(), self.table.lock());
        let source = table.resolve(source);
        let until = prefixes(source).filter_map(|(prefix, _)| table.usage(prefix).barred_until).max();
        match until.map(|until| until.saturating_duration_since(now)) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(Refusal::until(RelayLimit::Unconfirmed, wait)),
        }
    }
}

/// A resource that a source holds until this value is dropped.
pub(super) struct Holding {
    kind: HoldingKind,
    source: Option<Source>,
    table: Arc<Mutex<SourceTable>>,
}

impl Holding {
    /// Returns whether the resource counts for `source`.
    pub(super) fn is_of(&self, source: Option<Source>) -> bool {
        self.source == source
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.table.lock().release(self.kind, self.source);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use tokio::time::advance;

    use super::{
        super::source_table::{IDLE_CHECK, MAX_ENTRIES},
        *,
    };

    fn v4(number: u32) -> Option<Source> {
        Some(Source::from(IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number))))
    }

    fn v6(site: u16, network: u16) -> Option<Source> {
        Some(Source::from(IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, site, network, 0, 0, 0, 1))))
    }

    fn limiter(values: &[(RelayLimit, u32)]) -> SourceLimiter {
        let limits = values.iter().fold(Limits::default(), |limits, (limit, value)| limits.with(*limit, *value));
        SourceLimiter::new(limits, false)
    }

    /// Makes requests until the limiter refuses one. Returns the number of accepted requests, and the refusal.
    fn take_all(limiter: &SourceLimiter, kind: RateKind, source: Option<Source>) -> (usize, Refusal) {
        let mut taken = 0;
        loop {
            match limiter.take(kind, source) {
                Ok(()) => taken += 1,
                Err(refusal) => return (taken, refusal),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_source_has_its_own_bucket() {
        let limiter = limiter(&[(RelayLimit::Misses, 60)]);
        let expected = (60, Refusal { limit: RelayLimit::Misses, retry_after: 60 });
        assert_eq!(take_all(&limiter, RateKind::Miss, v4(1)), expected);
        assert_eq!(take_all(&limiter, RateKind::Miss, v4(2)), expected);
        assert!(limiter.take(RateKind::Connect, v4(1)).is_ok());
        advance(Duration::from_secs(60)).await;
        assert_eq!(take_all(&limiter, RateKind::Miss, v4(1)).0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_networks_of_a_site_share_its_bucket() {
        let limiter = limiter(&[(RelayLimit::Misses, 10)]);
        let taken: usize = (0..100).map(|network| take_all(&limiter, RateKind::Miss, v6(1, network)).0).sum();
        assert_eq!(taken, 80);
        assert_eq!(take_all(&limiter, RateKind::Miss, v6(2, 0)).0, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_uses_little_is_served_when_the_total_is_reached() {
        let limiter = limiter(&[(RelayLimit::Misses, 64), (RelayLimit::MissesTotal, 100)]);
        assert_eq!(take_all(&limiter, RateKind::Miss, v4(1)).0, 64);
        assert_eq!(
            take_all(&limiter, RateKind::Miss, v4(2)),
            (36, Refusal { limit: RelayLimit::MissesTotal, retry_after: 36 })
        );
        assert_eq!(take_all(&limiter, RateKind::Miss, v4(3)).0, 2);
    }

    /// Lets 1,000 sources make four requests a second each, fewer than their own limit, for a minute. Returns how many
    /// are accepted, and how many of one request a second from further sources.
    async fn served_beside_light_sources(limiter: &SourceLimiter) -> (usize, usize) {
        let (mut accepted, mut others) = (0, 0);
        for second in 0..60 {
            for number in 0..1_000 {
                accepted += (0..4).filter(|_| limiter.take(RateKind::Connect, v4(number)).is_ok()).count();
            }
            others += usize::from(limiter.take(RateKind::Connect, v4(10_000 + second)).is_ok());
            advance(Duration::from_secs(1)).await;
        }
        (accepted, others)
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_sources_do_not_lock_out_others() {
        let (accepted, others) = served_beside_light_sources(&limiter(&[])).await;
        // The bucket of the total is full at first. Beyond it, each source has nine requests and nine more a minute.
        assert!((60_000..=60_000 + 18_000 + 60).contains(&accepted), "{accepted}");
        assert_eq!(others, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn sources_that_use_little_get_at_most_as_much_again_as_the_total() {
        let (accepted, others) = served_beside_light_sources(&limiter(&[(RelayLimit::ConnectsTotal, 3_000)])).await;
        assert!((6_000..=12_000).contains(&(accepted + others)), "{accepted}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_quarter_is_for_sources_that_hold_little() {
        let limiter = limiter(&[(RelayLimit::Slots, 8), (RelayLimit::SlotsTotal, 16)]);
        let hold = |source| std::iter::from_fn(|| limiter.hold(HoldingKind::Slot, source).ok()).collect::<Vec<_>>();
        let (one, two, three) = (hold(v4(1)), hold(v4(2)), hold(v4(3)));
        assert_eq!([&one, &two, &three].map(Vec::len), [8, 4, 2]);
        let refusal = limiter.hold(HoldingKind::Slot, v4(2)).err().unwrap();
        assert_eq!(refusal.limit, RelayLimit::SlotsTotal);
        drop(one);
        assert_eq!(hold(v4(2)).len(), 4);
        assert_eq!(limiter.table.lock().held[HoldingKind::Slot as usize], 6);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_unconfirmed_sessions_bar_a_source_for_an_hour() {
        let limiter = limiter(&[]);
        for _ in 0..10 {
            limiter.note_unconfirmed(v4(1));
        }
        assert_eq!(limiter.check_barred(v4(1)), Ok(()));
        limiter.note_unconfirmed(v4(1));
        let refusal = Refusal { limit: RelayLimit::Unconfirmed, retry_after: 3600 };
        assert_eq!(limiter.check_barred(v4(1)), Err(refusal));
        assert_eq!(limiter.check_barred(v4(2)), Ok(()));
        advance(Duration::from_secs(3600)).await;
        assert_eq!(limiter.check_barred(v4(1)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_forgets_unused_sources() {
        let limiter = limiter(&[]);
        for number in 0..2 * MAX_ENTRIES as u32 {
            let _ = limiter.take(RateKind::Connect, v4(number));
        }
        let entries = |limiter: &SourceLimiter| limiter.table.lock().entries.len();
        assert!(entries(&limiter) <= MAX_ENTRIES + 256, "{}", entries(&limiter));
        assert!(limiter.take(RateKind::Connect, v4(1)).is_ok(), "a known source is not affected");
        advance(2 * IDLE_CHECK).await;
        for _ in 0..MAX_ENTRIES {
            let _ = limiter.take(RateKind::Connect, v4(1));
        }
        assert!(entries(&limiter) < 10, "{}", entries(&limiter));
        assert!(limiter.table.lock().checks.len() < 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_released_is_not_counted() {
        let limiter = limiter(&[(RelayLimit::Connections, 2)]);
        for source in [v4(1), v6(1, 1), None] {
            let held = [(); 2].map(|()| limiter.hold(HoldingKind::Connection, source).ok().unwrap());
            assert_eq!(limiter.hold(HoldingKind::Connection, source).is_err(), source.is_some());
            assert_eq!(source.is_some_and(|source| limiter.is_busy(source)), source.is_some());
            drop(held);
            assert!(limiter.hold(HoldingKind::Connection, source).is_ok());
        }
        assert_eq!(limiter.table.lock().held, [0; HoldingKind::COUNT]);
    }

    #[test]
    fn loopback_is_exempt_unless_it_is_limited() {
        let loopback = Source::from(IpAddr::from([127, 0, 0, 5]));
        assert_eq!(limiter(&[]).limited(loopback), None);
        assert_eq!(SourceLimiter::new(Limits::default(), true).limited(loopback), Some(loopback));
    }
}
