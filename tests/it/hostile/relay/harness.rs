//! A hostile relay with a real sender, and functions that tamper with units of a stream.

use std::sync::{Arc, Mutex};

use crate::hostile::{
    hostile_relay::{
        BridgePlan, Forwarded, HostileRelay, RECORDS, StreamDirection, Tamper, Then, forward, no_tampering,
    },
    processes::{FinishedRun, RunningSender, TestMachine, random_bytes},
};

pub(super) const NAME: &str = "400kB.bin";

// The sender's records: the manifest, four of content, and the acknowledgement of the end.
pub(super) const MANIFEST: usize = RECORDS;
pub(super) const FIRST_CONTENT: usize = MANIFEST + 1;
pub(super) const SECOND_CONTENT: usize = MANIFEST + 2;
pub(super) const LAST_CONTENT: usize = MANIFEST + 4;
pub(super) const DONE_ACK: usize = MANIFEST + 5;

// The receiver's records: the request, then credit. Its last record is recognized by [`is_last`].
pub(super) const REQUEST: usize = RECORDS;
pub(super) const CREDIT: usize = RECORDS + 1;

/// A hostile relay, and a sender that shares one file.
pub(super) struct RelayTest {
    pub(super) machine: TestMachine,
    pub(super) relay: HostileRelay,
    pub(super) sender: RunningSender,
    pub(super) content: Vec<u8>,
}

impl RelayTest {
    /// Starts both. The content of the file depends on the seed.
    pub(super) async fn new(seed: u64) -> Self {
        let (machine, relay) = (TestMachine::new(), HostileRelay::start());
        let content = random_bytes(seed, 400_000);
        let path = machine.file(NAME, &content);
        let sender = machine.start_sender(relay.addr(), &[&path], &[]).await;
        Self { machine, relay, sender, content }
    }

    /// Runs a receiver, which the relay treats as planned.
    pub(super) async fn download(&self, plan: BridgePlan) -> FinishedRun {
        self.relay.plan(plan);
        self.machine.run_receiver(self.relay.addr(), self.sender.code()).await
    }

    /// Checks that the sender still serves an honest download.
    pub(super) async fn assert_alive(&mut self) {
        let run = self.download(BridgePlan::tampering(no_tampering())).await;
        run.assert_saved(NAME, &self.content, "an honest download afterwards");
        self.sender.wait_for("download_finished").await;
    }
}

/// Tampers with one unit of one direction.
pub(super) fn tamper_with(
    direction: StreamDirection,
    number: usize,
    tamper: impl Fn(Vec<u8>) -> Forwarded + Send + Sync + 'static,
) -> Tamper {
    Arc::new(move |d, n, bytes| if (d, n) == (direction, number) { tamper(bytes) } else { forward(bytes) })
}

/// Flips a bit of a unit. `byte` selects the byte, given the length of the unit.
pub(super) fn flip(
    direction: StreamDirection,
    number: usize,
    byte: impl Fn(usize) -> usize + Send + Sync + 'static,
    bit: u8,
) -> Tamper {
    tamper_with(direction, number, move |mut bytes| {
        let byte = byte(bytes.len());
        bytes[byte] ^= 1 << bit;
        Forwarded(bytes, Then::Continue)
    })
}

/// Reduces the length in a record's header.
pub(super) fn shorten(direction: StreamDirection, number: usize) -> Tamper {
    tamper_with(direction, number, |mut bytes| {
        let byte = (1..4).rev().find(|i| bytes[*i] != 0).unwrap();
        bytes[byte] &= bytes[byte] - 1;
        Forwarded(bytes, Then::Continue)
    })
}

/// Forwards a unit, or half of it, and then does `then`.
pub(super) fn cut(direction: StreamDirection, number: usize, half: bool, then: Then) -> Tamper {
    tamper_with(direction, number, move |mut bytes| {
        if half {
            bytes.truncate(bytes.len() / 2);
        }
        Forwarded(bytes, then)
    })
}

/// Forwards a unit only after the next one.
pub(super) fn swap(direction: StreamDirection, number: usize) -> Tamper {
    let held = Mutex::new(Vec::new());
    Arc::new(move |d, n, bytes| {
        let mut held = held.lock().unwrap();
        match (d == direction, n) {
            (true, n) if n == number => {
                *held = bytes;
                Forwarded(Vec::new(), Then::Continue)
            }
            (true, n) if n == number + 1 => Forwarded([bytes, std::mem::take(&mut *held)].concat(), Then::Continue),
            _ => forward(bytes),
        }
    })
}

/// The recorded units of one direction.
pub(super) type Recording = Arc<Mutex<Vec<Vec<u8>>>>;

/// Records the units of one direction and forwards them unchanged.
pub(super) fn record(direction: StreamDirection) -> (Recording, Tamper) {
    let recorded = Recording::default();
    let recording = recorded.clone();
    let tamper: Tamper = Arc::new(move |d, _, bytes| {
        if d == direction {
            recording.lock().unwrap().push(bytes.clone());
        }
        forward(bytes)
    });
    (recorded, tamper)
}

/// Replaces some units of one direction by the recorded ones of another download.
pub(super) fn splice(direction: StreamDirection, recorded: &Recording, numbers: std::ops::Range<usize>) -> Tamper {
    let recorded = recorded.lock().unwrap().clone();
    Arc::new(move |d, n, bytes| {
        if d == direction && numbers.contains(&n) {
            forward(recorded.get(n).cloned().unwrap_or_default())
        } else {
            forward(bytes)
        }
    })
}

/// Returns whether the header of a unit marks it as the last record of its direction.
pub(super) fn is_last(number: usize, unit: &[u8]) -> bool {
    number >= RECORDS && unit.first() == Some(&1)
}
