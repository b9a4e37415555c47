//! A hostile sender with the right code, against a real receiver.
//!
//! Whatever it sends or leaves out, the receiver writes only below its target, gives no wrong file its name, and ends.

mod content;
mod endings;
mod harness;
mod manifests;
