//! The record layer: AES-256-GCM or ChaCha20-Poly1305 over numbered records.
//!
//! A record is a header of four bytes (type, plaintext length), the ciphertext and a tag of 16 bytes. The header is
//! authenticated; the number is the nonce and is owned by the sealer, so that no caller can repeat one. Every
//! 2²⁰ records the key is replaced by one that cannot be traced back (NIST SP 800-38D asks for fewer than 2³² records
//! under a key of GCM; this stays far below and forgets the past). Exactly one record of a direction is the last.
//! Which [`Cipher`] a session has is settled before its keys are: it cannot change from one record to the next.

use hkdf::Hkdf;
use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::handshake::expand;

/// Bytes before the ciphertext.
pub const RECORD_HEADER: usize = 4;

/// Bytes that a record adds to its plaintext.
pub const RECORD_OVERHEAD: usize = RECORD_HEADER + TAG;

/// The longest plaintext of a record.
pub const MAX_PLAINTEXT: usize = 256 * 1024;

const TAG: usize = 16;
const RECORDS_PER_KEY: u64 = 1 << 20;
const TYPE_DATA: u8 = 0;
const TYPE_LAST: u8 = 1;

/// What a session's records are sealed with. Both have keys of 32 bytes, nonces of 12 and tags of 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES-256-GCM, for processors with instructions for it.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439), for the others.
    ChaCha20Poly1305,
}

impl Cipher {
    /// The cipher's name in the labels of its keys: no key of one can be a key of the other.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

/// Seals the records of one direction. It cannot be copied, so no number is used twice.
pub struct Sealer {
    keys: KeySchedule,
    ended: bool,
}

impl Sealer {
    pub(super) fn new(cipher: Cipher, secret: Zeroizing<[u8; 32]>) -> Self {
        Self { keys: KeySchedule::new(cipher, secret), ended: false }
    }

    /// Seals in place. `record` holds [`RECORD_HEADER`] bytes of room and then the plaintext; it becomes the whole
    /// record. With `last`, nothing can follow.
    ///
    /// # Panics
    /// On more than [`MAX_PLAINTEXT`] bytes, without the room, or after the last record: errors of the caller.
    pub fn seal(&mut self, record: &mut Vec<u8>, last: bool) {
        assert!(!self.ended, "a record after the last one");
        assert!(record.len() >= RECORD_HEADER, "no room for the record's header");
        let length = record.len() - RECORD_HEADER;
        assert!(length <= MAX_PLAINTEXT, "a record of {length} bytes");
        let header = header(if last { TYPE_LAST } else { TYPE_DATA }, length);
        record[..RECORD_HEADER].copy_from_slice(&header);
        let (key, nonce) = self.keys.next();
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(header), &mut record[RECORD_HEADER..])
            .unwrap_or_else(|_| unreachable!("a record is far below the limit of either cipher"));
        record.extend_from_slice(tag.as_ref());
        self.ended = last;
    }
}

/// Opens the records of one direction, in order.
pub struct Opener {
    keys: KeySchedule,
    ended: bool,
}

impl Opener {
    pub(super) fn new(cipher: Cipher, secret: Zeroizing<[u8; 32]>) -> Self {
        Self { keys: KeySchedule::new(cipher, secret), ended: false }
    }

    /// Opens a whole record in place; [`plaintext`] then cuts it out.
    ///
    /// # Errors
    /// [`OpenError`]: changed, out of order, of another session, or after the last record.
    pub fn open(&mut self, record: &mut [u8]) -> Result<(), OpenError> {
        let header = RecordHeader::parse(record)?;
        let body = &mut record[RECORD_HEADER..];
        if self.ended || header.body_length() != body.len() {
            return Err(OpenError);
        }
        let (key, nonce) = self.keys.next();
        key.open_in_place(nonce, Aad::from(header.0), body).map_err(|_| OpenError)?;
        self.ended = header.is_last();
        Ok(())
    }

    /// Whether the last record was opened.
    pub fn is_ended(&self) -> bool {
        self.ended
    }
}

