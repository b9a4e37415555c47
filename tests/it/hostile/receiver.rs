//! A hostile receiver, with or without the code, against a real sender.
//!
//! It gets no more than the protocol allows, and the sender serves all other receivers.

mod admission;
mod attacked_share;
mod credit;
mod guesses;
mod harness;
mod permits;
mod requests;
