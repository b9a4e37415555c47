//! Bounds on the memory between one sender and many receivers, and their isolation from each other.
//!
//! - [`windows`]: the bytes between the sender and the receivers are bounded by each receiver's window.
//! - [`isolation`]: a receiver that stops, or grants no credit, does not slow other receivers.
//! - [`gaps`]: links that leave gaps in the received data.
//! - [`long_paths`]: the credit fills paths with a large bandwidth-delay product.
//! - [`eviction`]: relays that run out of memory.
//! - [`hostile_receivers`]: receivers that accept or acknowledge nothing.

mod eviction;
mod gaps;
mod harness;
mod hostile_receivers;
mod isolation;
mod long_paths;
mod manual_receiver;
mod windows;
