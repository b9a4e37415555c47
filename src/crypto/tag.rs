//! Authentication tags: HMAC-SHA-256.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The length of a tag, in bytes.
pub const TAG_LENGTH: usize = 32;

/// Starts an HMAC under `key`.
pub(super) fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

/// A tag that is computed for the other end, or compared with the one that the other end has sent.
pub struct ExpectedTag(Hmac<Sha256>);

impl ExpectedTag {
    pub(super) fn new(mac: Hmac<Sha256>) -> Self {
        Self(mac)
    }

    pub(super) fn into_bytes(self) -> [u8; TAG_LENGTH] {
        self.0.finalize().into_bytes().into()
    }

    /// Compares `tag` with the expected one in constant time.
    ///
    /// # Errors
    /// [`BadTag`] if they differ.
    pub fn verify(self, tag: &[u8]) -> Result<(), BadTag> {
        self.0.verify_slice(tag).map_err(|_| BadTag)
    }
}

/// A tag that does not match. Final: a retry would be another guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the confirmation tag does not match")]
pub struct BadTag;
