//! The limits of a relay: their values, and the requests and resources that they bound.

use std::time::Duration;

use crate::{
    error::{Error, Kind, Result},
    text::visible,
    wire::relay_limit::RelayLimit,
};

const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// An IPv6 /48 may use this many times as much as one of its /64: it is a site with many networks, and costs an
/// attacker as little as a /64.
pub(super) const SITE_FACTOR: u32 = 8;

/// The values of all limits of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits([u32; RelayLimit::ALL.len()]);

impl Limits {
    /// Returns the value of a limit.
    pub fn get(&self, limit: RelayLimit) -> u32 {
        self.0[limit as usize]
    }

    /// Changes the value of a limit.
    pub fn with(mut self, limit: RelayLimit, value: u32) -> Self {
        self.0[limit as usize] = value;
        self
    }

    /// Parses `NAME=VALUE`.
    ///
    /// # Errors
    /// [`Kind::Usage`] if there is no such limit, or the value is not a number.
    pub fn parse(text: &str) -> Result<(RelayLimit, u32)> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let Some(limit) = RelayLimit::ALL.iter().find(|limit| limit.name() == name) else {
            let names: Vec<&str> = RelayLimit::ALL.iter().map(|limit| limit.name()).collect();
            return Err(Error::new(Kind::Usage, format!("there is no limit “{}”", visible(name)))
                .hint(format!("the limits are {}", names.join(", "))));
        };
        let value = value.parse().map_err(|_| {
            Error::new(Kind::Usage, format!("the limit {name} needs a whole number below 4294967296"))
                .hint(format!("write it as {name}={}; see --limit help", default_value(*limit)))
        })?;
        Ok((*limit, value))
    }

    /// Returns a table of all limits with their defaults and meanings, one per line.
    pub fn help() -> String {
        let line =
            |limit: &RelayLimit| format!("  {:<30} {:>7}  {}\n", limit.name(), default_value(*limit), limit.meaning());
        let lines: String = RelayLimit::ALL.iter().map(line).collect();
        format!(
            "Limits, their defaults, and what they count:\n\n{lines}\n\
             A source is an IPv4 address or an IPv6 /64; an IPv6 /48 may use {SITE_FACTOR} times as much.\n\
             When the total of a rate is used up, sources that use little may together use as much again.\n\
             Clients on this machine have no limits by source without --limit-loopback.\n"
        )
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self(std::array::from_fn(|number| default_value(RelayLimit::ALL[number])))
    }
}

/// Returns the default of a limit. A network behind one address may be an office or a lecture hall, so most limits by
/// source allow a few hundred users. When a total is nearly used up, sources that use little have priority: see
/// [`super::source_limiter`].
fn default_value(limit: RelayLimit) -> u32 {
    match limit {
        // A lecture hall may start at the same time; afterwards five handshakes of 0.3 ms a second cost nothing.
        RelayLimit::Handshakes => 300,
        // 500 a second, which take about a sixth of one core.
        RelayLimit::HandshakesTotal => 30_000,
        // Each counts as 96 KiB in the memory budget: 47 MiB.
        RelayLimit::Connections => 500,
        // Just over half of the default memory budget: `MemoryBudget::max_connections` lowers it for a smaller one.
        RelayLimit::ConnectionsTotal => 6_000,
        // A request waits for a round trip; a connection has at most 16 of them.
        RelayLimit::Streams => 256,
        RelayLimit::StreamsTotal => 8_192,
        // A sender registers once over each connection.
        RelayLimit::RegistrationsPerConnection => 16,
        // A hundred senders that each lose their connection every ten minutes.
        RelayLimit::Registrations => 600,
        RelayLimit::RegistrationsTotal => 60_000,
        // A sender's connection holds one.
        RelayLimit::SlotsPerConnection => 4,
        // An office with a share on every machine.
        RelayLimit::Slots => 100,
        // About 1 % of all slots, so one guess of a slot in a hundred hits a share.
        RelayLimit::SlotsTotal => 10_000,
        // One a minute. A scan of all 923,521 slots takes 640 days, over a whole /48 it takes 80.
        RelayLimit::Misses => 60,
        // More than one a second indicates a scan by many sources. Sources that use little are still served then.
        RelayLimit::MissesTotal => 3_600,
        // The same as for handshakes: every receiver connects once, and again after an outage.
        RelayLimit::Connects => 300,
        RelayLimit::ConnectsTotal => 30_000,
        // A tenth of a percent of all slots.
        RelayLimit::RestingSlots => 1_000,
        // A lecture hall.
        RelayLimit::Bridges => 500,
        RelayLimit::BridgesTotal => 10_000,
        // Each may test a code, so this many guesses fit in before the first is known to be wrong.
        RelayLimit::StartingBridges => 64,
        // Two mistyped codes for each of five people. Most typos fail the check character before they get here.
        RelayLimit::Unconfirmed => 10,
        // A share loses at most five attempts at once and one every ten minutes afterwards. This bucket regains one
        // every twelve minutes. So five mistyped codes cause no protection, and a share that keeps losing all its
        // attempts is protected after ten minutes, for as long as the attack lasts.
        RelayLimit::SlotUnconfirmed => 5,
    }
}

