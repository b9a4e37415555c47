//! The relay: gives slots to senders and bridges the streams of receivers to them.
//!
//! A relay learns slots, sizes and timing. It never receives names, content or the secret half of a code in a form that
//! it could read; a test checks that this module imports nothing that could read them.
//!
//! ```text
//!  server ─▶ request_handler ─┬▶ registration ─▶ registry    a sender registers a slot and holds it by a lease
//!  (accept)  (first frame of   │                   ├ resting_slots     freed slots, reserved for their owners
//!             each stream)     │                   ├ slot_protection   slots whose code is being guessed
//!                              │                   └ tickets           a sender reclaims its slot
//!                              └▶ connect ─▶ bridge          a receiver's stream is forwarded to the sender and back
//!                                             ├ bridge_phase   whether the receiver has confirmed the code
//!                                             ├ block_queue    bytes that wait in one direction of a bridge
//!                                             └ memory_budget  bounds the memory of connections, streams, bridges
//!
//!  source_limiter   checked at each step: usage by IPv4 address, IPv6 /64 and IPv6 /48, and in total
//!    ├ limits         the values of all limits, with their reasons
//!    └ token_bucket   bounds a rate
//!  source_tagger    names the network and the site of a receiver to the sender, without its address
//!  counters         statistics for the operator, logged once a minute and at the end
//! ```
//!
//! Two things survive a restart: the [`TicketKey`], which verifies the tickets of earlier processes, and the
//! [`SlotJournal`], which lists the slots that must not be given to other senders. The usage of sources is not stored.

mod block_queue;
mod bridge;
mod bridge_phase;
mod client;
mod config;
mod connect;
mod counters;
mod journal_task;
mod limits;
mod memory_accounts;
mod memory_budget;
mod refusal;
mod registration;
mod registry;
mod request_handler;
mod resting_slots;
mod server;
mod slot_journal;
mod slot_protection;
mod slots;
mod source;
mod source_limiter;
mod source_table;
mod source_tagger;
mod tickets;
mod token_bucket;

pub use self::{
    config::{OnWarning, RelayConfig, SenderPolicy},
    limits::Limits,
    memory_accounts::MemoryUsage,
    memory_budget::MemoryBudget,
    server::serve,
    slot_journal::SlotJournal,
    tickets::TicketKey,
};
pub use crate::wire::relay_limit::RelayLimit;
