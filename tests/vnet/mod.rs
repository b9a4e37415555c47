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
//!   endpoints on it and nothing else. With a [`Fixed`] window they do not mind loss.
//!
//! # Time
//!
//! The pipes compute with nanoseconds: rates, queues and delays are exact, on both clocks. What is coarser is when a
//! packet gets to its socket. In virtual time that is at the end of the [`STEP`] in which it arrives: a round trip is
//! measured up to two steps too long. On the real clock it is when one of tokio's timers fires: up to 2 ms late.
//!
//! Timers are tokio's on both clocks, as they are in the program: they fire at whole milliseconds. quinn's pacer is
//! among them, so that it sends the packets of a millisecond at once.
//!
//! Work on blocking threads takes no time: the clock waits for it. There is one such thread, so that its work has an
//! order; work that waits for other such work would never end.
//!
//! A second at 100 Mbit/s takes 0.15 s for two bare endpoints and 0.3 s for a whole transfer through a relay, in a
//! build for tests; a second at 1 Gbit/s takes 0.6 and 2 s. Hardly anything of it is the network.
//!
//! # What repeats
//!
//! With the same seed, the n-th packet that leaves the queue of a pipe meets the same fate in every run, whatever is in
//! it and whatever else the line does.
//!
//! A [`Bare`] transfer in virtual time repeats to the packet, and what QUIC itself draws at random in a [`World`] comes
//! from the seed too. What is left are keys and points, which have fixed lengths, the relay's signature, whose length
//! varies by a byte or two, and the order of what several threads would do at the same time: one receiver's transfer
//! repeats to a millisecond, several at once within about a percent.
#![allow(dead_code, reason = "the tests and the benchmark each use a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a network that fails is a test that fails")]

mod bare;
mod clock;
mod fate;
mod fixed;
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
    fixed::Fixed,
    host::Host,
    line::{EFFICIENCY, HEADERS, Line, mbit},
    network::Network,
    pipe::{Counters, Pipe, Tally},
    scratch::Scratch,
    socket::Socket,
    way::Way,
    world::{Received, Sharing, World},
};
