//! Runs the model over a simulated path: a rate, a round-trip time, a queue, and periodic losses.

use std::collections::VecDeque;

use super::*;

const PACKET_SIZE: u64 = 1_000;

/// A path that forwards one packet per step, with a sender that always has data.
struct SimulatedPath {
    model: Model,
    now: Instant,
    step: Duration,
    rtt: Duration,
    /// The capacity of the queue in packets.
    queue_limit: usize,
    /// One in this many packets is lost; 0 for none.
    loss_interval: u64,
    /// When each packet in the queue was sent.
    queue: VecDeque<Instant>,
    in_transit: VecDeque<InTransit>,
    forwarded: u64,
    overflowed: u64,
}

/// A packet behind the queue, or one that overflowed it.
struct InTransit {
    sent: Instant,
    /// When its acknowledgement arrives, or its loss is detected.
    done: Instant,
    is_lost: bool,
}

impl SimulatedPath {
    /// `rate` is in packets per second.
    fn new(rate: u32, rtt_ms: u64, queue_limit: usize, loss_interval: u64) -> Self {
        let now = Instant::now();
        Self {
            model: Model::new(now, PACKET_SIZE as u16, 32 * PACKET_SIZE),
            now,
            step: Duration::from_secs(1) / rate,
            rtt: Duration::from_millis(rtt_ms),
            queue_limit,
            loss_interval,
            queue: VecDeque::new(),
            in_transit: VecDeque::new(),
            forwarded: 0,
            overflowed: 0,
        }
    }

    fn in_flight(&self) -> u64 {
        (self.queue.len() + self.in_transit.len()) as u64 * PACKET_SIZE
    }

    /// Runs for `ms` milliseconds. Returns the number of packets delivered.
    fn run(&mut self, ms: u64) -> u64 {
        let (end, mut delivered) = (self.now + Duration::from_millis(ms), 0);
        while self.now < end {
            self.now += self.step;
            delivered += self.receive();
            self.send();
            self.forward();
        }
        delivered
    }

    fn receive(&mut self) -> u64 {
        let mut delivered = 0;
        while self.in_transit.front().is_some_and(|packet| packet.done <= self.now) {
            let Some(packet) = self.in_transit.pop_front() else { break };
            if packet.is_lost {
                self.model.on_lost(self.now, packet.sent, PACKET_SIZE, false);
            } else {
                delivered += 1;
                self.model.on_acked(packet.sent, PACKET_SIZE);
                self.model.end_acks(self.now, self.in_flight(), false);
            }
        }
        delivered
    }

    /// Sends up to two packets: quinn's pacer sends at most a quarter faster than the window allows.
    fn send(&mut self) {
        for _ in 0..2 {
            if self.in_flight() + PACKET_SIZE < self.model.window() {
                self.model.on_sent(self.now, PACKET_SIZE);
                if self.queue.len() < self.queue_limit {
                    self.queue.push_back(self.now);
                } else {
                    self.overflowed += 1;
                    self.transmit(self.now, true);
                }
            }
        }
    }

    fn forward(&mut self) {
        if let Some(sent) = self.queue.pop_front() {
            self.forwarded += 1;
            let is_lost = self.loss_interval != 0 && self.forwarded.is_multiple_of(self.loss_interval);
            self.transmit(sent, is_lost);
        }
    }

    fn transmit(&mut self, sent: Instant, is_lost: bool) {
        self.in_transit.push_back(InTransit { sent, done: self.now + self.rtt, is_lost });
    }
}

#[test]
fn a_path_without_loss_is_full_and_its_queue_is_short() {
    let mut path = SimulatedPath::new(10_000, 50, 500, 0);
    path.run(2_000);
    let delivered = path.run(10_000);
    assert!(delivered >= 97_000, "{delivered}");
    assert_eq!(path.overflowed, 0);
    assert!(path.queue.len() < 150, "{}", path.queue.len());
}

#[test]
fn random_loss_of_one_packet_in_twenty_does_not_reduce_the_rate() {
    let mut path = SimulatedPath::new(10_000, 50, 500, 20);
    path.run(2_000);
    let delivered = path.run(10_000);
    assert!(delivered >= 92_000, "{delivered} of 95,000");
    let random_loss = path.model.path.random_loss();
    assert!((0.045..0.055).contains(&random_loss), "{random_loss}");
}

#[test]
fn persistent_congestion_restarts_the_controller() {
    let mut path = SimulatedPath::new(10_000, 50, 500, 0);
    path.run(2_000);
    assert!(path.model.window() > 400 * PACKET_SIZE);
    path.model.on_lost(path.now, path.now, 100 * PACKET_SIZE, true);
    assert_eq!(path.model.window(), 32 * PACKET_SIZE);
    assert!(matches!(path.model.state, State::Startup(_)));
}

#[test]
fn a_congestion_mark_reduces_the_headroom() {
    let mut path = SimulatedPath::new(10_000, 50, 500, 0);
    path.run(2_000);
    let before = path.model.headroom.factor();
    path.model.on_lost(path.now, path.now, 0, false);
    assert!(path.model.headroom.factor() < before);
}
