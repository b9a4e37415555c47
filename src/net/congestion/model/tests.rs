//! The model against a line that is a few lines of arithmetic: a rate, a round trip, a queue, and chance.

use std::collections::VecDeque;

use super::*;

const PACKET: u64 = 1_000;

/// A line on which the time between two packets is one step.
struct Line {
    model: Model,
    now: Instant,
    step: Duration,
    delay: Duration,
    /// Packets that the queue holds.
    queue: usize,
    /// One packet in so many is lost.
    lost_every: u64,
    waiting: VecDeque<Instant>,
    /// When each packet was sent, and when its acknowledgement comes.
    flying: VecDeque<(Instant, Instant, bool)>,
    passed: u64,
    overflowed: u64,
}

impl Line {
    /// So many packets a second, and a round trip of so many milliseconds.
    fn new(rate: u32, delay: u64, queue: usize, lost_every: u64) -> Self {
        let now = Instant::now();
        Self {
            model: Model::new(now, PACKET as u16, 32 * PACKET),
            now,
            step: Duration::from_secs(1) / rate,
            delay: Duration::from_millis(delay),
            queue,
            lost_every,
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            passed: 0,
            overflowed: 0,
        }
    }

    fn in_flight(&self) -> u64 {
        (self.waiting.len() + self.flying.len()) as u64 * PACKET
    }

    /// Lets a sender with enough to send run for so many milliseconds; gives how many packets were delivered.
    fn run(&mut self, ms: u64) -> u64 {
        let (end, mut delivered) = (self.now + Duration::from_millis(ms), 0);
        while self.now < end {
            self.now += self.step;
            while self.flying.front().is_some_and(|(_, back, _)| *back <= self.now) {
                let Some((sent, _, arrives)) = self.flying.pop_front() else { break };
                if arrives {
                    delivered += 1;
                    self.model.acked(sent, PACKET);
                    self.model.acked_all(self.now, self.in_flight(), false);
                } else {
                    self.model.lost(self.now, sent, PACKET, false);
                }
            }
            // As quinn's pacer: at most a quarter faster than the window allows, here two packets a step.
            for _ in 0..2 {
                if self.in_flight() + PACKET < self.model.window() {
                    self.model.sent(self.now, PACKET);
                    if self.waiting.len() < self.queue {
                        self.waiting.push_back(self.now);
                    } else {
                        self.overflowed += 1;
                        self.flying.push_back((self.now, self.now + self.delay, false));
                    }
                }
            }
            if let Some(sent) = self.waiting.pop_front() {
                self.passed += 1;
                let arrives = self.lost_every == 0 || !self.passed.is_multiple_of(self.lost_every);
                let back = self.now + self.delay;
                self.flying.push_back((sent, back, arrives));
            }
        }
        delivered
    }
}

#[test]
fn a_clean_line_is_full_and_its_queue_is_short() {
    let mut line = Line::new(10_000, 50, 500, 0);
    line.run(2_000);
    let delivered = line.run(10_000);
    assert!(delivered >= 97_000, "{delivered}");
    assert_eq!(line.overflowed, 0);
    assert!(line.waiting.len() < 150, "{}", line.waiting.len());
}

#[test]
fn one_packet_in_twenty_does_not_matter() {
    let mut line = Line::new(10_000, 50, 500, 20);
    line.run(2_000);
    let delivered = line.run(10_000);
    assert!(delivered >= 92_000, "{delivered} of 95,000");
    assert!((0.045..0.055).contains(&line.model.loss.own()), "{}", line.model.loss.own());
}

#[test]
fn a_dead_line_begins_anew() {
    let mut line = Line::new(10_000, 50, 500, 0);
    line.run(2_000);
    assert!(line.model.window() > 400 * PACKET);
    line.model.lost(line.now, line.now, 100 * PACKET, true);
    assert_eq!(line.model.window(), 32 * PACKET);
    assert!(matches!(line.model.phase, Phase::Startup(_)));
}

#[test]
fn a_mark_is_taken_for_a_queue() {
    let mut line = Line::new(10_000, 50, 500, 0);
    line.run(2_000);
    let before = line.model.headroom;
    line.model.lost(line.now, line.now, 0, false);
    assert!(line.model.headroom < before);
}
