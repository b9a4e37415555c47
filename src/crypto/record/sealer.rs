//! Seals records.

use ring::aead::Aad;

use super::{
    header::{MAX_PLAINTEXT, RECORD_HEADER, RecordHeader, RecordKind},
    key_schedule::KeySchedule,
};
use crate::crypto::{cipher::Cipher, kdf::DerivedKey};

/// Seals the records of one direction. It cannot be cloned, so no nonce is used twice.
pub struct Sealer {
    pub(super) keys: KeySchedule,
    ended: bool,
}

impl Sealer {
    pub(in crate::crypto) fn new(cipher: Cipher, secret: DerivedKey) -> Self {
        Self { keys: KeySchedule::new(cipher, secret), ended: false }
    }

    /// Seals in place. `record` contains [`RECORD_HEADER`] bytes of any content and then the plaintext; it becomes the
    /// whole record.
    ///
    /// # Panics
    /// If the plaintext is longer than [`MAX_PLAINTEXT`], if `record` has no room for the header, or if the last record
    /// is already sealed. All three are errors of the caller.
    pub fn seal(&mut self, record: &mut Vec<u8>, kind: RecordKind) {
        assert!(!self.ended, "a record after the last one");
        assert!(record.len() >= RECORD_HEADER, "no room for the record's header");
        let length = record.len() - RECORD_HEADER;
        assert!(length <= MAX_PLAINTEXT, "a record of {length} bytes");
        let header = RecordHeader::new(kind, length).as_bytes();
        record[..RECORD_HEADER].copy_from_slice(&header);
        let (key, nonce) = self.keys.advance();
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(header), &mut record[RECORD_HEADER..])
            .unwrap_or_else(|_| unreachable!("a record is far below the limit of either cipher"));
        record.extend_from_slice(tag.as_ref());
        self.ended = kind == RecordKind::Last;
    }
}
