//! The relay: it matches slots and bridges streams, and learns nothing else.
//!
//! It knows slots, sizes and timing. Names, bytes and the secret half of a code never reach it in a form that it could
//! read, and nothing in this module can import what could.

mod blocks;
mod bridge;
mod client;
mod memory;
mod registry;
mod server;

pub use self::{
    memory::{Accounting, Memory},
    server::{Config, serve},
};
