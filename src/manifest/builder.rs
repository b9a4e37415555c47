//! Builds a manifest entry by entry and checks each one.

use std::collections::HashMap;

use super::{
    contents::{Manifest, ManifestHeader},
    entry::{Entry, EntryKind},
    limits::{MAX_ENTRIES, MAX_NAME, MAX_TEXT},
    link_target::link_stays_inside,
    manifest_error::ManifestError,
    safe_path::SafePath,
};

/// Builds a manifest, and refuses an entry that breaks a rule of the [module](super).
#[derive(Debug)]
pub struct ManifestBuilder {
    header: ManifestHeader,
    entries: Vec<Entry>,
    /// Whether each path so far is a folder.
    is_folder: HashMap<SafePath, bool>,
    /// Bytes of all paths and link targets.
    text: usize,
    files: u64,
    bytes: Option<u64>,
}

impl ManifestBuilder {
    /// Begins a manifest of exactly `header.entries` entries.
    ///
    /// # Errors
    /// [`ManifestError::TooManyEntries`] for more than [`MAX_ENTRIES`], [`ManifestError::ShareName`] for an empty name
    /// or one of more than 255 bytes.
    pub fn new(header: ManifestHeader) -> Result<Self, ManifestError> {
        if header.entries > MAX_ENTRIES {
            return Err(ManifestError::TooManyEntries(header.entries));
        }
        if header.name.is_empty() || header.name.len() > MAX_NAME {
            return Err(ManifestError::ShareName);
        }
        Ok(Self { header, entries: Vec::new(), is_folder: HashMap::new(), text: 0, files: 0, bytes: Some(0) })
    }

    /// Adds the next entry. Clears all mode bits but 0o777.
    ///
    /// # Errors
    /// The rule that the entry breaks.
    pub fn push(&mut self, mut entry: Entry) -> Result<(), ManifestError> {
        if self.is_full() {
            return Err(ManifestError::WrongCount);
        }
        self.text += entry.path.as_str().len() + entry.target().map_or(0, str::len);
        if self.text > MAX_TEXT {
            return Err(ManifestError::NamesTooLong);
        }
        if entry.size().is_none() && self.header.entries > 1 {
            return Err(ManifestError::UnknownSize(entry.path));
        }
        if let Some(parent) = entry.path.parent()
            && self.is_folder.get(parent.as_str()) != Some(&true)
        {
            return Err(ManifestError::NoParent(entry.path));
        }
        if let EntryKind::Link { target } = &entry.kind
            && !link_stays_inside(&entry.path, target)
        {
            return Err(ManifestError::LinkTarget(entry.path));
        }
        if self.is_folder.insert(entry.path.clone(), entry.kind == EntryKind::Folder).is_some() {
            return Err(ManifestError::Duplicate(entry.path));
        }
        entry.mode &= 0o777;
        self.files += u64::from(entry.is_file());
        self.bytes = match (self.bytes, entry.size()) {
            (Some(sum), Some(size)) => Some(sum.checked_add(size).ok_or(ManifestError::SizeOverflow)?),
            _ => None,
        };
        self.entries.push(entry);
        Ok(())
    }

    /// Returns the number of entries so far.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Whether all announced entries have been added.
    pub fn is_full(&self) -> bool {
        self.entries.len() as u64 == self.header.entries
    }

    /// Returns the manifest.
    ///
    /// # Errors
    /// [`ManifestError::WrongCount`] if entries are missing.
    pub fn finish(self) -> Result<Manifest, ManifestError> {
        if !self.is_full() {
            return Err(ManifestError::WrongCount);
        }
        let ManifestHeader { share, name, .. } = self.header;
        Ok(Manifest { share, name, entries: self.entries, files: self.files, bytes: self.bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{entry::ContentCoding, share_id::ShareId};

    fn builder(entries: u64) -> ManifestBuilder {
        ManifestBuilder::new(header(entries)).unwrap()
    }

    fn header(entries: u64) -> ManifestHeader {
        ManifestHeader { share: ShareId::random(), name: "x".into(), entries }
    }

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: SafePath::parse(path).unwrap(), kind, mode: 0o4755, mtime: None }
    }

    fn file(path: &str, size: u64) -> Entry {
        entry(path, EntryKind::File { size: Some(size), coding: ContentCoding::Identity })
    }

    #[test]
    fn a_valid_tree_is_accepted_without_its_setuid_bits() {
        let mut b = builder(4);
        b.push(entry("a", EntryKind::Folder)).unwrap();
        b.push(file("a/x", 3)).unwrap();
        b.push(file("a/X", 4)).unwrap();
        b.push(entry("a/l", EntryKind::Link { target: "x".into() })).unwrap();
        let m = b.finish().unwrap();
        assert_eq!((m.files(), m.bytes()), (2, Some(7)));
        assert_eq!(m.entries()[1].mode, 0o755);
    }

    #[test]
    fn invalid_manifests_are_refused() {
        let path = |p: &str| SafePath::parse(p).unwrap();
        assert_eq!(builder(1).push(file("a/x", 0)), Err(ManifestError::NoParent(path("a/x"))));
        let mut b = builder(9);
        b.push(file("a", 0)).unwrap();
        assert_eq!(b.push(file("a/x", 0)), Err(ManifestError::NoParent(path("a/x"))));
        assert_eq!(b.push(entry("a", EntryKind::Folder)), Err(ManifestError::Duplicate(path("a"))));
        let mut b = builder(2);
        b.push(file("a", u64::MAX)).unwrap();
        assert_eq!(b.push(file("b", 1)), Err(ManifestError::SizeOverflow));
        let unknown = || entry("a", EntryKind::File { size: None, coding: ContentCoding::Identity });
        assert_eq!(builder(2).push(unknown()), Err(ManifestError::UnknownSize(path("a"))));
        builder(1).push(unknown()).unwrap();
        let mut b = builder(1);
        b.push(file("a", 0)).unwrap();
        assert_eq!(b.push(file("b", 0)), Err(ManifestError::WrongCount));
        assert_eq!(builder(1).finish(), Err(ManifestError::WrongCount));
        let refused = ManifestBuilder::new(header(10_000_000)).unwrap_err();
        assert_eq!(refused, ManifestError::TooManyEntries(10_000_000));
    }

    #[test]
    fn the_total_length_of_all_paths_is_bounded() {
        let mut b = builder(MAX_ENTRIES);
        let long_name = |n: usize| format!("{n:0>255}");
        let refused = (0..MAX_ENTRIES as usize).find_map(|n| b.push(file(&long_name(n), 0)).err().map(|e| (n, e)));
        assert_eq!(refused, Some((MAX_TEXT / 255, ManifestError::NamesTooLong)));
    }
}
