//! The header of a record.
//!
//! ```text
//! +------+--------------------------+---------------------+-----------+
//! | kind | plaintext length, 24 bit | ciphertext          | tag, 16 B |
//! +------+--------------------------+---------------------+-----------+
//! ```
//! Big-endian. The cipher authenticates the header.

use super::open_error::OpenError;

/// The length of the header, in bytes.
pub const RECORD_HEADER: usize = 4;

/// The bytes of a record besides its plaintext: the header and the tag.
pub const RECORD_OVERHEAD: usize = RECORD_HEADER + RECORD_TAG;

/// The longest plaintext of a record, in bytes.
pub const MAX_PLAINTEXT: usize = 256 * 1024;

/// The length of the tag, in bytes.
pub(super) const RECORD_TAG: usize = 16;

const KIND_DATA: u8 = 0;
const KIND_LAST: u8 = 1;

/// Whether more records follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// Another record follows.
    Data,
    /// The last record of its direction.
    Last,
}

/// A well-formed header. Only opening its record shows whether it is authentic.
#[derive(Debug, Clone, Copy)]
pub struct RecordHeader([u8; RECORD_HEADER]);

impl RecordHeader {
    pub(super) fn new(kind: RecordKind, plaintext_length: usize) -> Self {
        let kind = match kind {
            RecordKind::Data => KIND_DATA,
            RecordKind::Last => KIND_LAST,
        };
        let [_, a, b, c] = (plaintext_length as u32).to_be_bytes();
        Self([kind, a, b, c])
    }

    /// Parses the header at the start of `bytes`.
    ///
    /// # Errors
    /// [`OpenError`] for an unknown kind, or a length that no record has.
    pub fn parse(bytes: &[u8]) -> Result<Self, OpenError> {
        let header = Self(*bytes.first_chunk().ok_or(OpenError)?);
        if header.0[0] > KIND_LAST || header.body_length() > MAX_PLAINTEXT + RECORD_TAG {
            return Err(OpenError);
        }
        Ok(header)
    }

    /// Returns the number of bytes that follow: the ciphertext and the tag.
    pub fn body_length(&self) -> usize {
        let [_, a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c]) as usize + RECORD_TAG
    }

    /// Returns the kind that the header claims.
    pub fn kind(&self) -> RecordKind {
        if self.0[0] == KIND_LAST { RecordKind::Last } else { RecordKind::Data }
    }

    pub(super) fn as_bytes(&self) -> [u8; RECORD_HEADER] {
        self.0
    }
}

/// Returns the plaintext in a record that was opened in place.
pub fn plaintext(record: &[u8]) -> &[u8] {
    let end = record.len().saturating_sub(RECORD_TAG);
    record.get(RECORD_HEADER..end).unwrap_or_default()
}
