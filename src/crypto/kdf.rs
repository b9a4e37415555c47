//! Key derivation: HKDF-SHA-256 (RFC 5869), and the labels of all keys.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::cipher::Cipher;

/// A derived key. It is wiped when it is dropped.
pub(super) type DerivedKey = Zeroizing<[u8; 32]>;

/// The labels of all keys. No two keys share one, so no key can be used in place of another.
pub(super) mod label {
    use super::Cipher;

    pub(in crate::crypto) const CONFIRM_SENDER: &str = "qshare/1 confirm sender";
    pub(in crate::crypto) const CONFIRM_RECEIVER: &str = "qshare/1 confirm receiver";
    pub(in crate::crypto) const ATTACH_ID: &str = "qshare/1 attach id";
    pub(in crate::crypto) const ATTACH_RECEIVER: &str = "qshare/1 attach receiver";
    pub(in crate::crypto) const ATTACH_SENDER: &str = "qshare/1 attach sender";
    pub(in crate::crypto) const NEXT_RECORD_SECRET: &str = "qshare/1 next secret";

    pub(in crate::crypto) fn records_from_sender(cipher: Cipher) -> String {
        format!("qshare/1 {} records from sender", cipher.label())
    }

    pub(in crate::crypto) fn records_from_receiver(cipher: Cipher) -> String {
        format!("qshare/1 {} records from receiver", cipher.label())
    }

    pub(in crate::crypto) fn record_key(cipher: Cipher) -> String {
        format!("qshare/1 {} record key", cipher.label())
    }
}

/// HKDF-Expand to 32 bytes.
pub(super) fn expand(hkdf: &Hkdf<Sha256>, label: &str) -> DerivedKey {
    let mut key = Zeroizing::new([0; 32]);
    hkdf.expand(label.as_bytes(), &mut key[..]).unwrap_or_else(|_| unreachable!("HKDF-SHA-256 expands to 32 bytes"));
    key
}

/// HKDF-Expand from a secret that is already uniformly random.
pub(super) fn expand_secret(secret: &[u8; 32], label: &str) -> DerivedKey {
    let hkdf = Hkdf::from_prk(secret).unwrap_or_else(|_| unreachable!("32 bytes are a key for HKDF-SHA-256"));
    expand(&hkdf, label)
}
