//! The manifest on its way: cut into records at the sender, put together at the receiver.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::{
    crypto::Resumption,
    error::{Error, Kind, Result},
    manifest::{Entry, Manifest, ManifestBuilder, ManifestError, RawEntry},
    transfer::{
        session::{RECORD, RecordBuilder},
        user_errors::{explain_failure, explain_wire_error},
    },
    wire::{
        Frame, Message, WireError,
        peer::{Failure, MAX_EARLY_MANIFEST, ManifestPart, ManifestStart, ResumptionGrant},
    },
};

/// What an entry takes on the wire besides its texts, at most: lengths, kind, size, mode and time.
const ENTRY_OVERHEAD: usize = 48;

/// Cuts a manifest into records. The first one may go out before the receiver has proved itself, and is padded.
pub(crate) struct ManifestEncoder {
    manifest: Arc<Manifest>,
    next: usize,
}

impl ManifestEncoder {
    /// From the beginning.
    pub(crate) fn new(manifest: Arc<Manifest>) -> Self {
        Self { manifest, next: 0 }
    }

    /// What the receiver comes back with, the head and the first entries, padded to a power of two of at most [`MAX_EARLY_MANIFEST`].
    ///
    /// # Errors
    /// Never for a manifest that was built.
    pub(crate) fn first(&mut self, welcome: &ResumptionGrant) -> Result<RecordBuilder, WireError> {
        /// The welcome, the head (a name of 255 bytes) and the headers of the frames.
        const BESIDES: usize = 512;
        let mut record = RecordBuilder::of(welcome)?;
        record.push(&ManifestStart(self.manifest.header()))?;
        record.push(&self.part(MAX_EARLY_MANIFEST - BESIDES))?;
        record.pad();
        Ok(record)
    }

    /// The next record; `None` when all entries are out.
    ///
    /// # Errors
    /// Never for a manifest that was built.
    pub(crate) fn next_record(&mut self) -> Result<Option<RecordBuilder>, WireError> {
        if self.next == self.manifest.entries().len() {
            return Ok(None);
        }
        RecordBuilder::of(&self.part(RECORD / 2)).map(Some)
    }

    fn part(&mut self, most: usize) -> ManifestPart {
        let mut size = 0;
        let rest = &self.manifest.entries()[self.next..];
        let part: Vec<RawEntry> = rest
            .iter()
            .take_while(|entry| {
                size += length_on_the_wire(entry);
                size <= most
            })
            .map(RawEntry::from)
            .collect();
        self.next += part.len();
        ManifestPart(part)
    }
}

fn length_on_the_wire(entry: &Entry) -> usize {
    entry.path.as_str().len() + entry.target().map_or(0, str::len) + ENTRY_OVERHEAD
}

/// Puts a manifest together, record by record.
#[derive(Default)]
pub(crate) struct ManifestDecoder {
    builder: Option<ManifestBuilder>,
    welcome: Option<ResumptionGrant>,
    /// A record brought no entry. The first one may: an offer that fails has nothing else.
    idle: bool,
}

impl ManifestDecoder {
    /// Takes the frames of a record. `true` when the manifest is complete.
    ///
    /// # Errors
    /// [`Kind::Disk`] for a name that is not allowed, [`Kind::Transfer`] for any other thing that no honest sender says.
    pub(crate) fn take(&mut self, mut plaintext: &[u8]) -> Result<bool> {
        let before = self.entries();
        while !plaintext.is_empty() {
            let frame = Frame::split(&mut plaintext).map_err(explain_wire_error)?;
            match (frame.kind, &mut self.builder) {
                (ResumptionGrant::TYPE, None) if self.welcome.is_none() => {
                    self.welcome = Some(frame.decode().map_err(explain_wire_error)?);
                }
                (ManifestStart::TYPE, empty @ None) => {
                    let ManifestStart(head) = frame.decode().map_err(explain_wire_error)?;
                    *empty = Some(ManifestBuilder::new(head).map_err(refused)?);
                }
                (ManifestPart::TYPE, Some(builder)) => {
                    let ManifestPart(part) = frame.decode().map_err(explain_wire_error)?;
                    for entry in part {
                        entry.parse().and_then(|entry| builder.push(entry)).map_err(refused)?;
                    }
                }
                (Failure::TYPE, _) => {
                    return Err(explain_failure(&frame.decode().map_err(explain_wire_error)?));
                }
                _ if frame.may_be_skipped() => {}
                (other, _) => return Err(explain_wire_error(WireError::Unexpected(other))),
            }
        }
        let is_full = self.builder.as_ref().is_some_and(ManifestBuilder::is_full);
        if !is_full && self.entries() == before && std::mem::replace(&mut self.idle, true) {
            return Err(refused(ManifestError::EmptyPart));
        }
        Ok(is_full)
    }

