//! The transcript of a handshake.

use sha2::{Digest, Sha256};

use super::pake::ExchangeMode;
use crate::code::Slot;

/// The hash of everything that both ends have seen before either has confirmed.
#[derive(Clone)]
pub struct Transcript([u8; 32]);

impl Transcript {
    /// Hashes the slot, the mode, and the exact bytes of flight 1 and of flight 2 before the sender's tag.
    pub fn new(slot: Slot, mode: ExchangeMode, flight_1: &[u8], flight_2: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [b"qshare/1 transcript", slot.as_str().as_bytes(), mode.label().as_bytes(), flight_1, flight_2] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
