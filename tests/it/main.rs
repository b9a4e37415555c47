//! The tests of the whole program. Where a new one belongs:
//!
//! - [`roundtrip`]: what arrives is what was sent: contents, names, permissions, times, links, by every way.
//! - [`rendezvous`]: the ways from a sender to a receiver: codes, links, relays and where they are configured.
//! - [`several_receivers`]: several receivers of one sender, at once and one after another, and where a share ends.
//! - [`exit_codes`]: every exit code and `kind` that scripts rely on, and what the message names.
//! - [`conflicts`]: what stands at the target already, `--out`, and the space that is left.
//! - [`wrong_codes`]: wrong codes and the budget.
//! - [`prompts`]: what is asked at a terminal, and receivers that never answer.
//! - [`interruptions`]: processes killed or interrupted in the middle of a transfer.
//! - [`resume`]: downloads that were cut and are started again.
//! - [`chaos`]: processes killed and network cut at random, until the file has arrived.
//! - [`interrupted_shares`]: senders that are started again, and `qshare shares`.
//! - [`changing_sources`]: files that change while they are sent.
//! - [`output`]: which stream gets what, the shape of the JSON, and what must never be shown.
//! - [`layers`]: who imports whom, and what must not stand in the sources at all.
//! - [`session`]: the handshake and the guess budget under attack, in memory and in virtual time.
//! - [`hostile`]: hostile relays, senders, receivers and clients against real processes.
//! - [`network`]: the network in memory, and whole transfers over bad lines in virtual time: times, memory, fairness.
//!
//! [`support`] starts relays, senders and receivers: the real binary, real sockets on port 0, an environment of its own
//! for each test. Nothing sleeps: a test waits for an event or for the end of a process, and both have a limit. [`vnet`]
//! puts the same parts on a network in memory, where time is virtual.
//!
//! Unix only: signals, links and permissions are half of what is tested here.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod changing_sources;
mod chaos;
mod conflicts;
mod exit_codes;
mod hostile;
mod interrupted_shares;
mod interruptions;
mod layers;
mod network;
mod output;
mod prompts;
mod rendezvous;
mod resume;
mod roundtrip;
mod session;
mod several_receivers;
mod support;
#[path = "../vnet/mod.rs"]
mod vnet;
mod wrong_codes;
