//! A hostile relay with a sender, and ways to tamper with what passes.

use std::sync::{Arc, Mutex};

use crate::hostile::{
    hostile_relay::{
        BridgePlan, Forwarded, HostileRelay, RECORDS, StreamDirection, Tamper, Then, forward, no_tampering,
    },
    processes::{FinishedRun, RunningSender, TestMachine, noise},
};

pub(super) const NAME: &str = "400kB.bin";

/// The records of the sender: the manifest, the content in four, its goodbye.
pub(super) const MANIFEST: usize = RECORDS;

pub(super) const FIRST: usize = MANIFEST + 1;

pub(super) const MIDDLE: usize = MANIFEST + 2;

pub(super) const TAIL: usize = MANIFEST + 4;

pub(super) const GOODBYE: usize = MANIFEST + 5;

/// The records of the receiver: the request, then credit; its last one is [`is_last`].
pub(super) const REQUEST: usize = RECORDS;

pub(super) const CREDIT: usize = RECORDS + 1;

/// A relay, a sender that shares one file, and what is in it.
pub(super) struct RelayTest {
    pub(super) machine: TestMachine,
    pub(super) relay: HostileRelay,
    pub(super) sender: RunningSender,
    pub(super) content: Vec<u8>,
}

impl RelayTest {
    pub(super) async fn new(seed: u64) -> Self {
        let (machine, relay) = (TestMachine::new(), HostileRelay::start());
        let content = noise(seed, 400_000);
        let path = machine.file(NAME, &content);
        let sender = machine.sender(relay.addr(), &[&path], &[]).await;
        Self { machine, relay, sender, content }
    }

    pub(super) async fn download(&self, plan: BridgePlan) -> FinishedRun {
        self.relay.plan(plan);
        self.machine.recv(self.relay.addr(), self.sender.code()).await
    }

    /// The sender has survived whatever was before.
    pub(super) async fn assert_alive(&mut self) {
        let run = self.download(BridgePlan::tamper(no_tampering())).await;
        run.assert_saved(NAME, &self.content, "an honest download afterwards");
        self.sender.event("download_finished").await;
    }
}

/// Does something to one unit of one direction.
pub(super) fn at(
    direction: StreamDirection,
    number: usize,
    what: impl Fn(Vec<u8>) -> Forwarded + Send + Sync + 'static,
) -> Tamper {
    Arc::new(move |w, n, bytes| if (w, n) == (direction, number) { what(bytes) } else { forward(bytes) })
}

pub(super) fn flip(
    direction: StreamDirection,
    number: usize,
    byte: impl Fn(usize) -> usize + Send + Sync + 'static,
    bit: u8,
) -> Tamper {
    at(direction, number, move |mut bytes| {
        let byte = byte(bytes.len());
        bytes[byte] ^= 1 << bit;
        Forwarded(bytes, Then::Continue)
    })
}

/// Makes the announced length of a record shorter.
pub(super) fn shorten(direction: StreamDirection, number: usize) -> Tamper {
    at(direction, number, |mut bytes| {
        let byte = (1..4).rev().find(|i| bytes[*i] != 0).unwrap();
        bytes[byte] &= bytes[byte] - 1;
        Forwarded(bytes, Then::Continue)
    })
}

pub(super) fn cut(direction: StreamDirection, number: usize, half: bool, then: Then) -> Tamper {
    at(direction, number, move |mut bytes| {
        if half {
            bytes.truncate(bytes.len() / 2);
        }
        Forwarded(bytes, then)
    })
}

/// Holds back a unit until the next one is through.
pub(super) fn swap(direction: StreamDirection, number: usize) -> Tamper {
    let held = Mutex::new(Vec::new());
    Arc::new(move |w, n, bytes| {
        let mut held = held.lock().unwrap();
        match (w == direction, n) {
            (true, n) if n == number => {
                *held = bytes;
                Forwarded(Vec::new(), Then::Continue)
            }
            (true, n) if n == number + 1 => Forwarded([bytes, std::mem::take(&mut *held)].concat(), Then::Continue),
            _ => forward(bytes),
        }
    })
}

/// The units of one direction as they passed.
pub(super) type Tape = Arc<Mutex<Vec<Vec<u8>>>>;

pub(super) fn record(direction: StreamDirection) -> (Tape, Tamper) {
    let tape = Tape::default();
    let recording = tape.clone();
    let tamper: Tamper = Arc::new(move |w, _, bytes| {
        if w == direction {
            recording.lock().unwrap().push(bytes.clone());
        }
        forward(bytes)
    });
    (tape, tamper)
}

/// Puts the units of another download in the place of these.
pub(super) fn splice(direction: StreamDirection, tape: &Tape, numbers: std::ops::Range<usize>) -> Tamper {
    let tape = tape.lock().unwrap().clone();
    Arc::new(move |w, n, bytes| {
        if w == direction && numbers.contains(&n) {
            forward(tape.get(n).cloned().unwrap_or_default())
        } else {
            forward(bytes)
        }
    })
}

/// Whether a unit claims to be the last record of its direction.
pub(super) fn is_last(number: usize, unit: &[u8]) -> bool {
    number >= RECORDS && unit.first() == Some(&1)
}
