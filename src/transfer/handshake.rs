//! The handshake: three flights that turn a stream into a session that both ends have confirmed.
//!
//! The receiver sends flight 1 ([`Initiator`]). The sender checks it, charges an attempt to its guess budget and
//! answers with flight 2 ([`Responder`]). The receiver's tag is flight 3. Until the tags are checked, anything that
//! arrives may come from an attacker: an [`Alert`](crate::wire::peer::Alert) is only a hint, and bytes that do not
//! parse count as a wrong tag.

mod alert;
mod attempt_bucket;
mod cipher_suite;
pub mod clock;
mod confirm;
mod credential;
mod established;
mod flight_1;
pub mod guess_budget;
mod initiator;
mod initiator_error;
#[cfg(test)]
pub(crate) mod manual_clock;
mod processing_notice;
mod responder;

// `manual_clock` imports `super::Clock`, because the integration tests include the same file under another parent.
#[cfg(test)]
use self::clock::Clock;
pub(crate) use self::{
    alert::{BUSY_RETRY_DELAY, send_alert},
    credential::wire_id,
    flight_1::{FirstFrameError, read_first_frame},
    processing_notice::notify_while,
    responder::{ChargedHello, HandshakeRefusal},
};
pub use self::{
    credential::Credential,
    established::Established,
    initiator::{Initiator, InitiatorOptions},
    initiator_error::InitiatorError,
    responder::{HandshakeFailure, Responder},
};