    fn entries(&self) -> usize {
        self.builder.as_ref().map_or(0, ManifestBuilder::entries)
    }

    /// The manifest, and what to come back with.
    ///
    /// # Errors
    /// [`Kind::Transfer`] where it is not complete.
    pub(crate) fn finish(self) -> Result<(Manifest, Option<Resumption>)> {
        let manifest =
            self.builder.ok_or(ManifestError::WrongCount).and_then(ManifestBuilder::finish).map_err(refused)?;
        let welcome = self.welcome.map(|ResumptionGrant { id, key }| Resumption { id, key: Zeroizing::new(key) });
        Ok((manifest, welcome))
    }
}

fn refused(e: ManifestError) -> Error {
    let kind = match e {
        ManifestError::Path(..) | ManifestError::LinkTarget(_) => Kind::Disk,
        _ => Kind::Transfer,
    };
    Error::new(kind, format!("the offer was refused: {e}"))
        .hint("nothing was written; ask the sender what it means to share")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::RECORD_OVERHEAD,
        manifest::{ContentCoding, EntryKind, ManifestHeader, SafePath, ShareId},
        transfer::session,
    };

    fn manifest(entries: u64) -> Manifest {
        let mut builder =
            ManifestBuilder::new(ManifestHeader { share: ShareId::random(), name: "many".into(), entries }).unwrap();
        for n in 0..entries {
            let kind = EntryKind::File { size: Some(u64::from(u32::MAX)), coding: ContentCoding::Identity };
            let path = SafePath::parse(&format!("{}{n}", "ü".repeat(n as usize % 100))).unwrap();
            builder.push(Entry { path, kind, mode: 0o777, mtime: None }).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn a_manifest_of_any_length_comes_out_as_it_went_in() {
        for entries in [0, 1, 100, 5_000] {
            let manifest = Arc::new(manifest(entries));
            let mut outline = ManifestEncoder::new(Arc::clone(&manifest));
            let mut collector = ManifestDecoder::default();
            let first = outline.first(&ResumptionGrant { id: [1; 16], key: [2; 32] }).unwrap();
            let length = first.sealed_length() as usize - RECORD_OVERHEAD;
            assert!(length.is_power_of_two() && length <= MAX_EARLY_MANIFEST, "{length}");
            let mut complete = collector.take(first.frames()).unwrap();
            while let Some(record) = outline.next_record().unwrap() {
                assert!(!complete);
                assert!(record.sealed_length() <= session::RECORD as u64);
                complete = collector.take(record.frames()).unwrap();
            }
            assert!(complete);
            let (arrived, welcome) = collector.finish().unwrap();
            assert_eq!(arrived, *manifest);
            assert!(welcome.is_some_and(|welcome| welcome.id == [1; 16] && *welcome.key == [2; 32]));
        }
    }

    #[test]
    fn hostile_names_are_refused_by_name() {
        let mut record = RecordBuilder::new();
        let head = ManifestHeader { share: ShareId::random(), name: "x".into(), entries: 1 };
        record.push(&ManifestStart(head)).unwrap();
        let entry = RawEntry { path: "../\u{1b}[2Jx".into(), kind: EntryKind::Folder, mode: 0, mtime: None };
        record.push(&ManifestPart(vec![entry])).unwrap();
        let refused = ManifestDecoder::default().take(record.frames()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Disk);
        assert!(refused.message().contains("../\\u{1b}[2Jx"), "{refused}");
    }
}
