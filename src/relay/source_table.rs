//! The usage of the relay by each source.
//!
//! The table has a bounded number of entries. It drops an entry that equals a new one. While it is full, further
//! sources share 256 entries.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    limits::{HoldingKind, Limits, RateKind, SITE_FACTOR},
    refusal::Refusal,
    source::{Site, Source},
    token_bucket::{Rate, TokenBucket},
};

/// The maximum number of entries, which take about 13 MB.
pub(super) const MAX_ENTRIES: usize = 50_000;

/// The interval at which each entry is checked for disuse.
pub(super) const IDLE_CHECK: Duration = Duration::from_secs(60);

/// The key of an entry: a source or a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Prefix {
    Source(Source),
    Site(Site),
}

/// The usage of one source or site.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SourceUsage {
    pub(super) rates: [TokenBucket; RateKind::COUNT],
    /// The requests that count as little use. They have the same periods as `rates` and fewer tokens.
    light: [TokenBucket; RateKind::COUNT],
    pub(super) held: [u32; HoldingKind::COUNT],
    pub(super) unconfirmed: TokenBucket,
    pub(super) barred_until: Option<Instant>,
}

impl SourceUsage {
    /// Returns whether the entry can be dropped: a new one would have the same usage.
    fn is_unused(&self, now: Instant) -> bool {
        self.held.iter().all(|held| *held == 0)
            && self.rates.iter().chain(&self.light).chain([&self.unconfirmed]).all(|bucket| bucket.is_full(now))
            && self.barred_until.is_none_or(|until| until <= now)
    }
}

#[derive(Default)]
pub(super) struct SourceTable {
    pub(super) entries: HashMap<Prefix, SourceUsage>,
    /// The next check of each entry for disuse, ordered by time.
    pub(super) checks: VecDeque<(Instant, Prefix)>,
    pub(super) rates: [TokenBucket; RateKind::COUNT],
    /// What sources that use little take when a total is used up: as much again.
    reserve: [TokenBucket; RateKind::COUNT],
    pub(super) held: [u32; HoldingKind::COUNT],
    hasher: RandomState,
}

impl SourceTable {
    /// Counts a request of a source.
    pub(super) fn take(&mut self, limits: &Limits, kind: RateKind, source: Source) -> Result<(), Refusal> {
        let now = Instant::now();
        self.drop_unused(now);
        let source = self.check(limits, kind, source, now)?;
        for (prefix, factor) in prefixes(source) {
            let usage = self.entry(prefix, now);
            let _ = usage.rates[kind as usize].take(rate(limits, kind, factor), now); // checked above
            let _ = usage.light[kind as usize].take(light_rate(limits, kind, factor), now); // empty if it uses much
        }
        let total = total_rate(limits, kind);
        if self.rates[kind as usize].take(total, now).is_err() {
            let _ = self.reserve[kind as usize].take(total, now); // checked above
        }
        Ok(())
    }

    /// Checks a request, and returns the source under which it is counted.
    pub(super) fn check(
        &self,
        limits: &Limits,
        kind: RateKind,
        source: Source,
        now: Instant,
    ) -> Result<Source, Refusal> {
        let source = self.resolve(source);
        let (limit, total) = kind.limits();
        for (prefix, factor) in prefixes(source) {
            let bucket = self.usage(prefix).rates[kind as usize];
            bucket.check(rate(limits, kind, factor), now).map_err(|wait| Refusal::until(limit, wait))?;
        }
        let total_rate = total_rate(limits, kind);
        let Err(wait) = self.rates[kind as usize].check(total_rate, now) else { return Ok(source) };
        let uses_little = prefixes(source).all(|(prefix, factor)| {
            self.usage(prefix).light[kind as usize].check(light_rate(limits, kind, factor), now).is_ok()
        });
        let may_use_reserve = uses_little && self.reserve[kind as usize].check(total_rate, now).is_ok();
        if may_use_reserve { Ok(source) } else { Err(Refusal::until(total, wait)) }
    }

