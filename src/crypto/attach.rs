//! What proves that a session goes on: it outlives its stream, and the next one begins with this.
//!
//! Both ends show that they have the session's key, over what they say of their offsets. A question has a number that
//! only grows, and an answer covers its question: neither can be played again.

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::handshake::{BadTag, TAG_LENGTH, expand};

/// The length of what a session is called by.
pub const ID_LENGTH: usize = 16;

/// The name of a session and its keys for this one purpose.
#[derive(Clone)]
pub struct AttachKey {
    id: [u8; ID_LENGTH],
    receiver: Zeroizing<[u8; 32]>,
    sender: Zeroizing<[u8; 32]>,
}

impl AttachKey {
    pub(super) fn derive(hkdf: &Hkdf<Sha256>) -> Self {
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&expand(hkdf, "qshare/1 attach id")[..ID_LENGTH]);
        let derive = |label| expand(hkdf, label);
        Self { id, receiver: derive("qshare/1 attach receiver"), sender: derive("qshare/1 attach sender") }
    }

    /// What the session is called by, in the clear.
    pub fn id(&self) -> [u8; ID_LENGTH] {
        self.id
    }

    /// The receiver's proof, with the number of the question and what it has received.
    pub fn question(&self, number: u64, received: u64) -> [u8; TAG_LENGTH] {
        self.asked(number, received).finalize().into_bytes().into()
    }

    /// The sender's proof, with what it has received.
    pub fn answer(&self, question: &[u8; TAG_LENGTH], received: u64) -> [u8; TAG_LENGTH] {
        self.answered(question, received).finalize().into_bytes().into()
    }

    /// Checks a question in constant time.
    ///
    /// # Errors
    /// [`BadTag`].
    pub fn verify_question(&self, number: u64, received: u64, tag: &[u8]) -> Result<(), BadTag> {
        self.asked(number, received).verify_slice(tag).map_err(|_| BadTag)
    }

    /// Checks the answer to a question in constant time.
    ///
    /// # Errors
    /// [`BadTag`].
    pub fn verify_answer(&self, question: &[u8; TAG_LENGTH], received: u64, tag: &[u8]) -> Result<(), BadTag> {
        self.answered(question, received).verify_slice(tag).map_err(|_| BadTag)
    }

    fn asked(&self, number: u64, received: u64) -> Hmac<Sha256> {
        mac(&self.receiver)
            .chain_update(self.id)
            .chain_update(number.to_be_bytes())
            .chain_update(received.to_be_bytes())
    }

    fn answered(&self, question: &[u8; TAG_LENGTH], received: u64) -> Hmac<Sha256> {
        mac(&self.sender).chain_update(question).chain_update(received.to_be_bytes())
    }
}

fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attaching(seed: u8) -> AttachKey {
        AttachKey::derive(&Hkdf::from_prk(&[seed; 32]).unwrap())
    }

    #[test]
    fn each_end_proves_itself_and_what_it_says() {
        let [one, other] = [attaching(1), attaching(2)];
        assert_ne!(one.id(), other.id());
        let question = one.question(3, 1_000);
        one.verify_question(3, 1_000, &question).unwrap();
        for (number, received) in [(4, 1_000), (3, 1_001), (1_000, 3)] {
            assert_eq!(one.verify_question(number, received, &question), Err(BadTag));
        }
        assert_eq!(other.verify_question(3, 1_000, &question), Err(BadTag));
        let answer = one.answer(&question, 7);
        one.verify_answer(&question, 7, &answer).unwrap();
        assert_eq!(one.verify_answer(&question, 8, &answer), Err(BadTag));
        assert_eq!(one.verify_answer(&one.question(4, 1_000), 7, &answer), Err(BadTag));
        assert_eq!(one.verify_question(3, 1_000, &answer), Err(BadTag), "reflected");
        assert_eq!(one.verify_answer(&question, 7, &question), Err(BadTag), "reflected");
    }
}
