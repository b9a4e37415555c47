//! Protects a slot against guesses of its code.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;

use super::{
    limits::HOUR,
    refusal::Refusal,
    source::Source,
    token_bucket::{Rate, TokenBucket},
};
use crate::wire::relay_limit::RelayLimit;

/// The period of [`RelayLimit::SlotUnconfirmed`], and the time for which a slot is protected once the limit is
/// exceeded.
const PERIOD: Duration = HOUR;

/// The rate of connects to a protected slot from all sources that are new to it.
const NEW_SOURCES: Rate = Rate { tokens: 1, period: Duration::from_secs(5) };

/// The most known sources of a slot.
const MAX_KNOWN: usize = 64;

/// The most known sources of a slot that rests. Half a million slots may rest, so their sources take at most 100 MB.
const MAX_KNOWN_AT_REST: usize = 4;

/// Counts the unconfirmed sessions of one slot. While there are too many, only sources that had a confirmed session may
/// connect without a delay.
#[derive(Debug, Default)]
pub(super) struct SlotProtection {
    unconfirmed: TokenBucket,
    until: Option<Instant>,
    connects: TokenBucket,
    /// The sources of confirmed sessions. Most slots have none, and an empty set needs no memory.
    known: HashSet<Source>,
}

impl SlotProtection {
    /// Counts an unconfirmed session. The slot allows `limit` of them in an hour.
    pub(super) fn note_unconfirmed(&mut self, limit: u32) {
        let now = Instant::now();
        if self.unconfirmed.take(Rate { tokens: limit, period: PERIOD }, now).is_err() {
            self.until = Some(now + PERIOD);
        }
    }

    /// Notes that a bridge of `source` carried more than an unconfirmed session can.
    pub(super) fn note_confirmed(&mut self, source: Source) {
        if self.known.len() < MAX_KNOWN {
            self.known.insert(source);
        }
    }

    /// Returns what a resting slot must remember for its owner's return. Most slots have had no unconfirmed session;
    /// they need no memory.
    pub(super) fn at_rest(mut self) -> Option<Box<Self>> {
        let now = Instant::now();
        let is_quiet = self.unconfirmed.is_full(now) && self.until.is_none_or(|until| until <= now);
        if is_quiet {
            return None;
        }
        let mut kept = 0;
        self.known.retain(|_| {
            kept += 1;
            kept <= MAX_KNOWN_AT_REST
        });
        self.known.shrink_to_fit();
        Some(Box::new(self))
    }

    /// Whether `source` had a confirmed session.
    pub(super) fn knows(&self, source: Source) -> bool {
        self.known.contains(&source)
    }

    /// Checks that `source` may connect now.
    ///
    /// # Errors
    /// [`Refusal`] if the slot is protected, `source` is new to it, and another new source has just connected.
    pub(super) fn check(&mut self, source: Source) -> Result<(), Refusal> {
        let now = Instant::now();
        if self.until.is_none_or(|until| until <= now) || self.knows(source) {
            return Ok(());
        }
        self.connects.take(NEW_SOURCES, now).map_err(|wait| Refusal::until(RelayLimit::SlotUnconfirmed, wait))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::time::advance;

    use super::{super::limits::Limits, *};

    #[tokio::test(start_paused = true)]
    async fn an_attacked_slot_is_slow_for_sources_that_are_new_to_it() {
        let [known, new, other] = [1, 2, 3].map(|n| Source::from(IpAddr::from([192, 0, 2, n])));
        let mut protection = SlotProtection::default();
        protection.note_confirmed(known);
        for _ in 0..5 {
            protection.note_unconfirmed(5);
        }
        assert!((0..10).all(|_| protection.check(new).is_ok()));
        protection.note_unconfirmed(5);
        assert_eq!(protection.check(new), Ok(()));
        let refusal = Refusal { limit: RelayLimit::SlotUnconfirmed, retry_after: 5 };
        assert_eq!([protection.check(new), protection.check(other)], [Err(refusal); 2]);
        assert!((0..10).all(|_| protection.check(known).is_ok()));
        advance(Duration::from_secs(5)).await;
        assert_eq!([protection.check(other), protection.check(new)], [Ok(()), Err(refusal)]);
        advance(PERIOD).await;
        assert!((0..10).all(|_| protection.check(new).is_ok()));
    }

    /// An honest sender loses five attempts at once, and then one every ten minutes.
    #[tokio::test(start_paused = true)]
    async fn a_share_that_keeps_losing_all_its_attempts_is_protected() {
        let limit = Limits::default().get(RelayLimit::SlotUnconfirmed);
        let [new, other] = [1, 2].map(|n| Source::from(IpAddr::from([192, 0, 2, n])));
        let mut protection = SlotProtection::default();
        for _ in 0..5 {
            protection.note_unconfirmed(limit);
        }
        assert!((0..10).all(|_| protection.check(new).is_ok()), "five mistyped codes are no attack");
        for _ in 0..20 {
            advance(Duration::from_secs(600)).await;
            protection.note_unconfirmed(limit);
            assert_eq!(protection.check(new), Ok(()));
            assert!(protection.check(other).is_err(), "the protection lasts as long as the attack");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_resting_slot_remembers_only_an_attack() {
        let sources = (0..MAX_KNOWN as u8).map(|n| Source::from(IpAddr::from([192, 0, 2, n])));
        let mut protection = SlotProtection::default();
        sources.for_each(|source| protection.note_confirmed(source));
        protection.note_unconfirmed(5);
        let kept = protection.at_rest().unwrap();
        assert_eq!(kept.known.len(), MAX_KNOWN_AT_REST);
        advance(PERIOD).await;
        assert!(kept.at_rest().is_none());
    }
}
