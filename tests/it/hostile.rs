//! Hostile peers of the real relay, sender and receiver.
//!
//! - [`relay`]: a hostile relay between a real sender and a real receiver.
//! - [`sender`]: a hostile sender with the right code, against a real receiver.
//! - [`receiver`]: a hostile receiver, with or without the code, against a real sender.
//! - [`client`]: hostile clients of a real relay.
//!
//! [`hostile_relay`] and [`local_relay`] run a relay in the process of the test, and [`processes`] runs real senders
//! and receivers.

mod client;
mod hostile_relay;
mod local_relay;
mod processes;
mod receiver;
mod relay;
mod sender;
