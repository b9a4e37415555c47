//! The cryptography of a session between two ends, without any I/O.
//!
//! [`pake`] turns a short password into a strong key. [`session_keys`] derives the keys of a session from that key and
//! the [`transcript`] of the handshake, and proves them to the other end. [`record`] seals everything that follows.
//! [`attach`] authenticates the move of a session to another stream. [`resume`] makes the credentials of receivers that
//! resume. This module does not depend on frames, streams or files, and the relay must not import it.

pub mod attach;
mod cipher;
mod kdf;
pub mod pake;
pub mod record;
pub mod resume;
pub mod session_keys;
mod tag;
pub mod transcript;

pub use self::{
    attach::AttachKey,
    cipher::Cipher,
    pake::{ExchangeMode, PakeError, PakeExchange, Password, PeerMessage, Role},
    record::{
        MAX_PLAINTEXT, OpenError, Opener, RECORD_HEADER, RECORD_OVERHEAD, RecordHeader, RecordKind, Sealer, plaintext,
    },
    resume::{Resumption, ShareKey},
    session_keys::SessionKeys,
    tag::{BadTag, ExpectedTag, TAG_LENGTH},
    transcript::Transcript,
};