/// Requests that are limited by rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RateKind {
    Handshake,
    Registration,
    Connect,
    Miss,
}

impl RateKind {
    pub(super) const COUNT: usize = 4;

    /// Returns the limits for one source and for all sources.
    pub(super) fn limits(self) -> (RelayLimit, RelayLimit) {
        match self {
            Self::Handshake => (RelayLimit::Handshakes, RelayLimit::HandshakesTotal),
            Self::Registration => (RelayLimit::Registrations, RelayLimit::RegistrationsTotal),
            Self::Connect => (RelayLimit::Connects, RelayLimit::ConnectsTotal),
            Self::Miss => (RelayLimit::Misses, RelayLimit::MissesTotal),
        }
    }

    /// Returns the time in which a used-up limit is refilled.
    pub(super) fn period(self) -> Duration {
        match self {
            Self::Handshake | Self::Connect => MINUTE,
            Self::Registration | Self::Miss => HOUR,
        }
    }
}

/// A resource that a source holds for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldingKind {
    Connection,
    Stream,
    Slot,
    RestingSlot,
    Bridge,
    StartingBridge,
}

impl HoldingKind {
    pub(super) const COUNT: usize = 6;

    /// Returns the limit for one source and, if there is one, the limit for all sources.
    pub(super) fn limits(self) -> (RelayLimit, Option<RelayLimit>) {
        match self {
            Self::Connection => (RelayLimit::Connections, Some(RelayLimit::ConnectionsTotal)),
            Self::Stream => (RelayLimit::Streams, Some(RelayLimit::StreamsTotal)),
            Self::Slot => (RelayLimit::Slots, Some(RelayLimit::SlotsTotal)),
            Self::RestingSlot => (RelayLimit::RestingSlots, None),
            Self::Bridge => (RelayLimit::Bridges, Some(RelayLimit::BridgesTotal)),
            Self::StartingBridge => (RelayLimit::StartingBridges, None),
        }
    }

    /// Returns the seconds after which a refused source may retry. They are an estimate: the time of the next release
    /// is unknown.
    pub(super) fn retry_after(self) -> u32 {
        match self {
            Self::Connection | Self::Stream | Self::StartingBridge => 5,
            Self::Bridge | Self::Slot | Self::RestingSlot => 30,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_parsed_and_explained() {
        for (number, limit) in RelayLimit::ALL.iter().enumerate() {
            assert_eq!(*limit as usize, number);
            assert_eq!(Limits::parse(&format!("{}=7", limit.name())), Ok((*limit, 7)));
            assert!(Limits::default().get(*limit) > 0);
            assert!(Limits::help().contains(&format!("  {} ", limit.name())));
        }
        for wrong in ["", "=", "misses", "misses=", "misses=-1", "misses=1.5", "misses=4294967296", "Misses=1"] {
            let e = Limits::parse(wrong).unwrap_err();
            assert_eq!(e.kind(), Kind::Usage, "{wrong}");
            assert!(e.hint_text().is_some_and(|hint| hint.contains("misses")), "{wrong}: {e:?}");
        }
    }

    #[test]
    fn one_source_needs_more_than_a_week_to_scan_all_slots() {
        let hours = 923_521 / Limits::default().get(RelayLimit::Misses) / SITE_FACTOR;
        assert!(hours > 7 * 24, "{hours} hours");
    }
}
