//! Peers that send what nobody reads, or accept nothing, cost little memory and delay nobody.
//!
//! - [`of_relay`]: hostile clients of a real relay.
//! - [`of_sender`]: a hostile relay, and hostile receivers, of a real sender.
//! - [`of_receiver`]: a hostile relay of a real receiver.

mod of_receiver;
mod of_relay;
mod of_sender;

/// The most memory that any of the programs may use, in bytes.
const MAX_MEMORY: u64 = 96 * 1024 * 1024;

/// The bytes that a hostile peer sends on each of its streams, if it may.
const FLOOD: usize = 16 * 1024 * 1024;
