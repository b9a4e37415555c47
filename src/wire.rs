//! The messages on the wire, and the frames that hold them.
//!
//! - [`frame`]: the frame that all messages share.
//! - [`relay`]: the messages between a client and a relay.
//! - [`peer`]: the messages between sender and receiver, through the bridge.
//! - [`relay_limit`]: the limits that a relay sets for its clients.
//! - [`reset_code`]: the codes with which streams are reset and stopped.
//!
//! A body is encoded by `postcard`. A decoder ignores the bytes behind the fields that it knows, so later versions can
//! append fields.

pub mod frame;
pub mod peer;
pub mod relay;
pub mod relay_limit;
pub mod reset_code;

#[cfg(test)]
mod golden;

pub use self::frame::{Frame, HEADER, Message, WireError};
