//! The credentials with which a receiver resumes a download in a new process.
//!
//! The sender has a key per share. It gives every receiver a random id, a tag that proves the id, and a resumption key.
//! Tag and key are MACs of the id under the share's key. The receiver sends id and tag in the clear, so the sender
//! recognizes the ids that it has issued before it reserves anything for them. A resumption is the key exchange of a
//! code, with the resumption key as the password. It costs no attempt of the guess budget, and the sender stores
//! nothing for it. The resumption key has 256 bits, so it cannot be guessed.

use std::fmt;

use hmac::Mac;
use zeroize::Zeroizing;

use super::{
    pake::Password,
    tag::{BadTag, ExpectedTag, TAG_LENGTH, hmac},
};

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
    /// Proves that the sender has issued the id. Sent in the clear.
    pub id_tag: [u8; TAG_LENGTH],
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
        let id = rand::random();
        self.derive_resumption(share, id, self.expected("qshare/1 resume id", share, &id).into_bytes())
    }

    /// Returns the credentials of the receiver to which this id was issued. Compares the tag in constant time.
    ///
    /// # Errors
    /// [`BadTag`] if this key did not issue the id for this share.
    pub fn verify_resumption(
        &self,
        share: &[u8],
        id: [u8; RECEIVER_ID_LENGTH],
        id_tag: [u8; TAG_LENGTH],
    ) -> Result<Resumption, BadTag> {
        self.expected("qshare/1 resume id", share, &id).verify(&id_tag)?;
        Ok(self.derive_resumption(share, id, id_tag))
    }

    fn derive_resumption(&self, share: &[u8], id: [u8; RECEIVER_ID_LENGTH], id_tag: [u8; TAG_LENGTH]) -> Resumption {
        let key = self.expected("qshare/1 resume key", share, &id).into_bytes();
        Resumption { id, id_tag, key: Zeroizing::new(key) }
    }

    /// Returns the MAC of an id for the purpose `label`.
    fn expected(&self, label: &str, share: &[u8], id: &[u8; RECEIVER_ID_LENGTH]) -> ExpectedTag {
        let mac = hmac(&self.0[..]).chain_update(label).chain_update((share.len() as u64).to_be_bytes());
        ExpectedTag::new(mac.chain_update(share).chain_update(id))
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
        assert_eq!(*key.verify_resumption(b"share", one.id, one.id_tag).unwrap().key, *one.key);
        for different in [
            key.issue_resumption(b"share"),
            key.derive_resumption(b"sharf", one.id, one.id_tag),
            other.derive_resumption(b"share", one.id, one.id_tag),
        ] {
            assert_ne!(*different.key, *one.key);
        }
        assert_ne!(*one.key, one.id_tag);
        assert_eq!(format!("{key:?}{one:?}"), "ShareKey(…)Resumption(…)");
    }

    #[test]
    fn only_issued_ids_are_recognized() {
        let (key, other) = (ShareKey::random(), ShareKey::random());
        let one = key.issue_resumption(b"share");
        assert!(key.verify_resumption(b"sharf", one.id, one.id_tag).is_err());
        assert!(other.verify_resumption(b"share", one.id, one.id_tag).is_err());
        assert!(key.verify_resumption(b"share", rand::random(), one.id_tag).is_err());
        assert!(key.verify_resumption(b"share", one.id, [0; TAG_LENGTH]).is_err());
        for bit in 0..TAG_LENGTH * 8 {
            let mut id_tag = one.id_tag;
            id_tag[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verify_resumption(b"share", one.id, id_tag).is_err());
        }
        for bit in 0..RECEIVER_ID_LENGTH * 8 {
            let mut id = one.id;
            id[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verify_resumption(b"share", id, one.id_tag).is_err());
        }
    }
}