/// The plaintext of a record that was opened.
pub fn plaintext(record: &[u8]) -> &[u8] {
    let end = record.len().saturating_sub(TAG);
    record.get(RECORD_HEADER..end).unwrap_or_default()
}

/// The header of a record, of which only the shape is known: the record tells on opening whether it is true.
#[derive(Debug, Clone, Copy)]
pub struct RecordHeader([u8; RECORD_HEADER]);

impl RecordHeader {
    /// Takes the header off the front of `bytes`.
    ///
    /// # Errors
    /// [`OpenError`] for a type or a length that no record has.
    pub fn parse(bytes: &[u8]) -> Result<Self, OpenError> {
        let header = Self(*bytes.first_chunk().ok_or(OpenError)?);
        if header.0[0] > TYPE_LAST || header.body_length() > MAX_PLAINTEXT + TAG {
            return Err(OpenError);
        }
        Ok(header)
    }

    /// How many bytes follow: ciphertext and tag.
    pub fn body_length(&self) -> usize {
        let [_, a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c]) as usize + TAG
    }

    /// Whether it claims to be the last record.
    pub fn is_last(&self) -> bool {
        self.0[0] == TYPE_LAST
    }
}

fn header(kind: u8, length: usize) -> [u8; RECORD_HEADER] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    [kind, a, b, c]
}

/// The key of the moment and the number of the next record.
struct KeySchedule {
    cipher: Cipher,
    secret: Zeroizing<[u8; 32]>,
    key: LessSafeKey,
    number: u64,
}

impl KeySchedule {
    fn new(cipher: Cipher, secret: Zeroizing<[u8; 32]>) -> Self {
        Self { cipher, key: record_key(cipher, &secret), secret, number: 0 }
    }

    fn next(&mut self) -> (&LessSafeKey, Nonce) {
        if self.number > 0 && self.number.is_multiple_of(RECORDS_PER_KEY) {
            self.secret = expand(&prk(&self.secret), "qshare/1 next secret");
            self.key = record_key(self.cipher, &self.secret);
        }
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        (&self.key, Nonce::assume_unique_for_key(nonce))
    }
}

fn prk(secret: &[u8; 32]) -> Hkdf<Sha256> {
    Hkdf::from_prk(secret).unwrap_or_else(|_| unreachable!("32 bytes are a key for HKDF-SHA-256"))
}

fn record_key(cipher: Cipher, secret: &[u8; 32]) -> LessSafeKey {
    let key = expand(&prk(secret), &format!("qshare/1 {} record key", cipher.label()));
    UnboundKey::new(cipher.algorithm(), &key[..])
        .map(LessSafeKey::new)
        .unwrap_or_else(|_| unreachable!("32 bytes are a key for either cipher"))
}

