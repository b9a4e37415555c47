//! The record layer: numbered records, sealed with AES-256-GCM or ChaCha20-Poly1305.
//!
//! A record is a [header](RecordHeader), the ciphertext and a tag of 16 bytes. The header is authenticated. The
//! record's number is the nonce; the [`Sealer`] owns it, so no caller can repeat one. After 2²⁰ records a new key
//! replaces the old one, which cannot be computed from it. Exactly one record of a direction is the last. The
//! [`Cipher`](super::Cipher) is fixed when the keys are derived.

mod header;
mod key_schedule;
mod open_error;
mod opener;
mod sealer;
#[cfg(test)]
mod tests;

pub use self::{
    header::{MAX_PLAINTEXT, RECORD_HEADER, RECORD_OVERHEAD, RecordHeader, RecordKind, plaintext},
    open_error::OpenError,
    opener::Opener,
    sealer::Sealer,
};
