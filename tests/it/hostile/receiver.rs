//! A hostile receiver, with or without the code, against a real sender.
//!
//! It gets no more than the protocol allows, and the sender serves all other receivers.

mod credit;
mod harness;
mod permits;
mod requests;
