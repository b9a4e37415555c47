//! The code of a share and the key that belongs to it.

use crate::{
    code::{Code, Secret, Slot},
    crypto::ShareKey,
};

/// A code and its share key. The two are created, replaced and deleted together.
#[derive(Clone)]
pub(crate) struct ShareCredentials {
    pub(crate) code: Code,
    /// The key from which the receivers' resumption grants are derived.
    pub(crate) key: ShareKey,
}

impl ShareCredentials {
    /// Follows the slot that the relay has assigned. A different slot gets a new secret and a new key, because the old
    /// code may now lead to another sender. Returns whether the slot is a different one.
    pub(super) fn adopt_slot(&mut self, slot: Slot) -> bool {
        if self.code.slot() == slot {
            return false;
        }
        // Cannot fail: the length of an existing secret is valid.
        if let Ok(secret) = Secret::random(self.code.secret().length()) {
            *self = Self { code: Code::new(slot, secret), key: ShareKey::random() };
        }
        true
    }
}
