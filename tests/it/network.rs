//! The emulated network, and whole transfers over impaired links in virtual time.
//!
//! - [`links`]: what a link does to single packets: rate, delay, loss, queue, policer, cuts, changes.
//! - [`clocks`]: virtual time, its determinism, and its agreement with the real clock.
//! - [`congestion`]: the program's own congestion control, alone and beside other streams.
//! - [`transfers`]: transfers between the real relay, sender and receivers over such links.
//! - [`outages`]: outages that are longer than a connection lives.
//! - [`handshakes`]: handshakes with the relay whose packets are lost.
//! - [`endings`]: faults just when a download or a share ends.
//! - [`races`]: a sender that is reachable through the relay and nearby.
//! - [`counters`]: the counters that a relay logs.
//! - [`memory`]: bounds on the memory between sender and receivers, and the isolation of receivers.
//!
//! A busy machine does not change the results: all assertions on times are on virtual time. The tests print their
//! figures, which `--nocapture` shows.

mod clocks;
mod congestion;
mod counters;
mod endings;
mod handshakes;
mod join_all;
mod links;
mod memory;
mod outages;
mod races;
mod transfers;
mod units;
