//! Decodes a manifest from records.

use zeroize::Zeroizing;

use crate::{
    crypto::Resumption,
    error::{Error, Kind, Result},
    manifest::{Manifest, ManifestBuilder, ManifestError},
    transfer::user_errors::{explain_failure, explain_wire_error},
    wire::{
        Frame, Message, WireError,
        peer::{Failure, LeftOutEntries, ManifestPart, ManifestStart, ResumptionGrant},
    },
};

/// Decodes a manifest, record by record.
#[derive(Default)]
pub(crate) struct ManifestDecoder {
    builder: Option<ManifestBuilder>,
    grant: Option<ResumptionGrant>,
    /// Whether a record has contained no entry. One such record is allowed: the first record of an offer that fails is
    /// empty.
    had_empty_record: bool,
}

impl ManifestDecoder {
    /// Decodes the frames of a record. Returns whether the manifest is complete.
    ///
    /// # Errors
    /// - [`Kind::Disk`] for a path or link target that is not allowed
    /// - [`Kind::Transfer`] for anything else that no honest sender sends
    /// - the sender's [`Failure`]
    pub(crate) fn push_record(&mut self, mut plaintext: &[u8]) -> Result<bool> {
        let entries_before = self.entries();
        while !plaintext.is_empty() {
            let frame = Frame::split(&mut plaintext).map_err(explain_wire_error)?;
            self.push_frame(&frame)?;
        }
        let is_complete = self.builder.as_ref().is_some_and(ManifestBuilder::is_full);
        let is_empty = self.entries() == entries_before;
        if !is_complete && is_empty && std::mem::replace(&mut self.had_empty_record, true) {
            return Err(refused(ManifestError::EmptyPart));
        }
        Ok(is_complete)
    }

    /// Returns the manifest, and the sender's grant for a resumption.
    ///
    /// # Errors
    /// [`Kind::Transfer`] if the manifest is not complete.
    pub(crate) fn finish(self) -> Result<(Manifest, Option<Resumption>)> {
        let builder = self.builder.ok_or(ManifestError::WrongCount);
        let manifest = builder.and_then(ManifestBuilder::finish).map_err(refused)?;
        let resumption = self.grant.map(|ResumptionGrant { id, key }| Resumption {
            id: id.receiver,
            id_tag: id.tag,
            key: Zeroizing::new(key),
        });
        Ok((manifest, resumption))
    }

    fn push_frame(&mut self, frame: &Frame<'_>) -> Result<()> {
        match (frame.kind, &mut self.builder) {
            (ResumptionGrant::TYPE, None) if self.grant.is_none() => {
                self.grant = Some(frame.decode().map_err(explain_wire_error)?);
            }
            (ManifestStart::TYPE, builder @ None) => {
                let ManifestStart(header) = frame.decode().map_err(explain_wire_error)?;
                *builder = Some(ManifestBuilder::new(header).map_err(refused)?);
            }
            (LeftOutEntries::TYPE, Some(builder)) if builder.entries() == 0 => {
                let LeftOutEntries(left_out) = frame.decode().map_err(explain_wire_error)?;
                builder.set_left_out(left_out);
            }
            (ManifestPart::TYPE, Some(builder)) => {
                let ManifestPart(part) = frame.decode().map_err(explain_wire_error)?;
                for entry in part {
                    entry.parse().and_then(|entry| builder.push(entry)).map_err(refused)?;
                }
            }
            (Failure::TYPE, _) => return Err(explain_failure(&frame.decode().map_err(explain_wire_error)?)),
            _ if frame.may_be_skipped() => {}
            (other, _) => return Err(explain_wire_error(WireError::Unexpected(other))),
        }
        Ok(())
    }

    fn entries(&self) -> usize {
        self.builder.as_ref().map_or(0, ManifestBuilder::entries)
    }
}

fn refused(e: ManifestError) -> Error {
    let kind = match e {
        ManifestError::Path(..) | ManifestError::LinkTarget(_) => Kind::Disk,
        _ => Kind::Transfer,
    };
    Error::new(kind, format!("the offer was refused: {e}"))
        .hint("nothing was written; ask the sender to check what it shares")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        crypto::RECORD_OVERHEAD,
        manifest::{Entry, EntryKind, LeftOut, LeftOutReason, ManifestHeader, RawEntry, SafePath, ShareId, ShareKind},
        transfer::session::{
            manifest_encoder::ManifestEncoder,
            record::{MAX_RECORD, RecordBuilder},
        },
        wire::peer::{MAX_EARLY_MANIFEST, ResumptionId},
    };

    const GRANT: ResumptionGrant =
        ResumptionGrant { id: ResumptionId { receiver: [1; 16], tag: [3; 32] }, key: [2; 32] };

    fn manifest(entries: u64) -> Manifest {
        let header =
            ManifestHeader { share: ShareId::random(), name: "many".into(), entries, holes: 0, kind: ShareKind::Files };
        let mut builder = ManifestBuilder::new(header).unwrap();
        for n in 0..entries {
            let kind = EntryKind::File { size: Some(u64::from(u32::MAX)) };
            let path = SafePath::parse(&format!("{}{n}", "ü".repeat(n as usize % 100))).unwrap();
            builder.push(Entry { path, kind, mode: 0o777, mtime: None }).unwrap();
        }
        let mut left_out = LeftOut::default();
        (0..entries).for_each(|_| left_out.add(LeftOutReason::Special));
        builder.set_left_out(left_out);
        builder.finish().unwrap()
    }

    #[test]
    fn manifests_of_any_length_survive_a_round_trip() {
        for entries in [0, 1, 100, 5_000] {
            let manifest = Arc::new(manifest(entries));
            let mut encoder = ManifestEncoder::new(Arc::clone(&manifest));
            let mut decoder = ManifestDecoder::default();
            let first = encoder.first_record(&GRANT).unwrap();
            let length = first.sealed_length() as usize - RECORD_OVERHEAD;
            assert!(length.is_power_of_two() && length <= MAX_EARLY_MANIFEST, "{length}");
            let mut is_complete = decoder.push_record(first.frames()).unwrap();
            while let Some(record) = encoder.next_record().unwrap() {
                assert!(!is_complete);
                assert!(record.sealed_length() <= MAX_RECORD as u64);
                is_complete = decoder.push_record(record.frames()).unwrap();
            }
            assert!(is_complete);
            let (decoded, resumption) = decoder.finish().unwrap();
            assert_eq!(decoded, *manifest);
            assert!(resumption.is_some_and(|resumption| resumption.id == [1; 16] && *resumption.key == [2; 32]));
        }
    }

    #[test]
    fn the_refusal_of_a_hostile_path_shows_it_escaped() {
        let mut record = RecordBuilder::new();
        let header =
            ManifestHeader { share: ShareId::random(), name: "x".into(), entries: 1, holes: 0, kind: ShareKind::Files };
        record.push(&ManifestStart(header)).unwrap();
        let entry = RawEntry { path: "../\u{1b}[2Jx".into(), kind: EntryKind::Folder, mode: 0, mtime: None };
        record.push(&ManifestPart(vec![entry])).unwrap();
        let error = ManifestDecoder::default().push_record(record.frames()).unwrap_err();
        assert_eq!(error.kind(), Kind::Disk);
        assert!(error.message().contains("../\\u{1b}[2Jx"), "{error}");
    }
}
