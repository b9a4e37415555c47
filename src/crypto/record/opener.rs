//! Opens records.

use ring::aead::Aad;

use super::{
    header::{RECORD_HEADER, RecordHeader, RecordKind},
    key_schedule::KeySchedule,
    open_error::OpenError,
};
use crate::crypto::{cipher::Cipher, kdf::DerivedKey};

/// Opens the records of one direction, in order.
pub struct Opener {
    pub(super) keys: KeySchedule,
    ended: bool,
}

impl Opener {
    pub(in crate::crypto) fn new(cipher: Cipher, secret: DerivedKey) -> Self {
        Self { keys: KeySchedule::new(cipher, secret), ended: false }
    }

    /// Opens a whole record in place; [`plaintext`](super::plaintext) returns its plaintext.
    ///
    /// # Errors
    /// [`OpenError`] if the record was changed, is out of order, belongs to another session, or follows the last
    /// record.
    pub fn open(&mut self, record: &mut [u8]) -> Result<(), OpenError> {
        let header = RecordHeader::parse(record)?;
        let body = &mut record[RECORD_HEADER..];
        if self.ended || header.body_length() != body.len() {
            return Err(OpenError);
        }
        let (key, nonce) = self.keys.advance();
        key.open_in_place(nonce, Aad::from(header.as_bytes()), body).map_err(|_| OpenError)?;
        self.ended = header.kind() == RecordKind::Last;
        Ok(())
    }

    /// Whether the last record was opened.
    pub fn is_ended(&self) -> bool {
        self.ended
    }
}
