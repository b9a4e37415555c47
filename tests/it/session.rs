//! The handshake and the guess budget under attack, over streams in memory and in virtual time.
//!
//! - [`codes`]: right codes, wrong codes and codes of another slot.
//! - [`tampering`]: handshake frames that an attacker changes, cuts, replays or reflects.
//! - [`suites`]: the choice of the cipher suite, and versions that differ.
//! - [`guesses`]: the guess budget.
//! - [`unresponsive_peers`]: peers that send nothing, or no valid flight 1.

use qshare::internals::transfer::Clock;

mod codes;
mod guesses;
mod harness;
#[path = "../../src/transfer/handshake/manual_clock.rs"]
mod manual_clock;
mod suites;
mod tampering;
mod unresponsive_peers;
