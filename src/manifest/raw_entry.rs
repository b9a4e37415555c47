//! An entry as it is on the wire, before its path is checked.

use serde::{Deserialize, Serialize};

use super::{
    entry::{Entry, EntryKind, Mtime},
    manifest_error::ManifestError,
    safe_path::SafePath,
};
use crate::text::visible;

/// An [`Entry`] whose path is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawEntry {
    /// The path that the sender gives.
    pub path: String,
    /// Whether it is a file, a folder or a link.
    pub kind: EntryKind,
    /// Unix permission bits.
    pub mode: u32,
    /// The time of the last modification.
    pub mtime: Option<Mtime>,
}

impl RawEntry {
    /// Checks the path.
    ///
    /// # Errors
    /// [`ManifestError::Path`] if the path is not a [`SafePath`].
    pub fn parse(self) -> Result<Entry, ManifestError> {
        let path = SafePath::parse(&self.path).map_err(|e| ManifestError::Path(visible(&self.path), e))?;
        Ok(Entry { path, kind: self.kind, mode: self.mode, mtime: self.mtime })
    }
}

impl From<Entry> for RawEntry {
    fn from(entry: Entry) -> Self {
        Self { path: entry.path.into_string(), kind: entry.kind, mode: entry.mode, mtime: entry.mtime }
    }
}