    /// Counts a resource that a source holds, and returns the source under which it is counted.
    pub(super) fn hold(
        &mut self,
        limits: &Limits,
        kind: HoldingKind,
        source: Option<Source>,
    ) -> Result<Option<Source>, Refusal> {
        let now = Instant::now();
        self.drop_unused(now);
        let source = source.map(|source| self.resolve(source));
        let (limit, total) = kind.limits();
        let refuse = |limit| Err(Refusal { limit, retry_after: kind.retry_after() });
        if let Some(total) = total {
            let (held, most) = (self.held[kind as usize], limits.get(total));
            let is_scarce = held >= most - most / 4;
            if held >= most || is_scarce && source.is_some_and(|source| !self.holds_few(limits, kind, source)) {
                return refuse(total);
            }
        }
        for (prefix, factor) in source.into_iter().flat_map(prefixes) {
            if self.usage(prefix).held[kind as usize] >= limits.get(limit).saturating_mul(factor) {
                return refuse(limit);
            }
        }
        self.held[kind as usize] += 1;
        for (prefix, _) in source.into_iter().flat_map(prefixes) {
            self.entry(prefix, now).held[kind as usize] += 1;
        }
        Ok(source)
    }

    pub(super) fn release(&mut self, kind: HoldingKind, source: Option<Source>) {
        self.held[kind as usize] -= 1;
        for (prefix, _) in source.into_iter().flat_map(prefixes) {
            if let Some(usage) = self.entries.get_mut(&prefix) {
                usage.held[kind as usize] -= 1;
            }
        }
    }

    /// Returns whether a source holds so little that it may hold more when the total is nearly reached. Slots are
    /// scarce, so such a source has at most one, including resting ones. `source` is resolved.
    pub(super) fn holds_few(&self, limits: &Limits, kind: HoldingKind, source: Source) -> bool {
        prefixes(source).all(|(prefix, factor)| {
            let held = self.usage(prefix).held;
            match kind {
                HoldingKind::Slot => {
                    held[HoldingKind::Slot as usize] + held[HoldingKind::RestingSlot as usize] < 2 * factor
                }
                kind => held[kind as usize] < few(limits.get(kind.limits().0)).saturating_mul(factor),
            }
        })
    }

    /// Returns the source under which `source` is counted: itself, unless the table is full.
    pub(super) fn resolve(&self, source: Source) -> Source {
        let missing = prefixes(source).filter(|(prefix, _)| !self.entries.contains_key(prefix)).count();
        if missing == 0 || self.entries.len() + missing <= MAX_ENTRIES {
            return source;
        }
        Source::shared(self.hasher.hash_one(source) as u8)
    }

    pub(super) fn usage(&self, prefix: Prefix) -> SourceUsage {
        self.entries.get(&prefix).copied().unwrap_or_default()
    }

    pub(super) fn entry(&mut self, prefix: Prefix, now: Instant) -> &mut SourceUsage {
        self.entries.entry(prefix).or_insert_with(|| {
            self.checks.push_back((now + IDLE_CHECK, prefix));
            SourceUsage::default()
        })
    }

    /// Drops unused entries whose check is due. Every call adds at most two entries, so checking three keeps up.
    fn drop_unused(&mut self, now: Instant) {
        const CHECKS_PER_CALL: usize = 3;
        for _ in 0..CHECKS_PER_CALL {
            let Some((_, prefix)) = self.checks.front().copied().filter(|(at, _)| *at <= now) else { return };
            self.checks.pop_front();
            if self.usage(prefix).is_unused(now) {
                self.entries.remove(&prefix);
            } else {
                self.checks.push_back((now + IDLE_CHECK, prefix));
            }
        }
    }
}

/// Returns a source and its site, each with the factor of its limits.
pub(super) fn prefixes(source: Source) -> impl Iterator<Item = (Prefix, u32)> {
    let site = source.site().map(|site| (Prefix::Site(site), SITE_FACTOR));
    [(Prefix::Source(source), 1)].into_iter().chain(site)
}

pub(super) fn rate(limits: &Limits, kind: RateKind, factor: u32) -> Rate {
    Rate { tokens: limits.get(kind.limits().0).saturating_mul(factor), period: kind.period() }
}

/// Returns the rate of requests up to which a source or a site uses little.
fn light_rate(limits: &Limits, kind: RateKind, factor: u32) -> Rate {
    Rate { tokens: few(limits.get(kind.limits().0)).saturating_mul(factor), period: kind.period() }
}

fn total_rate(limits: &Limits, kind: RateKind) -> Rate {
    Rate { tokens: limits.get(kind.limits().1), period: kind.period() }
}

/// Returns the part of a limit that counts as little use: a few users behind one address.
fn few(limit: u32) -> u32 {
    (limit / 32).max(2)
}
