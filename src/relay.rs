//! The relay: it matches slots and bridges streams, and learns nothing else.
//!
//! It knows slots, sizes and timing. Names, bytes and the secret half of a code never reach it in a form that it could
//! read, and nothing in this module can import what could.
//!
//! It keeps two things over a restart: a key, by which it knows the tickets of its senders again, and the list of the
//! slots that it has issued. A sender whose connection is lost, for whatever reason, takes its slot back with its ticket.

mod blocks;
mod bridge;
mod client;
mod journal;
mod memory;
mod registry;
mod server;
mod tickets;

pub use self::{
    journal::SlotJournal,
    memory::{MemoryBudget, MemoryUsage},
    server::{RelayConfig, serve},
    tickets::TicketKey,
};
