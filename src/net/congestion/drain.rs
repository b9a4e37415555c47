//! A drain: for a moment less is on its way than the line holds, so that what is seen then is the line, and not our queue.

use std::time::{Duration, Instant};

use super::{floor::Base, rate::Sample};

/// Less is on its way than the line holds by as much as the rate may be overrated.
const SHARE: f64 = 0.9;

/// Where less of that came through, the rate was overrated by more.
const THROUGH: f64 = 0.8;

/// Round trips that make a floor.
const ENOUGH: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct Drain {
    began: Instant,
    /// When less was on its way than the line holds.
    effective: Option<Instant>,
    /// Round trips of packets that were sent since.
    rtts: Vec<Duration>,
    /// The rate before the probe that is judged at the end.
    rate_before: f64,
    /// The rate below which it is to be, and how far.
    rate: f64,
    share: f64,
}

impl Drain {
    /// Below `rate`. A deep one leaves no room for this share of packets, which the line is thought to lose.
    pub(super) fn new(now: Instant, rate_before: f64, rate: f64, deep: Option<f64>) -> Self {
        let share = SHARE * (1.0 - deep.unwrap_or(0.0));
        Self { began: now, effective: None, rtts: Vec::new(), rate_before, rate, share }
    }

    /// Whether this is the moment at which no more is on its way than the window allows.
    pub(super) fn takes_effect(&mut self, now: Instant, in_flight: f64, window: f64) -> bool {
        let does = self.effective.is_none() && in_flight <= window;
        if does {
            self.effective = Some(now);
        }
        does
    }

    /// Takes a sample of a line with this base round trip, and tells whether enough was seen.
    pub(super) fn saw(&mut self, sample: &Sample, base: Duration) -> bool {
        let Some(effective) = self.effective.filter(|effective| sample.sent >= *effective) else { return false };
        self.rtts.push(sample.rtt);
        let sent_for = sample.sent.saturating_duration_since(effective);
        (sent_for >= base / 2 && self.rtts.len() >= ENOUGH) || sent_for >= base * 2
    }

    /// Tells the base what was seen; gives the floor.
    pub(super) fn tell(&mut self, now: Instant, base: &mut Base) -> Option<Duration> {
        base.drained(now, &mut self.rtts)
    }

    /// How long it has taken.
    pub(super) fn duration(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// The rate before the probe that is judged at the end.
    pub(super) fn rate_before(&self) -> f64 {
        self.rate_before
    }

    /// Bytes a second that are sent meanwhile.
    pub(super) fn rate(&self) -> f64 {
        self.share * self.rate
    }

    /// Whether it leaves no room for loss.
    pub(super) fn is_deep(&self) -> bool {
        self.share < SHARE
    }

    /// Whether as much came through as was to be expected: otherwise the rate was overrated, and what was lost says
    /// nothing.
    pub(super) fn is_plausible(&self, delivery_rate: f64) -> bool {
        delivery_rate >= THROUGH * self.rate()
    }
}
