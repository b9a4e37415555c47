//! The files that an interrupted download has left in the staging folder.
//!
//! There is no other record: the receiver offers the groups of every staged file to the sender, which continues after
//! the groups that equal its own (`staged_hasher.rs`). Everything that is not a file or folder of the download is
//! removed. The files need not be trusted: if a power failure or another process has changed one, its groups differ.

use std::{collections::HashSet, ffi::OsStr, io};

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};
use unicode_normalization::UnicodeNormalization as _;

use super::{errors::disk_error, groups::GROUP_SIZE, staging_layout::remove_tree};
use crate::{
    error::Result,
    manifest::{EntryRow, Manifest},
};

/// A staged file from which the download can be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StagedFile {
    /// The index of its entry.
    pub index: usize,
    /// The length of the usable part: whole groups, or the whole file.
    pub bytes: u64,
}

/// The usable content of a staging folder.
#[derive(Debug, Default)]
pub(super) struct StagedContent {
    /// The files: incomplete ones first, because their content can continue, then the complete ones.
    pub(super) files: Vec<StagedFile>,
    /// The indices of the folders.
    pub(super) folders: HashSet<usize>,
}

/// Returns the bytes of staged files that can be resumed from, judging by their names and sizes.
pub(super) fn staged_bytes(files: &Dir, manifest: &Manifest) -> u64 {
    let mut search = StagedSearch::new(manifest, |_| true, |_, _| Ok(()));
    let _ = search.visit(files, None); // what cannot be read cannot be resumed from
    search.found.files.iter().map(|file| file.bytes).sum()
}

/// Finds the staged content, and removes everything else from `files`. `is_wanted` returns whether an entry is
/// downloaded.
///
/// # Errors
/// [`Kind::Disk`](crate::error::Kind::Disk) if an I/O operation fails.
pub(super) fn find_staged(
    files: &Dir,
    manifest: &Manifest,
    is_wanted: impl Fn(usize) -> bool,
) -> Result<StagedContent> {
    let read = |e: io::Error| disk_error("read", "the staging folder", &e);
    if files.entries().map_err(read)?.next().is_none() {
        return Ok(StagedContent::default()); // a new download needs no index
    }
    let mut search = StagedSearch::new(manifest, is_wanted, |dir, name| remove_tree(dir, name));
    search.visit(files, None).map_err(read)?;
    let mut found = search.found;
    let size = |file: &StagedFile| manifest.row(file.index).and_then(EntryRow::size);
    found.files.sort_unstable_by_key(|file| (size(file) == Some(file.bytes), file.index));
    Ok(found)
}

/// Walks through the staged content.
struct StagedSearch<'a, W> {
    expected: EntriesByFolder<'a>,
    is_wanted: W,
    /// Called for everything that cannot be resumed from.
    on_useless: fn(&Dir, &OsStr) -> io::Result<()>,
    found: StagedContent,
}

impl<'a, W: Fn(usize) -> bool> StagedSearch<'a, W> {
    fn new(manifest: &'a Manifest, is_wanted: W, on_useless: fn(&Dir, &OsStr) -> io::Result<()>) -> Self {
        Self { expected: EntriesByFolder::new(manifest), is_wanted, on_useless, found: StagedContent::default() }
    }

    /// Collects the expected files and folders below `dir`. `folder` is the entry of `dir`.
    fn visit(&mut self, dir: &Dir, folder: Option<usize>) -> io::Result<()> {
        let (mut folders, mut useless) = (Vec::new(), Vec::new());
        for entry in dir.entries()? {
            let name = entry?.file_name();
            let meta = dir.symlink_metadata(&name)?;
            match name.to_str().and_then(|name| self.expected.find_as_stored(folder, name)) {
                Some(row) if row.is_folder() && meta.is_dir() => folders.push((name, row.index())),
                Some(row) if row.is_file() && (self.is_wanted)(row.index()) && is_own_file(&meta) => {
                    match row.size().map_or(0, |size| usable_bytes(meta.len(), size)) {
                        0 => useless.push(name),
                        bytes => self.found.files.push(StagedFile { index: row.index(), bytes }),
                    }
                }
                _ => useless.push(name),
            }
        }
        useless.iter().try_for_each(|name| (self.on_useless)(dir, name))?;
        self.found.folders.extend(folders.iter().map(|(_, index)| *index));
        folders.iter().try_for_each(|(name, index)| self.visit(&dir.open_dir_nofollow(name)?, Some(*index)))
    }
}

/// The entries of a manifest, sorted by folder and name.
struct EntriesByFolder<'a> {
    manifest: &'a Manifest,
    sorted: Vec<u32>,
}

impl<'a> EntriesByFolder<'a> {
    fn new(manifest: &'a Manifest) -> Self {
        let mut sorted: Vec<u32> = (0..manifest.len() as u32).collect();
        sorted.sort_unstable_by_key(|index| manifest.row(*index as usize).map(folder_and_name));
        Self { manifest, sorted }
    }

    /// Finds an entry by the name that the disk has stored for it. Some disks compose or decompose its characters; no
    /// other difference occurs, because the plan has left out entries whose names the disk changes.
    fn find_as_stored(&self, folder: Option<usize>, name: &str) -> Option<EntryRow<'a>> {
        let other_forms = || {
            let composed: String = name.nfc().collect();
            let decomposed: String = name.nfd().collect();
            self.find(folder, &composed).or_else(|| self.find(folder, &decomposed))
        };
        self.find(folder, name).or_else(|| if name.is_ascii() { None } else { other_forms() })
    }

    fn find(&self, folder: Option<usize>, name: &str) -> Option<EntryRow<'a>> {
        let row = |index: &u32| self.manifest.row(*index as usize);
        let at =
            self.sorted.binary_search_by_key(&Some((folder, name)), |index| row(index).map(folder_and_name)).ok()?;
        row(&self.sorted[at])
    }
}

fn folder_and_name(row: EntryRow<'_>) -> (Option<usize>, &str) {
    (row.parent().map(EntryRow::index), row.name())
}

/// Whether this is a regular file without other hard links, so that writing to it changes no other file.
fn is_own_file(meta: &Metadata) -> bool {
    #[cfg(unix)]
    let has_one_link = cap_std::fs::MetadataExt::nlink(meta) == 1;
    #[cfg(not(unix))]
    let has_one_link = true;
    meta.is_file() && has_one_link
}

/// Returns how many of the `length` staged bytes of a file of `size` bytes are usable: all of them if the file is
/// complete, otherwise whole groups.
fn usable_bytes(length: u64, size: u64) -> u64 {
    if length == size { size } else { length.min(size) / GROUP_SIZE * GROUP_SIZE }
}
