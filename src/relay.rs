//! The relay: gives slots to senders and bridges the streams of receivers to them.
//!
//! A relay learns slots, sizes and timing. It never receives names, content or the secret half of a code in a form that
//! it could read; a test checks that this module imports nothing that could read them.
//!
//! ```text
//!  server ─▶ request_handler ─▶ registry         a sender registers a slot and holds it by a lease
//!  (accept)  (first frame of    tickets          a sender reclaims its slot; a receiver proves an earlier bridge
//!             each stream)      bridge           a receiver's stream is forwarded to the sender and back
//!                                 ├ block_queue    bytes that wait in one direction of a bridge
//!                                 └ memory_budget  bounds what all bridges hold together
//! ```
//!
//! Two things survive a restart: the [`TicketKey`], which verifies the tickets of earlier processes, and the
//! [`SlotJournal`], which lists the slots that must not be given to other senders.

mod block_queue;
mod bridge;
mod client;
mod config;
mod memory_budget;
mod registry;
mod request_handler;
mod server;
mod slot_journal;
mod source;
mod tickets;

pub use self::{
    config::{RelayConfig, SenderPolicy},
    memory_budget::{MemoryBudget, MemoryUsage},
    server::serve,
    slot_journal::SlotJournal,
    tickets::TicketKey,
};
