//! The cryptography of a session between two ends, without any I/O.
//!
//! [`pake`] turns a short secret into a strong key, [`handshake`] binds that key to everything that was said and proves
//! it to the other end, [`record`] seals what follows, [`attach`] proves that a session goes on over another stream,
//! [`resume`] is the password of who comes back. Nothing in here knows frames, streams or files, and nothing in a
//! relay can reach it.

pub mod attach;
pub mod handshake;
pub mod pake;
pub mod record;
pub mod resume;

pub use self::{
    attach::AttachKey,
    handshake::{BadTag, SessionKeys, TAG_LENGTH, Transcript},
    pake::{ExchangeMode, PakeError, PakeExchange, Password, Role},
    record::{Cipher, MAX_PLAINTEXT, OpenError, Opener, RECORD_HEADER, RECORD_OVERHEAD, Sealer},
    resume::{Resumption, ShareKey},
};
