//! Measures how many peers connect to a share without a valid code.

use std::time::Duration;

use tokio::time::Instant;

use crate::{event::Event, sync::Mutex, text::count};

/// The time over which failed connection attempts are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The number of failed attempts in one [`WINDOW`] that causes a warning. Typing errors and lost connections cause
/// fewer.
const THRESHOLD: u32 = 20;

/// The shortest time between two warnings.
const REPORT_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Counts the connection attempts that end without a valid code.
pub(super) struct PressureGauge(Mutex<Pressure>);

struct Pressure {
    window_start: Instant,
    in_window: u32,
    /// The failed attempts since the last warning, or since the pressure began.
    unreported: u64,
    reported_at: Option<Instant>,
}

impl PressureGauge {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Pressure { window_start: Instant::now(), in_window: 0, unreported: 0, reported_at: None }))
    }

    /// Counts a failed attempt. Returns a warning if one is due.
    pub(super) fn note_failure(&self) -> Option<Event> {
        let mut pressure = self.0.lock();
        if pressure.window_start.elapsed() > WINDOW {
            if pressure.in_window < THRESHOLD {
                pressure.unreported = 0;
            }
            (pressure.window_start, pressure.in_window) = (Instant::now(), 0);
        }
        pressure.in_window += 1;
        pressure.unreported += 1;
        let is_due = pressure.reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
        if pressure.in_window < THRESHOLD || !is_due {
            return None;
        }
        pressure.reported_at = Some(Instant::now());
        Some(warning(std::mem::take(&mut pressure.unreported)))
    }
}

fn warning(failed: u64) -> Event {
    Event::Warning {
        kind: "attempts",
        message: format!("many connection attempts without a valid code: {} failed", count(failed, "attempt")),
        hint: Some("the guess limit protects the code; if receivers cannot connect, share with --new-code".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn message(event: Option<Event>) -> Option<String> {
        event.map(|event| match event {
            Event::Warning { kind: "attempts", message, .. } => message,
            other => panic!("{other:?}"),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn pressure_is_reported_once_and_then_every_few_minutes() {
        let gauge = PressureGauge::new();
        let mut reports: Vec<String> = Vec::new();
        for _ in 0..600 {
            for _ in 0..1_000 {
                reports.extend(message(gauge.note_failure()));
            }
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(
            reports,
            [
                "many connection attempts without a valid code: 20 attempts failed",
                "many connection attempts without a valid code: 299,981 attempts failed",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_every_few_seconds_is_not_pressure() {
        let gauge = PressureGauge::new();
        for _ in 0..1_000 {
            assert!(gauge.note_failure().is_none());
            advance(Duration::from_secs(5)).await;
        }
    }
}
