//! The network in memory, and whole transfers over bad lines.
//!
//! - [`outages`]: lines that are dead for longer than a connection lives.
//! - [`links`]: what a line does to single packets: rate, delay, chance, queue, policer, cuts, changes.
//! - [`clocks`]: virtual time, what repeats in it, and what the real clock says to the same scenario.
//! - [`congestion`]: what our own congestion control makes of a line, alone and beside others.
//! - [`memory`]: what bounds memory on the way, and that nobody disturbs anybody.
//! - [`transfers`]: the real relay, sender and receivers over such lines.
//!
//! Nothing here is timed: an assertion on a time is one on virtual time, which no busy machine changes. With
//! `--nocapture` they say what they saw.
#![allow(clippy::print_stdout, reason = "what was seen, for whoever asks")]

mod clocks;
mod congestion;
mod endings;
mod join_all;
mod links;
mod memory;
mod outages;
mod transfers;
mod units;
