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
    /// Checks the path and the time.
    ///
    /// # Errors
    /// [`ManifestError::Path`] if the path is not a [`SafePath`], [`ManifestError::Time`] for more nanoseconds than a
    /// second has.
    pub fn parse(self) -> Result<Entry, ManifestError> {
        let path = SafePath::parse(&self.path).map_err(|e| ManifestError::Path(visible(&self.path), e))?;
        if self.mtime.is_some_and(|mtime| mtime.nanos >= 1_000_000_000) {
            return Err(ManifestError::Time(path));
        }
        Ok(Entry { path, kind: self.kind, mode: self.mode, mtime: self.mtime })
    }
}

impl From<Entry> for RawEntry {
    fn from(entry: Entry) -> Self {
        Self { path: entry.path.into_string(), kind: entry.kind, mode: entry.mode, mtime: entry.mtime }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_with_more_nanoseconds_than_a_second_is_refused() {
        let raw = |nanos| {
            let mtime = Some(Mtime { seconds: i64::MIN, nanos });
            RawEntry { path: "a".into(), kind: EntryKind::Folder, mode: u32::MAX, mtime }
        };
        assert!(raw(999_999_999).parse().is_ok());
        for nanos in [1_000_000_000, u32::MAX] {
            assert!(matches!(raw(nanos).parse(), Err(ManifestError::Time(_))));
        }
    }
}
