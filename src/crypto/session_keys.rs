//! The keys of a session, and the tags that prove them.
//!
//! HKDF is salted with the [`Transcript`], so any change to the first two flights (a version, a list of suites, a
//! point) changes the keys, and the tags do not match. Each use has a label and each role has keys of its own, so no
//! message can be reflected. Both flights contain the suite; the labels of the record keys also contain the cipher.

use hkdf::Hkdf;
use hmac::Mac;
use sha2::Sha256;

use super::{
    attach::AttachKey,
    cipher::Cipher,
    kdf::{DerivedKey, expand, label},
    pake::{PakeKey, Role},
    record::{Opener, Sealer},
    tag::{BadTag, ExpectedTag, TAG_LENGTH, hmac},
    transcript::Transcript,
};

/// The keys of one session. Call [`SessionKeys::into_record_layer`] after the other end's tag is verified.
pub struct SessionKeys {
    transcript: Transcript,
    cipher: Cipher,
    confirm_sender: DerivedKey,
    confirm_receiver: DerivedKey,
    from_sender: DerivedKey,
    from_receiver: DerivedKey,
    attach: AttachKey,
}

impl SessionKeys {
    /// Derives the keys of a session whose records are sealed with `cipher`.
    pub fn derive(key: &PakeKey, transcript: Transcript, cipher: Cipher) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(transcript.as_bytes()), key.as_bytes());
        Self {
            confirm_sender: expand(&hkdf, label::CONFIRM_SENDER),
            confirm_receiver: expand(&hkdf, label::CONFIRM_RECEIVER),
            from_sender: expand(&hkdf, &label::records_from_sender(cipher)),
            from_receiver: expand(&hkdf, &label::records_from_receiver(cipher)),
            attach: AttachKey::derive(&hkdf),
            transcript,
            cipher,
        }
    }

    /// Returns the key that authenticates the move of this session to another stream.
    pub fn attach_key(&self) -> AttachKey {
        self.attach.clone()
    }

    /// Returns the tag with which the sender proves that it has the keys.
    pub fn sender_tag(&self) -> [u8; TAG_LENGTH] {
        self.expected_tag(Role::Sender).into_bytes()
    }

    /// Returns the tag with which the receiver proves that it has the keys. It covers the sender's tag.
    pub fn receiver_tag(&self) -> [u8; TAG_LENGTH] {
        self.expected_tag(Role::Receiver).into_bytes()
    }

    /// Verifies, in constant time, the tag that `role` has sent.
    ///
    /// # Errors
    /// [`BadTag`] if the other end has another password, or if the flights were changed in transit.
    pub fn verify_tag(&self, role: Role, tag: &[u8]) -> Result<(), BadTag> {
        self.expected_tag(role).verify(tag)
    }

    /// Returns the tag that `role` must send, to be verified after these keys are consumed.
    pub fn expected_tag(&self, role: Role) -> ExpectedTag {
        let mac = match role {
            Role::Sender => hmac(&self.confirm_sender[..]).chain_update(self.transcript.as_bytes()),
            Role::Receiver => hmac(&self.confirm_receiver[..])
                .chain_update(self.transcript.as_bytes())
                .chain_update(self.sender_tag()),
        };
        ExpectedTag::new(mac)
    }

    /// Returns the sealer and the opener of `role`.
    pub fn into_record_layer(self, role: Role) -> (Sealer, Opener) {
        let (sealing, opening) = match role {
            Role::Sender => (self.from_sender, self.from_receiver),
            Role::Receiver => (self.from_receiver, self.from_sender),
        };
        (Sealer::new(self.cipher, sealing), Opener::new(self.cipher, opening))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        code::{Secret, Slot},
        crypto::pake::{ExchangeMode, PakeExchange, Password, PeerMessage},
    };

    /// Returns the keys of the receiver and of the sender. Each derives them from the two flights that it has seen.
    fn keys(flights: [(&[u8], &[u8]); 2]) -> [SessionKeys; 2] {
        let slot = Slot::from_number(1);
        let secret = Secret::random(5).unwrap();
        let (receiver, first) = PakeExchange::start(Role::Receiver, &Password::from(&secret), slot, ExchangeMode::Code);
        let (sender, second) = PakeExchange::start(Role::Sender, &Password::from(&secret), slot, ExchangeMode::Code);
        let first = PeerMessage::parse(Role::Receiver, &first).unwrap();
        let second = PeerMessage::parse(Role::Sender, &second).unwrap();
        let transcript = |(one, two)| Transcript::new(slot, ExchangeMode::Code, one, two);
        [
            SessionKeys::derive(&receiver.finish(&second).unwrap(), transcript(flights[0]), Cipher::Aes256Gcm),
            SessionKeys::derive(&sender.finish(&first).unwrap(), transcript(flights[1]), Cipher::Aes256Gcm),
        ]
    }

    #[test]
    fn tags_prove_each_role_and_cannot_be_reflected() {
        let [receiver, sender] = keys([(b"one", b"two"); 2]);
        receiver.verify_tag(Role::Sender, &sender.sender_tag()).unwrap();
        sender.verify_tag(Role::Receiver, &receiver.receiver_tag()).unwrap();
        assert_eq!(sender.verify_tag(Role::Receiver, &sender.sender_tag()), Err(BadTag));
        assert_eq!(receiver.verify_tag(Role::Sender, &receiver.receiver_tag()), Err(BadTag));
        for i in 0..TAG_LENGTH * 8 {
            let mut tag = sender.sender_tag();
            tag[i / 8] ^= 1 << (i % 8);
            assert_eq!(receiver.verify_tag(Role::Sender, &tag), Err(BadTag));
        }
        assert_eq!(receiver.verify_tag(Role::Sender, &[]), Err(BadTag));
    }

    #[test]
    fn any_difference_in_the_transcript_changes_the_tags() {
        for other in [(&b"onf"[..], &b"two"[..]), (b"one", b"twp"), (b"onet", b"wo"), (b"two", b"one")] {
            let [receiver, sender] = keys([(b"one", b"two"), other]);
            assert_eq!(receiver.verify_tag(Role::Sender, &sender.sender_tag()), Err(BadTag));
        }
    }
}
