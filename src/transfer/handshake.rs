//! The first three flights: from a stream to a session that both ends have proved.

mod cipher_suite;
mod flights;
pub mod guess_budget;

pub(crate) use self::flights::{Doors, Returning, answer, first_frame, refuse, turn_away};
pub use self::flights::{Established, Initiator, NoSession, respond, respond_on};
