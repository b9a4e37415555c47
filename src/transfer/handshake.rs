//! The first three flights: from a stream to a session that both ends have proved.

mod cipher_suite;
mod flights;
pub mod guess_budget;

pub use self::flights::{Established, HandshakeFailure, Initiator, respond, respond_on};
pub(crate) use self::flights::{ResponderContext, ResumptionContext, answer, first_frame, refuse, turn_away};
