//! What an emulated link does to single packets.
//!
//! - [`rates`]: the rate, the delay and the queue, policers, cuts and changes.
//! - [`impairments`]: loss, jitter, reordering and duplication, and their determinism.
//! - [`sockets`]: segments, paused hosts, and packets without a destination.

mod harness;
mod impairments;
mod rates;
mod sockets;
