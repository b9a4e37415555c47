//! The ciphers that seal records.

use ring::aead::{AES_256_GCM, Algorithm, CHACHA20_POLY1305};

/// The cipher of a session. Both have keys of 32 bytes, nonces of 12 and tags of 16. A session's cipher is fixed before
/// its keys are derived and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES-256-GCM, for processors with instructions for it.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439), for all others.
    ChaCha20Poly1305,
}

impl Cipher {
    /// Returns the cipher's name in the labels of its keys. It separates the keys of the two ciphers.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    pub(super) fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}
