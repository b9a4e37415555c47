//! Encodes a manifest as records.

use std::sync::Arc;

use super::record::{MAX_RECORD, RecordBuilder};
use crate::{
    manifest::{Entry, Manifest, RawEntry},
    wire::{
        WireError,
        peer::{LeftOutEntries, MAX_EARLY_MANIFEST, ManifestPart, ManifestStart, ResumptionGrant},
    },
};

/// The most bytes that an entry takes on the wire besides its path and target: lengths, kind, size, mode and time.
const ENTRY_OVERHEAD: usize = 48;

/// Encodes a manifest as records. The first record may be sent before the receiver has confirmed, so it is padded.
pub(crate) struct ManifestEncoder {
    manifest: Arc<Manifest>,
    /// The index of the next entry to encode.
    next: usize,
}

impl ManifestEncoder {
    /// Creates an encoder that starts at the first entry.
    pub(crate) fn new(manifest: Arc<Manifest>) -> Self {
        Self { manifest, next: 0 }
    }

    /// Returns the first record: `grant`, the manifest's header, the numbers of entries left out and the first entries,
    /// padded to a power of two of at most [`MAX_EARLY_MANIFEST`] bytes.
    ///
    /// # Errors
    /// [`WireError`], which does not happen with a valid manifest.
    pub(crate) fn first_record(&mut self, grant: &ResumptionGrant) -> Result<RecordBuilder, WireError> {
        /// Bytes for the grant, the header (with a name of 255 bytes), the numbers of entries left out (at most 11
        /// bytes for each reason) and the headers of the frames.
        const RESERVED: usize = 640;
        let mut record = RecordBuilder::from_message(grant)?;
        record.push(&ManifestStart(self.manifest.header()))?;
        if !self.manifest.left_out().is_empty() {
            record.push(&LeftOutEntries(self.manifest.left_out().clone()))?;
        }
        record.push(&self.next_part(MAX_EARLY_MANIFEST - RESERVED))?;
        record.pad();
        Ok(record)
    }

    /// Returns the next record; `None` once all entries are encoded.
    ///
    /// # Errors
    /// [`WireError`], which does not happen with a valid manifest.
    pub(crate) fn next_record(&mut self) -> Result<Option<RecordBuilder>, WireError> {
        if self.next == self.manifest.len() {
            return Ok(None);
        }
        RecordBuilder::from_message(&self.next_part(MAX_RECORD / 2)).map(Some)
    }

    /// Takes the next entries that together encode to at most `limit` bytes.
    fn next_part(&mut self, limit: usize) -> ManifestPart {
        let (mut part, mut size) = (Vec::new(), 0);
        while let Some(entry) = self.manifest.entry(self.next) {
            size += max_encoded_length(&entry);
            if size > limit {
                break;
            }
            part.push(RawEntry::from(entry));
            self.next += 1;
        }
        ManifestPart(part)
    }
}

fn max_encoded_length(entry: &Entry) -> usize {
    entry.path.as_str().len() + entry.target().map_or(0, str::len) + ENTRY_OVERHEAD
}