/// A record that this opener cannot accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record was changed on the way")]
pub struct OpenError;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Cipher::{Aes256Gcm, ChaCha20Poly1305},
        *,
    };

    const CIPHERS: [Cipher; 2] = [Aes256Gcm, ChaCha20Poly1305];

    fn pair(cipher: Cipher, seed: u8) -> (Sealer, Opener) {
        let secret = || Zeroizing::new([seed; 32]);
        (Sealer::new(cipher, secret()), Opener::new(cipher, secret()))
    }

    fn ciphers() -> impl Strategy<Value = Cipher> {
        prop::sample::select(CIPHERS.to_vec())
    }

    fn open(opener: &mut Opener, record: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut record = record.to_vec();
        opener.open(&mut record)?;
        Ok(plaintext(&record).to_vec())
    }

    fn sealed(sealer: &mut Sealer, plaintext: &[u8], last: bool) -> Vec<u8> {
        let mut record = [&[0; RECORD_HEADER], plaintext].concat();
        sealer.seal(&mut record, last);
        record
    }

    #[test]
    fn the_bytes_of_a_record_are_fixed() {
        for (cipher, bytes) in [
            (
                Aes256Gcm,
                ["000000031a29ce4cdfdc5f9eecfda1b010a80caf3e1865", "01000003a4d5c0a37538e1de2052fa81214147521c9e67"],
            ),
            (
                ChaCha20Poly1305,
                ["0000000349b087922d28a606a94bb94a4a0b382f1e958f", "01000003645ba3c2bc3d5ddf5c87cceb5e45731b0eb902"],
            ),
        ] {
            let (mut sealer, _) = pair(cipher, 7);
            for (number, expected) in bytes.into_iter().enumerate() {
                let record = sealed(&mut sealer, b"abc", number == 1);
                assert_eq!(data_encoding::HEXLOWER.encode(&record), expected, "{cipher:?}, record {number}");
            }
        }
    }

    #[test]
    fn a_cipher_cannot_open_what_the_other_sealed() {
        for (one, other) in [(Aes256Gcm, ChaCha20Poly1305), (ChaCha20Poly1305, Aes256Gcm)] {
            let record = sealed(&mut pair(one, 1).0, b"one", false);
            assert_eq!(open(&mut pair(other, 1).1, &record), Err(OpenError));
        }
    }

    #[test]
    fn order_and_session_matter() {
        for cipher in CIPHERS {
            let (mut sealer, mut opener) = pair(cipher, 1);
            let one = sealed(&mut sealer, b"one", false);
            let two = sealed(&mut sealer, b"two", true);
            assert_eq!(open(&mut opener, &two), Err(OpenError));
            let (_, mut opener) = pair(cipher, 1);
            assert_eq!(open(&mut opener, &one).unwrap(), b"one");
            assert_eq!(open(&mut opener, &one), Err(OpenError), "played twice");
            let (_, mut other) = pair(cipher, 2);
            assert_eq!(open(&mut other, &two), Err(OpenError));
        }
    }

    #[test]
    fn nothing_follows_the_last_record() {
        for cipher in CIPHERS {
            let (mut sealer, mut opener) = pair(cipher, 1);
            let last = sealed(&mut sealer, b"", true);
            open(&mut opener, &last).unwrap();
            assert!(opener.is_ended());
            let (mut sealer, _) = pair(cipher, 1);
            sealer.keys.number = 1;
            let more = sealed(&mut sealer, b"", false);
            assert_eq!(open(&mut opener, &more), Err(OpenError));
        }
    }

    #[test]
    fn keys_are_replaced_at_the_same_record_at_both_ends() {
        for cipher in CIPHERS {
            let (mut sealer, mut opener) = pair(cipher, 3);
            sealer.keys.number = RECORDS_PER_KEY - 1;
            opener.keys.number = RECORDS_PER_KEY - 1;
            let before = sealer.keys.secret.clone();
            for n in 0..3u8 {
                let record = sealed(&mut sealer, &[n], false);
                assert_eq!(open(&mut opener, &record).unwrap(), [n]);
            }
            assert_ne!(before, sealer.keys.secret);
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(
            cipher in ciphers(),
            plaintext in proptest::collection::vec(any::<u8>(), 0..2_000),
            last: bool,
        ) {
            let (mut sealer, mut opener) = pair(cipher, 1);
            let record = sealed(&mut sealer, &plaintext, last);
            prop_assert_eq!(record.len(), plaintext.len() + RECORD_OVERHEAD);
            prop_assert_eq!(open(&mut opener, &record).unwrap(), &plaintext[..]);
            prop_assert_eq!(opener.is_ended(), last);
        }

        #[test]
        fn every_changed_bit_shows(
            cipher in ciphers(),
            plaintext in proptest::collection::vec(any::<u8>(), 0..60),
            bit: u16,
        ) {
            let (mut sealer, mut opener) = pair(cipher, 1);
            let mut record = sealed(&mut sealer, &plaintext, false);
            let bit = usize::from(bit) % (record.len() * 8);
            record[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(open(&mut opener, &record), Err(OpenError));
        }

        #[test]
        fn no_bytes_panic(cipher in ciphers(), mut bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = pair(cipher, 1).1.open(&mut bytes);
        }
    }
}
