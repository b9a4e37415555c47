//! A network in memory: hosts, sockets that quinn uses in place of UDP, and emulated links between them.
//!
//! ```text
//!  host ── socket ──▶ link ─▶ link ─▶ … ──▶ socket ── host
//!                      │
//!                      policer ─▶ queue ─▶ rate ─▶ loss ─▶ delay, jitter, reordering, duplication
//! ```
//!
//! - [`run_in_virtual_time`] runs a test on a clock that advances only when every task waits. [`run_in_real_time`] runs
//!   the same test on the real clock. Both hand out a [`Network`].
//! - A [`LinkConfig`] describes an [`EmulatedLink`], which has one direction. A [`NetworkPath`] has two directions, and
//!   each of them is a sequence of links. Two paths that have a link in common share its queue.
//! - A [`Scenario`] runs the real relay, a real sender and real receivers on such a network. A [`QuicPair`] runs two
//!   quinn endpoints and nothing else. With a [`FixedWindow`] the pair ignores loss.
//!
//! # Time
//!
//! The links compute in nanoseconds: rates, queues and delays are exact on both clocks. The time at which a packet
//! reaches its socket is coarser. In virtual time it is the end of the [`STEP`] in which the packet arrives, so that a
//! measured round trip is up to two steps too long. On the real clock it is the next tick of tokio's timers, up to 2 ms
//! late.
//!
//! Timers are tokio's on both clocks, as they are in the program, and fire at whole milliseconds. quinn's pacer uses
//! them too, so that it sends the packets of a millisecond at once.
//!
//! Work on blocking threads takes no virtual time, because the clock waits for it. There is one blocking thread, so
//! that its jobs have an order. A job that waits for another one therefore deadlocks.
//!
//! One second at 100 Mbit/s takes 0.15 s for a [`QuicPair`] and 0.3 s for a whole transfer through a relay, in a test
//! build. One second at 1 Gbit/s takes 0.6 and 2 s. The network itself is a negligible part of these times.
//!
//! # Determinism
//!
//! With the same seed, the n-th packet that leaves the queue of a link has the same outcome in every run, regardless of
//! its content and of the other links.
//!
//! A transfer of a [`QuicPair`] in virtual time repeats to the packet. In a [`Scenario`], the random numbers of QUIC
//! come from the seed too. Three sources of variation remain: keys and points, which have fixed lengths; the relay's
//! signature, whose length varies by one or two bytes; and the order in which several threads do things at the same
//! virtual time. A transfer to one receiver repeats to a millisecond, transfers to several at once to about a percent.
#![allow(dead_code, reason = "the tests and the benchmark each use a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a network that fails is a test that fails")]

mod clock;
mod event_log;
mod fixed_window;
mod host;
mod impairments;
mod link;
mod link_config;
mod log_recorder;
mod network;
mod network_path;
mod quic_pair;
mod scenario;
mod scratch_dir;
mod share_task;
mod socket;
mod tally;

#[allow(unused_imports, reason = "the tests and the benchmark each use a part of it")]
pub(crate) use self::{
    clock::{STEP, run_in_real_time, run_in_virtual_time},
    fixed_window::FixedWindow,
    host::Host,
    link::EmulatedLink,
    link_config::{IP_UDP_HEADERS, LinkConfig, STREAM_EFFICIENCY, mbit},
    log_recorder::LogRecorder,
    network::Network,
    network_path::NetworkPath,
    quic_pair::{BulkTransfer, QuicPair},
    scenario::{CompletedDownload, RelayKind, Scenario},
    scratch_dir::ScratchDir,
    share_task::ShareTask,
    socket::VirtualSocket,
    tally::{LinkCounters, Tally},
};
