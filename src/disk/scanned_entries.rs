//! The entries that a scan has found so far.

use std::sync::Arc;

use super::fingerprint::{DeviceAndInode, FileIdDigest, FileIdKey};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, LeftOut, MAX_ENTRIES, Manifest, ManifestBuilder, ManifestError, ShareId},
    text::count,
};

/// The entries of a scan, and their file ids. Entries that equal those of the previous scan are only counted.
pub(super) struct ScannedEntries {
    key: FileIdKey,
    previous: Option<PreviousScan>,
    builder: ManifestBuilder,
    holes: u64,
    file_ids: Vec<FileIdDigest>,
}

/// The previous scan of a share.
struct PreviousScan {
    manifest: Arc<Manifest>,
    file_ids: Arc<Vec<FileIdDigest>>,
    /// The number of its leading entries that this scan has found again.
    same: usize,
}

impl ScannedEntries {
    /// Creates an empty list.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the name of the share is empty or too long.
    pub(super) fn new(share: ShareId, name: String) -> Result<Self> {
        let builder = ManifestBuilder::open(share, name).map_err(cannot_share)?;
        Ok(Self { key: FileIdKey::default(), previous: None, builder, file_ids: Vec::new(), holes: 0 })
    }

    /// Creates an empty list that is expected to equal the list of the previous scan.
    ///
    /// # Errors
    /// None, because the name of the share is valid.
    pub(super) fn like(manifest: Arc<Manifest>, file_ids: Arc<Vec<FileIdDigest>>, key: FileIdKey) -> Result<Self> {
        let empty = Self::new(manifest.share(), manifest.name().to_owned())?;
        Ok(Self { key, previous: Some(PreviousScan { manifest, file_ids, same: 0 }), ..empty })
    }

    /// Adds an entry. `holes` is the number of its bytes that take no space on the disk.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a manifest cannot contain it.
    pub(super) fn push(&mut self, entry: Entry, id: DeviceAndInode, holes: u64) -> Result<()> {
        self.holes = self.holes.saturating_add(holes);
        let digest = self.key.digest(id);
        match &mut self.previous {
            Some(previous) if previous.is_next(&entry, digest) => {
                previous.same += 1;
                return Ok(());
            }
            _ => self.copy_previous()?,
        }
        self.builder.push(entry).map_err(cannot_share)?;
        self.file_ids.push(digest);
        Ok(())
    }

    /// Returns the number of entries.
    pub(super) fn count(&self) -> usize {
        self.previous.as_ref().map_or_else(|| self.builder.entries(), |previous| previous.same)
    }

    /// Returns the manifest, which counts what the scan has left out, the file ids and their key.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a manifest cannot contain them.
    pub(super) fn finish(mut self, left_out: LeftOut) -> Result<(Arc<Manifest>, Arc<Vec<FileIdDigest>>, FileIdKey)> {
        if let Some(PreviousScan { manifest, file_ids, same }) = &self.previous
            && *same == manifest.len()
            && *manifest.left_out() == left_out
        {
            return Ok((Arc::clone(manifest), Arc::clone(file_ids), self.key));
        }
        self.copy_previous()?;
        self.builder.set_holes(self.holes);
        self.builder.set_left_out(left_out);
        let manifest = self.builder.finish().map_err(cannot_share)?;
        Ok((Arc::new(manifest), Arc::new(self.file_ids), self.key))
    }

    /// Copies the entries that were only counted. From then on, this scan stores its entries.
    fn copy_previous(&mut self) -> Result<()> {
        let Some(PreviousScan { manifest, file_ids, same }) = self.previous.take() else { return Ok(()) };
        self.file_ids.extend_from_slice(&file_ids[..same]);
        manifest.entries().take(same).try_for_each(|entry| self.builder.push(entry)).map_err(cannot_share)
    }
}

impl PreviousScan {
    fn is_next(&self, entry: &Entry, digest: FileIdDigest) -> bool {
        self.file_ids.get(self.same) == Some(&digest) && self.manifest.entry(self.same).as_ref() == Some(entry)
    }
}

fn cannot_share(e: ManifestError) -> Error {
    match e {
        ManifestError::TooManyEntries(_) => {
            Error::new(Kind::Usage, format!("cannot share more than {}", count(MAX_ENTRIES, "item")))
                .hint("share fewer items, or pack them into an archive")
        }
        ManifestError::ShareName => {
            Error::new(Kind::Usage, format!("cannot share this: {e}")).hint("choose a shorter name with --name")
        }
        e => Error::new(Kind::Usage, format!("cannot share this: {e}")).hint("share fewer files at once"),
    }
}
