//! The entries that a scan has found so far.

use std::sync::Arc;

use super::fingerprint::{Fingerprint, FingerprintDigest, FingerprintKey};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, MAX_ENTRIES, Manifest, ManifestBuilder, ManifestError, ShareId},
    text::count,
};

/// The entries of a scan, and their fingerprints. Entries that equal those of the previous scan are only counted.
pub(super) struct ScannedEntries {
    key: FingerprintKey,
    previous: Option<PreviousScan>,
    builder: ManifestBuilder,
    holes: u64,
    fingerprints: Vec<FingerprintDigest>,
}

/// The previous scan of a share.
struct PreviousScan {
    manifest: Arc<Manifest>,
    fingerprints: Arc<Vec<FingerprintDigest>>,
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
        Ok(Self { key: FingerprintKey::default(), previous: None, builder, fingerprints: Vec::new(), holes: 0 })
    }

    /// Creates an empty list that is expected to equal the list of the previous scan.
    ///
    /// # Errors
    /// None, because the name of the share is valid.
    pub(super) fn like(
        manifest: Arc<Manifest>,
        fingerprints: Arc<Vec<FingerprintDigest>>,
        key: FingerprintKey,
    ) -> Result<Self> {
        let empty = Self::new(manifest.share(), manifest.name().to_owned())?;
        Ok(Self { key, previous: Some(PreviousScan { manifest, fingerprints, same: 0 }), ..empty })
    }

    /// Adds an entry. `holes` is the number of its bytes that take no space on the disk.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a manifest cannot contain it.
    pub(super) fn push(&mut self, entry: Entry, fingerprint: &Fingerprint, holes: u64) -> Result<()> {
        self.holes = self.holes.saturating_add(holes);
        let digest = self.key.digest(fingerprint);
        match &mut self.previous {
            Some(previous) if previous.is_next(&entry, digest) => {
                previous.same += 1;
                return Ok(());
            }
            _ => self.copy_previous()?,
        }
        self.builder.push(entry).map_err(cannot_share)?;
        self.fingerprints.push(digest);
        Ok(())
    }

    /// Returns the manifest, the fingerprints and their key.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a manifest cannot contain them.
    pub(super) fn finish(mut self) -> Result<(Arc<Manifest>, Arc<Vec<FingerprintDigest>>, FingerprintKey)> {
        if let Some(PreviousScan { manifest, fingerprints, same }) = &self.previous
            && *same == manifest.len()
        {
            return Ok((Arc::clone(manifest), Arc::clone(fingerprints), self.key));
        }
        self.copy_previous()?;
        self.builder.set_holes(self.holes);
        let manifest = self.builder.finish().map_err(cannot_share)?;
        Ok((Arc::new(manifest), Arc::new(self.fingerprints), self.key))
    }

    /// Copies the entries that were only counted. From then on, this scan stores its entries.
    fn copy_previous(&mut self) -> Result<()> {
        let Some(PreviousScan { manifest, fingerprints, same }) = self.previous.take() else { return Ok(()) };
        self.fingerprints.extend_from_slice(&fingerprints[..same]);
        manifest.entries().take(same).try_for_each(|entry| self.builder.push(entry)).map_err(cannot_share)
    }
}

impl PreviousScan {
    fn is_next(&self, entry: &Entry, digest: FingerprintDigest) -> bool {
        self.fingerprints.get(self.same) == Some(&digest) && self.manifest.entry(self.same).as_ref() == Some(entry)
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
