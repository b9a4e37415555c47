//! When messages are sent to everyone on a link.

use std::time::Duration;

use tokio::time::Instant;

/// How many times a sender is announced on a new link (RFC 6762 section 8.3).
const ANNOUNCEMENTS: u32 = 2;

/// The minimum time between two messages (RFC 6762 section 6). A flood of questions causes no more.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The messages that are to be sent on a link, all alike.
#[derive(Debug)]
pub(super) struct Schedule {
    messages: u32,
    /// The earliest time for the next one.
    next: Instant,
}

impl Schedule {
    /// Returns the schedule of a new link: announcements from `now` on.
    pub(super) fn new(now: Instant) -> Self {
        Self { messages: ANNOUNCEMENTS, next: now }
    }

    /// Schedules a message for this time, or later if one has just been sent. Does nothing if one is already scheduled.
    pub(super) fn request(&mut self, at: Instant) {
        if self.messages == 0 {
            self.messages = 1;
            self.next = self.next.max(at);
        }
    }

    /// Returns when the next message is due.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.messages > 0).then_some(self.next)
    }

    /// Notes an attempt to send the message that is due. A failed one is repeated: a new IPv6 address is not usable at
    /// once.
    pub(super) fn note_attempt(&mut self, now: Instant, is_sent: bool) {
        self.messages = self.messages.saturating_sub(is_sent.into());
        self.next = now + MIN_INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends the message that is due at `now`, and returns whether there is one.
    fn send(schedule: &mut Schedule, now: Instant) -> bool {
        let is_due = schedule.due().is_some_and(|due| due <= now);
        if is_due {
            schedule.note_attempt(now, true);
        }
        is_due
    }

    #[test]
    fn a_new_link_gets_two_announcements_and_then_silence() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        assert!(send(&mut schedule, start));
        assert_eq!(schedule.due(), Some(start + MIN_INTERVAL));
        assert!(send(&mut schedule, start + MIN_INTERVAL));
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn a_flood_of_questions_causes_one_message_a_second() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        let times = (0..10_000).map(|n| start + Duration::from_millis(n));
        let sent = times.filter(|&now| {
            schedule.request(now + Duration::from_millis(20));
            send(&mut schedule, now)
        });
        assert_eq!(sent.count(), 10);
    }

    #[test]
    fn repeated_questions_do_not_delay_the_answer() {
        let start = Instant::now();
        let mut schedule = Schedule { messages: 0, next: start };
        for n in 1..100 {
            schedule.request(start + Duration::from_millis(n));
        }
        assert_eq!(schedule.due(), Some(start + Duration::from_millis(1)));
    }

    #[test]
    fn a_failed_attempt_is_repeated_after_a_second() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        schedule.note_attempt(start, false);
        assert_eq!((schedule.messages, schedule.due()), (ANNOUNCEMENTS, Some(start + MIN_INTERVAL)));
    }
}
