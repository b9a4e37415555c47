//! What goes over the line: frames, and the messages in them.
//!
//! [`frame`] has the shape that all messages share, [`relay`] what a client and a relay say to each other, [`peer`] what
//! the two ends say to each other through the bridge. RelayLimits stand at the top of each file. All messages are
//! `postcard` bodies; a field added at the end of a body is ignored by who does not know it.

pub mod frame;
pub mod peer;
pub mod relay;
pub mod reset_code;

pub use self::frame::{Frame, HEADER, Message, WireError};
