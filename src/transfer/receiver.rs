//! The receiver's half of a transfer: from a code to files on the disk.

mod confirmed_session;
pub(crate) mod connect;
mod file_writer;
pub mod offer;
mod pipeline;
pub(crate) mod reconnect;
pub(crate) mod resumption_store;
