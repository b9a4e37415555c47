//! Hostile peers of the real relay, sender and receiver.
//!
//! - [`relay`]: a hostile relay between a real sender and a real receiver.
//! - [`sender`]: a hostile sender with the right code, against a real receiver.
//! - [`receiver`]: a hostile receiver, with or without the code, against a real sender.
//! - [`client`]: hostile clients of a real relay.
//! - [`memory`]: peers of all three that send what nobody reads, or accept nothing.
//!
//! [`hostile_relay`] and [`local_relay`] run a relay in the process of the test, [`raw_quic`] peers with any QUIC
//! transport, and [`processes`] real senders and receivers.

mod client;
mod hostile_relay;
mod local_relay;
mod memory;
mod processes;
pub(crate) mod raw_quic;
mod receiver;
mod relay;
mod sender;
