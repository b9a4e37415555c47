//! The credentials with which a receiver resumes a download in a new process.
//!
//! The sender has a key per share. It gives every receiver a random id and the MAC of that id under the key. A
//! resumption is the same key exchange as with a code, with the MAC as the password. It costs the sender no attempt of
//! its guess budget and no memory. A peer that does not know the MAC cannot guess it: it has 256 bits.

use std::fmt;

use hmac::Mac;
use zeroize::Zeroizing;

use super::{pake::Password, tag::hmac};

/// The length of a share key and of a resumption key, in bytes.
pub const KEY_LENGTH: usize = 32;

/// The length of a receiver's id, in bytes.
pub const RECEIVER_ID_LENGTH: usize = 16;

/// The key of a share. It is created, replaced and deleted together with the share's code.
#[derive(Clone)]
pub struct ShareKey(Zeroizing<[u8; KEY_LENGTH]>);

/// The credentials of one receiver.
#[derive(Clone)]
pub struct Resumption {
    /// The receiver's id, which is sent in the clear.
    pub id: [u8; RECEIVER_ID_LENGTH],
    /// The password of the key exchange.
    pub key: Zeroizing<[u8; KEY_LENGTH]>,
}

impl ShareKey {
    /// Creates a new key.
    pub fn random() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    /// Restores a key from its stored bytes.
    pub fn from_bytes(key: Zeroizing<[u8; KEY_LENGTH]>) -> Self {
        Self(key)
    }

    /// Returns the bytes, to be stored.
    pub fn expose(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }

    /// Creates the credentials of a new receiver of the share with this id.
    pub fn issue_resumption(&self, share: &[u8]) -> Resumption {
        self.derive_resumption(share, rand::random())
    }

    /// Returns the credentials that were issued to the receiver with this id.
    pub fn derive_resumption(&self, share: &[u8], id: [u8; RECEIVER_ID_LENGTH]) -> Resumption {
        let mac = hmac(&self.0[..]).chain_update("qshare/1 resume").chain_update((share.len() as u64).to_be_bytes());
        let key = mac.chain_update(share).chain_update(id).finalize().into_bytes();
        Resumption { id, key: Zeroizing::new(key.into()) }
    }
}

impl fmt::Debug for ShareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareKey(…)")
    }
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resumption(…)")
    }
}

impl From<&Resumption> for Password {
    fn from(resumption: &Resumption) -> Self {
        Self::from_bytes(&resumption.key[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_receiver_of_every_share_has_its_own_key() {
        let (key, other) = (ShareKey::random(), ShareKey::random());
        let one = key.issue_resumption(b"share");
        assert_eq!(*key.derive_resumption(b"share", one.id).key, *one.key);
        for different in [
            key.issue_resumption(b"share"),
            key.derive_resumption(b"sharf", one.id),
            other.derive_resumption(b"share", one.id),
        ] {
            assert_ne!(*different.key, *one.key);
        }
        assert_eq!(format!("{key:?}{one:?}"), "ShareKey(…)Resumption(…)");
    }
}
