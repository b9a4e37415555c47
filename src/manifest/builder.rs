//! Builds a manifest entry by entry and checks each one.

use super::{
    contents::{Manifest, ManifestHeader},
    entry::{Entry, EntryKind},
    entry_table::{EntryTable, RowTag},
    left_out::LeftOut,
    limits::{MAX_ENTRIES, MAX_NAME, MAX_PATHS, MAX_TEXT, MAX_TEXT_BYTES},
    link_target::check_link_target,
    manifest_error::ManifestError,
    path_index::PathIndex,
    share_id::ShareId,
    share_kind::ShareKind,
};

/// Builds a manifest, and refuses an entry that breaks a rule of the [module](super).
#[derive(Debug)]
pub struct ManifestBuilder {
    share: ShareId,
    name: String,
    /// The final number of entries, if known.
    announced: Option<u64>,
    table: EntryTable,
    paths: PathIndex,
    /// The bytes of all names and link targets.
    text: usize,
    /// The bytes of all paths and link targets.
    path_text: usize,
    files: u64,
    bytes: Option<u64>,
    holes: u64,
    kind: ShareKind,
    left_out: LeftOut,
}

impl ManifestBuilder {
    /// Begins a manifest of exactly `header.entries` entries.
    ///
    /// # Errors
    /// [`ManifestError::TooManyEntries`] for more than [`MAX_ENTRIES`], and the errors of [`ManifestBuilder::open`].
    pub fn new(header: ManifestHeader) -> Result<Self, ManifestError> {
        if header.entries > MAX_ENTRIES {
            return Err(ManifestError::TooManyEntries(header.entries));
        }
        let ManifestHeader { share, name, entries, holes, kind } = header;
        Ok(Self { announced: Some(entries), holes, kind, ..Self::open(share, name)? })
    }

