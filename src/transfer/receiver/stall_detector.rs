//! Detects a sender that sends nothing although it could.

use std::time::Duration;

/// Whether a silent sender could have sent something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SilentSender {
    /// It has credit and the stream is not broken.
    CanSend,
    /// It has no credit, or the stream is broken.
    Blocked,
}

/// Distinguishes a sender that has stalled from one that has a reason to be silent.
///
/// Silence is counted in steps of [`StallDetector::STEP`]. A sender that can send has stalled after two silent steps in
/// a row. One is not enough, because its first part may belong to a stream that was broken.
#[derive(Default)]
pub(super) struct StallDetector {
    last_step_was_silent: bool,
}

impl StallDetector {
    /// The length of a step. Two of them are three times the interval of the sender's acknowledgements.
    pub(super) const STEP: Duration = Duration::from_secs(15);

    /// Notes that data arrived.
    pub(super) fn note_arrival(&mut self) {
        self.last_step_was_silent = false;
    }

    /// Notes a step in which nothing arrived. Returns whether the sender has stalled.
    pub(super) fn note_silent_step(&mut self, sender: SilentSender) -> bool {
        let could_send = sender == SilentSender::CanSend;
        let was_silent = std::mem::replace(&mut self.last_step_was_silent, could_send);
        could_send && was_silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_silent_steps_in_a_row_are_a_stall() {
        let mut stall = StallDetector::default();
        assert!(!stall.note_silent_step(SilentSender::CanSend));
        assert!(stall.note_silent_step(SilentSender::CanSend));
    }

    #[test]
    fn arrivals_and_blocked_steps_restart_the_count() {
        let mut stall = StallDetector::default();
        assert!(!stall.note_silent_step(SilentSender::CanSend));
        stall.note_arrival();
        assert!(!stall.note_silent_step(SilentSender::CanSend));
        assert!(!stall.note_silent_step(SilentSender::Blocked));
        assert!(!stall.note_silent_step(SilentSender::CanSend));
    }
}
