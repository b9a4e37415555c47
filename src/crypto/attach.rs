//! Authenticates the requests that move a session to another stream, and the replies.
//!
//! Each end proves that it has the session's key, with a tag over the offsets that it reports. A request has a strictly
//! increasing number, and a reply covers the tag of its request, so neither can be replayed.

use hkdf::Hkdf;
use hmac::Mac;
use sha2::Sha256;

use super::{
    kdf::{DerivedKey, expand, label},
    tag::{BadTag, ExpectedTag, TAG_LENGTH, hmac},
};

/// The length of a session id, in bytes.
pub const ID_LENGTH: usize = 16;

/// The id of a session, and its keys for attach requests and replies.
#[derive(Clone)]
pub struct AttachKey {
    id: [u8; ID_LENGTH],
    receiver: DerivedKey,
    sender: DerivedKey,
}

impl AttachKey {
    pub(super) fn derive(hkdf: &Hkdf<Sha256>) -> Self {
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&expand(hkdf, label::ATTACH_ID)[..ID_LENGTH]);
        Self { id, receiver: expand(hkdf, label::ATTACH_RECEIVER), sender: expand(hkdf, label::ATTACH_SENDER) }
    }

    /// Returns the id of the session, which is sent in the clear.
    pub fn id(&self) -> [u8; ID_LENGTH] {
        self.id
    }

    /// Returns the receiver's tag over the number of a request and the offset that it has received.
    pub fn request_tag(&self, number: u64, received: u64) -> [u8; TAG_LENGTH] {
        self.expected_request(number, received).into_bytes()
    }

    /// Returns the sender's tag over the tag of a request and the offset that it has received.
    pub fn reply_tag(&self, request_tag: &[u8; TAG_LENGTH], received: u64) -> [u8; TAG_LENGTH] {
        self.expected_reply(request_tag, received).into_bytes()
    }

    /// Verifies the tag of a request in constant time.
    ///
    /// # Errors
    /// [`BadTag`] if it does not match.
    pub fn verify_request(&self, number: u64, received: u64, tag: &[u8]) -> Result<(), BadTag> {
        self.expected_request(number, received).verify(tag)
    }

    /// Verifies the tag of the reply to a request in constant time.
    ///
    /// # Errors
    /// [`BadTag`] if it does not match.
    pub fn verify_reply(&self, request_tag: &[u8; TAG_LENGTH], received: u64, tag: &[u8]) -> Result<(), BadTag> {
        self.expected_reply(request_tag, received).verify(tag)
    }

    fn expected_request(&self, number: u64, received: u64) -> ExpectedTag {
        let mac = hmac(&self.receiver[..]).chain_update(self.id);
        ExpectedTag::new(mac.chain_update(number.to_be_bytes()).chain_update(received.to_be_bytes()))
    }

    fn expected_reply(&self, request_tag: &[u8; TAG_LENGTH], received: u64) -> ExpectedTag {
        ExpectedTag::new(hmac(&self.sender[..]).chain_update(request_tag).chain_update(received.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attach_key(seed: u8) -> AttachKey {
        AttachKey::derive(&Hkdf::from_prk(&[seed; 32]).unwrap())
    }

    #[test]
    fn tags_prove_the_session_the_role_and_the_offsets() {
        let [key, other] = [attach_key(1), attach_key(2)];
        assert_ne!(key.id(), other.id());
        let request = key.request_tag(3, 1_000);
        key.verify_request(3, 1_000, &request).unwrap();
        for (number, received) in [(4, 1_000), (3, 1_001), (1_000, 3)] {
            assert_eq!(key.verify_request(number, received, &request), Err(BadTag));
        }
        assert_eq!(other.verify_request(3, 1_000, &request), Err(BadTag));
        let reply = key.reply_tag(&request, 7);
        key.verify_reply(&request, 7, &reply).unwrap();
        assert_eq!(key.verify_reply(&request, 8, &reply), Err(BadTag));
        assert_eq!(key.verify_reply(&key.request_tag(4, 1_000), 7, &reply), Err(BadTag));
        assert_eq!(key.verify_request(3, 1_000, &reply), Err(BadTag), "reflected");
        assert_eq!(key.verify_reply(&request, 7, &request), Err(BadTag), "reflected");
    }
}
