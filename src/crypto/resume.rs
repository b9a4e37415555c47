//! What a receiver is known by when it comes back as another process: it costs no guess at the code, and the sender no
//! memory.
//!
//! The sender has a key for each share, and gives every receiver a random id and the MAC of it under that key. A resume is
//! the same key exchange as with a code, with that MAC as the password: whoever does not have it learns nothing, and
//! cannot even try often, since it has 256 bits.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::pake::Password;

/// The length of a key.
pub const KEY_LENGTH: usize = 32;

/// The length of what a receiver is called by.
pub const RECEIVER_LENGTH: usize = 16;

/// The key of a share, made and forgotten together with its code.
#[derive(Clone)]
pub struct ShareKey(Zeroizing<[u8; KEY_LENGTH]>);

/// What one receiver comes back with: what it is called by, and the password.
#[derive(Clone)]
pub struct Resumption {
    /// What it is called by, in the clear.
    pub id: [u8; RECEIVER_LENGTH],
    /// What it proves to know.
    pub key: Zeroizing<[u8; KEY_LENGTH]>,
}

impl ShareKey {
    /// A new one.
    pub fn random() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    /// One that was kept.
    pub fn kept(key: Zeroizing<[u8; KEY_LENGTH]>) -> Self {
        Self(key)
    }

    /// To be kept.
    pub fn expose(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }

    /// What a new receiver of the share with this id comes back with.
    pub fn welcome(&self, share: &[u8]) -> Resumption {
        self.resumption(share, rand::random())
    }

    /// What the receiver comes back with that is called this.
    pub fn resumption(&self, share: &[u8], id: [u8; RECEIVER_LENGTH]) -> Resumption {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0[..]);
        let mac = mac.unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        let mac = mac.chain_update("qshare/1 resume").chain_update((share.len() as u64).to_be_bytes());
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
        Self::of(&resumption.key[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_receiver_of_each_share_has_a_key_of_its_own() {
        let (key, other) = (ShareKey::random(), ShareKey::random());
        let one = key.welcome(b"share");
        assert_eq!(*key.resumption(b"share", one.id).key, *one.key);
        for different in [key.welcome(b"share"), key.resumption(b"sharf", one.id), other.resumption(b"share", one.id)] {
            assert_ne!(*different.key, *one.key);
        }
        assert_eq!(format!("{key:?}{one:?}"), "ShareKey(…)Resumption(…)");
    }
}
