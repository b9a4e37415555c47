//! A network in memory: hosts, sockets that quinn takes for UDP, and pipes between them that are slow, long and bad.
//!
//! ```text
//!  host ── socket ──▶ pipe ─▶ pipe ─▶ … ──▶ socket ── host
//!                      │
//!                      policer ─▶ queue ─▶ rate ─▶ loss ─▶ delay, jitter, reordering, duplication
//! ```
//!
//! - [`virtually`] runs a test on a clock that stands still while there is anything to do and jumps where there is
//!   not; [`really`] runs the same on the real clock. Both hand out a [`Network`].
//! - A [`Line`] says what a [`Pipe`] does to packets. A pipe has one direction; a [`Way`] has both, each as many pipes
//!   as there are bottlenecks. Two ways that share a pipe share its queue.
//! - A [`World`] puts the real relay, a real sender and real receivers on such a network; [`Bare`] puts two quinn
//!   endpoints on it and nothing else.
//!
//! # Time
//!
//! The pipes compute with nanoseconds: rates, queues and delays are exact, on both clocks. A packet gets to a socket at
//! the end of the [`STEP`] in which it arrives, so that a round trip is measured up to two steps too long. Timers are
//! tokio's: they fire at whole milliseconds, up to one late, as they do in the program; quinn's pacer is among them. On
//! the real clock a packet waits for such a timer too.
//!
//! Work on blocking threads takes no time: the clock waits for it. There is one such thread, so that its work has an
//! order.
//!
//! # What repeats
//!
//! With the same seed, the n-th packet that leaves the queue of a pipe meets the same fate in every run, whatever is in
//! it. What quinn, TLS and tokio draw is not seeded: connection ids, skipped packet numbers, the length of a signature,
//! the order in which `select!` looks. Two runs of the same test are therefore alike but for a few packets' sizes and
//! times.
#![allow(dead_code, reason = "the tests and the benchmark each use a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a network that fails is a test that fails")]

mod bare;
mod clock;
mod fate;
mod host;
mod line;
mod network;
mod pipe;
mod scratch;
mod socket;
mod way;
mod world;

#[allow(unused_imports, reason = "the tests and the benchmark each use a part of it")]
pub(crate) use self::{
    bare::{Bare, Moved},
    clock::{STEP, really, virtually},
    host::Host,
    line::{HEADERS, Line, mbit},
    network::Network,
    pipe::{Counters, Pipe, Tally},
    scratch::Scratch,
    socket::Socket,
    way::Way,
    world::{Received, Sharing, World},
};