    /// Begins a manifest of any number of entries.
    ///
    /// # Errors
    /// [`ManifestError::ShareName`] if the name is empty or longer than 255 bytes.
    pub fn open(share: ShareId, name: String) -> Result<Self, ManifestError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(ManifestError::ShareName);
        }
        let (table, paths) = (EntryTable::default(), PathIndex::new());
        Ok(Self {
            share,
            name,
            announced: None,
            table,
            paths,
            text: 0,
            path_text: 0,
            files: 0,
            bytes: Some(0),
            holes: 0,
            kind: ShareKind::Files,
            left_out: LeftOut::default(),
        })
    }

    /// Adds the next entry. Clears all mode bits but 0o777.
    ///
    /// # Errors
    /// The rule that the entry breaks.
    pub fn push(&mut self, entry: Entry) -> Result<(), ManifestError> {
        if self.is_full() {
            return Err(ManifestError::WrongCount);
        }
        if self.entries() as u64 == MAX_ENTRIES {
            return Err(ManifestError::TooManyEntries(MAX_ENTRIES + 1));
        }
        if entry.size().is_none() && self.announced != Some(1) {
            return Err(ManifestError::UnknownSize(entry.path));
        }
        let (folder, name) = match entry.path.as_str().rsplit_once('/') {
            Some((folder, name)) => (Some(folder), name),
            None => (None, entry.path.as_str()),
        };
        let target = entry.target().map_or(0, str::len);
        self.text += name.len() + target;
        self.path_text += entry.path.as_str().len() + target;
        if self.text > MAX_TEXT || self.path_text > MAX_PATHS {
            return Err(ManifestError::NamesTooLong);
        }
        let parent = folder.and_then(|folder| self.paths.find(&self.table, folder));
        if folder.is_some() && !parent.is_some_and(|parent| self.table.tag(parent) == RowTag::Folder) {
            return Err(ManifestError::NoParent(entry.path));
        }
        if let EntryKind::Link { target } = &entry.kind
            && check_link_target(&entry.path, target).is_err()
        {
            return Err(ManifestError::LinkTarget(entry.path));
        }
        if !self.paths.insert(&self.table, parent, name) {
            return Err(ManifestError::Duplicate(entry.path));
        }
        self.files += u64::from(entry.is_file());
        self.bytes = match (self.bytes, entry.size()) {
            (Some(sum), Some(size)) => Some(sum.checked_add(size).ok_or(ManifestError::SizeOverflow)?),
            _ => None,
        };
        self.table.push(parent, &entry);
        Ok(())
    }

    /// Sets the bytes of all files that take no space on this disk.
    pub fn set_holes(&mut self, holes: u64) {
        self.holes = holes;
    }

    /// Sets the number of entries that the sender has left out.
    pub fn set_left_out(&mut self, left_out: LeftOut) {
        self.left_out = left_out;
    }

    /// Returns the number of entries so far.
    pub fn entries(&self) -> usize {
        self.table.len()
    }

    /// Whether all announced entries have been added.
    pub fn is_full(&self) -> bool {
        self.announced == Some(self.table.len() as u64)
    }

    /// Returns the manifest.
    ///
    /// # Errors
    /// [`ManifestError::WrongCount`] if entries are missing, [`ManifestError::NotAText`] if it claims to be a text.
    pub fn finish(mut self) -> Result<Manifest, ManifestError> {
        if self.announced.is_some() && !self.is_full() {
            return Err(ManifestError::WrongCount);
        }
        let is_text = (self.entries(), self.files) == (1, 1) && self.bytes.is_some_and(|bytes| bytes <= MAX_TEXT_BYTES);
        if self.kind == ShareKind::Text && !is_text {
            return Err(ManifestError::NotAText);
        }
        self.table.shrink();
        let Self { share, name, table, files, bytes, holes, kind, left_out, .. } = self;
        Ok(Manifest { share, name, table, files, bytes, holes, kind, left_out, selected: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{entry::Mtime, entry_row::EntryRow, safe_path::SafePath};

    fn builder(entries: u64) -> ManifestBuilder {
        ManifestBuilder::new(header(entries)).unwrap()
    }

    fn header(entries: u64) -> ManifestHeader {
        ManifestHeader { share: ShareId::random(), name: "x".into(), entries, holes: 0, kind: ShareKind::Files }
    }

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: SafePath::parse(path).unwrap(), kind, mode: 0o4755, mtime: None }
    }

    fn file(path: &str, size: u64) -> Entry {
        entry(path, EntryKind::File { size: Some(size) })
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
        assert_eq!(m.row(1).unwrap().mode(), 0o755);
    }

    #[test]
    fn entries_are_returned_as_they_were_added_in_any_order() {
        let mtime = Some(Mtime { seconds: i64::MIN, nanos: u32::MAX });
        let mut added =
            vec![entry("b", EntryKind::Folder), entry("a", EntryKind::Folder), file("b/x", u64::MAX - 5_000)];
        for n in 0..100 {
            added.push(Entry { mtime, ..file(&format!("a/{n}"), n) });
            added.push(entry(&format!("b/{n}"), EntryKind::Folder));
            added.push(entry(&format!("b/{n}/ü"), EntryKind::Link { target: format!("../x{n}") }));
        }
        added.iter_mut().for_each(|entry| entry.mode = 0o640);
        let mut builder = builder(added.len() as u64);
        added.iter().for_each(|entry| builder.push(entry.clone()).unwrap());
        let manifest = builder.finish().unwrap();
        assert!(manifest.entries().eq(added.iter().cloned()));
        assert!(manifest.rows().map(EntryRow::to_entry).eq(added.iter().cloned()));
        assert_eq!(manifest.top_level().map(EntryRow::name).collect::<Vec<_>>(), ["b", "a"]);
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
        let unknown = || entry("a", EntryKind::File { size: None });
        assert_eq!(builder(2).push(unknown()), Err(ManifestError::UnknownSize(path("a"))));
        builder(1).push(unknown()).unwrap();
        let mut b = builder(1);
        b.push(file("a", 0)).unwrap();
        assert_eq!(b.push(file("b", 0)), Err(ManifestError::WrongCount));
        assert_eq!(builder(1).finish(), Err(ManifestError::WrongCount));
        for (entries, size) in [(2, 1), (1, MAX_TEXT_BYTES + 1)] {
            let mut b = ManifestBuilder::new(ManifestHeader { kind: ShareKind::Text, ..header(entries) }).unwrap();
            (0..entries).for_each(|n| b.push(file(&n.to_string(), size)).unwrap());
            assert_eq!(b.finish(), Err(ManifestError::NotAText));
        }
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
