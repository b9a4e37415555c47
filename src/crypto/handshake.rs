//! From the exchange's key to proved session keys.
//!
//! The transcript covers the slot, the mode and the exact bytes of the first two flights, so that whatever was changed
//! on the way (a version, a list of suites, a point) gives other keys, and the tags do not fit. HKDF (RFC 5869) is
//! salted with it; each use has a label, and each role a key of its own, so that nothing can be reflected. Which suite
//! is in use stands in both flights; the keys of its records carry its cipher's name on top of that.

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    attach::AttachKey,
    pake::{ExchangeMode, PakeKey, Role},
    record::{Cipher, Opener, Sealer},
};
use crate::code::Slot;

/// The length of a confirmation tag (HMAC-SHA-256).
pub const TAG_LENGTH: usize = 32;

/// What both ends saw before any of them had proved anything.
#[derive(Clone)]
pub struct Transcript([u8; 32]);

impl Transcript {
    /// Hashes slot, mode and the exact bytes of flight 1 and of flight 2 up to the sender's tag.
    pub fn new(slot: Slot, mode: ExchangeMode, flight_1: &[u8], flight_2: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [b"qshare/1 transcript", slot.as_str().as_bytes(), mode.label().as_bytes(), flight_1, flight_2] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// The keys of one session. They become records only by [`SessionKeys::into_records`], after the other end's tag is checked.
pub struct SessionKeys {
    transcript: Transcript,
    cipher: Cipher,
    confirm_sender: Zeroizing<[u8; 32]>,
    confirm_receiver: Zeroizing<[u8; 32]>,
    from_sender: Zeroizing<[u8; 32]>,
    from_receiver: Zeroizing<[u8; 32]>,
    attach: AttachKey,
}

impl SessionKeys {
    /// Derives all keys of a session whose records are sealed with `cipher`.
    pub fn derive(key: &PakeKey, transcript: Transcript, cipher: Cipher) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(&transcript.0), &key.0);
        let derive = |label| expand(&hkdf, label);
        Self {
            confirm_sender: derive("qshare/1 confirm sender"),
            confirm_receiver: derive("qshare/1 confirm receiver"),
            from_sender: derive(&format!("qshare/1 {} records from sender", cipher.label())),
            from_receiver: derive(&format!("qshare/1 {} records from receiver", cipher.label())),
            attach: AttachKey::derive(&hkdf),
            transcript,
            cipher,
        }
    }

    /// What the session shows when it goes on over another stream.
    pub fn attaching(&self) -> AttachKey {
        self.attach.clone()
    }

    /// The sender's proof that it knows the key.
    pub fn sender_tag(&self) -> [u8; TAG_LENGTH] {
        self.mac(Role::Sender, &[]).finalize().into_bytes().into()
    }

    /// The receiver's proof; it covers the sender's.
    pub fn receiver_tag(&self) -> [u8; TAG_LENGTH] {
        self.mac(Role::Receiver, &self.sender_tag()).finalize().into_bytes().into()
    }

    /// Checks, in constant time, the tag that `role` sent.
    ///
    /// # Errors
    /// [`BadTag`]: another password, or something between the two ends changed a byte.
    pub fn verify(&self, role: Role, tag: &[u8]) -> Result<(), BadTag> {
        self.expected(role).verify(tag)
    }

    /// What `role` must still show, so that the keys can be taken into use before it did.
    pub fn expected(&self, role: Role) -> ExpectedTag {
        let mac = match role {
            Role::Sender => self.mac(Role::Sender, &[]),
            Role::Receiver => self.mac(Role::Receiver, &self.sender_tag()),
        };
        ExpectedTag(mac)
    }

    /// The record layer of `role`: what it seals with and what it opens with.
    pub fn into_records(self, role: Role) -> (Sealer, Opener) {
        let (sealing, opening) = match role {
            Role::Sender => (self.from_sender, self.from_receiver),
            Role::Receiver => (self.from_receiver, self.from_sender),
        };
        (Sealer::new(self.cipher, sealing), Opener::new(self.cipher, opening))
    }

    fn mac(&self, role: Role, also: &[u8]) -> Hmac<Sha256> {
        let key = match role {
            Role::Sender => &self.confirm_sender,
            Role::Receiver => &self.confirm_receiver,
        };
        Hmac::<Sha256>::new_from_slice(&key[..])
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
            .chain_update(self.transcript.0)
            .chain_update(also)
    }
}

/// A tag that is still to come.
pub struct ExpectedTag(Hmac<Sha256>);

impl ExpectedTag {
    /// Checks it in constant time.
    ///
    /// # Errors
    /// [`BadTag`].
    pub fn verify(self, tag: &[u8]) -> Result<(), BadTag> {
        self.0.verify_slice(tag).map_err(|_| BadTag)
    }
}

/// HKDF-Expand to 32 bytes.
pub(super) fn expand(hkdf: &Hkdf<Sha256>, label: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf.expand(label.as_bytes(), &mut key[..]).unwrap_or_else(|_| unreachable!("32 bytes are within HKDF's limit"));
    key
}

/// A tag that does not fit. Final: trying again would be another guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the confirmation tag does not fit")]
pub struct BadTag;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        code::Secret,
        crypto::pake::{PakeExchange, Password},
    };

    fn keys(flights: [(&[u8], &[u8]); 2]) -> [SessionKeys; 2] {
        let slot = Slot::from_number(1);
        let secret = Secret::random(5).unwrap();
        let (receiver, first) = PakeExchange::start(Role::Receiver, &Password::from(&secret), slot, ExchangeMode::Code);
        let (sender, second) = PakeExchange::start(Role::Sender, &Password::from(&secret), slot, ExchangeMode::Code);
        let transcript = |(one, two)| Transcript::new(slot, ExchangeMode::Code, one, two);
        [
            SessionKeys::derive(&receiver.finish(&second).unwrap(), transcript(flights[0]), Cipher::Aes256Gcm),
            SessionKeys::derive(&sender.finish(&first).unwrap(), transcript(flights[1]), Cipher::Aes256Gcm),
        ]
    }

    #[test]
    fn tags_prove_each_role_and_cannot_be_reflected() {
        let [receiver, sender] = keys([(b"one", b"two"); 2]);
        receiver.verify(Role::Sender, &sender.sender_tag()).unwrap();
        sender.verify(Role::Receiver, &receiver.receiver_tag()).unwrap();
        assert_eq!(sender.verify(Role::Receiver, &sender.sender_tag()), Err(BadTag));
        assert_eq!(receiver.verify(Role::Sender, &receiver.receiver_tag()), Err(BadTag));
        for i in 0..TAG_LENGTH * 8 {
            let mut tag = sender.sender_tag();
            tag[i / 8] ^= 1 << (i % 8);
            assert_eq!(receiver.verify(Role::Sender, &tag), Err(BadTag));
        }
        assert_eq!(receiver.verify(Role::Sender, &[]), Err(BadTag));
    }

    #[test]
    fn any_difference_in_the_transcript_shows() {
        for other in [(&b"onf"[..], &b"two"[..]), (b"one", b"twp"), (b"onet", b"wo"), (b"two", b"one")] {
            let [receiver, sender] = keys([(b"one", b"two"), other]);
            assert_eq!(receiver.verify(Role::Sender, &sender.sender_tag()), Err(BadTag));
        }
    }
}
