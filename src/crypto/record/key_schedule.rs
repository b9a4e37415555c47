//! The keys and nonces of one direction.

use ring::aead::{LessSafeKey, Nonce, UnboundKey};

use crate::crypto::{
    cipher::Cipher,
    kdf::{DerivedKey, expand_secret, label},
};

/// How many records one key seals. NIST SP 800-38D requires fewer than 2³² under one key of GCM. This limit is far
/// lower. The records of earlier keys stay secret if a later key leaks.
pub(super) const RECORDS_PER_KEY: u64 = 1 << 20;

/// The current key of one direction, and the number of its next record, which is the nonce. The schedule owns the
/// number, so no caller can repeat a nonce.
pub(super) struct KeySchedule {
    cipher: Cipher,
    pub(super) secret: DerivedKey,
    key: LessSafeKey,
    pub(super) next_number: u64,
}

impl KeySchedule {
    pub(super) fn new(cipher: Cipher, secret: DerivedKey) -> Self {
        Self { cipher, key: record_key(cipher, &secret), secret, next_number: 0 }
    }

    /// Returns the key and the nonce of the next record.
    pub(super) fn advance(&mut self) -> (&LessSafeKey, Nonce) {
        if self.next_number > 0 && self.next_number.is_multiple_of(RECORDS_PER_KEY) {
            self.secret = expand_secret(&self.secret, label::NEXT_RECORD_SECRET);
            self.key = record_key(self.cipher, &self.secret);
        }
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.next_number.to_be_bytes());
        self.next_number += 1;
        (&self.key, Nonce::assume_unique_for_key(nonce))
    }
}

fn record_key(cipher: Cipher, secret: &[u8; 32]) -> LessSafeKey {
    let key = expand_secret(secret, &label::record_key(cipher));
    UnboundKey::new(cipher.algorithm(), &key[..])
        .map(LessSafeKey::new)
        .unwrap_or_else(|_| unreachable!("either cipher takes keys of 32 bytes"))
}
