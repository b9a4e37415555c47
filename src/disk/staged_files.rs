//! The files that an interrupted download has left in the staging folder.
//!
//! There is no other record: the receiver offers the groups of every staged file to the sender, which continues after
//! the groups that equal its own (`staged_hasher.rs`). Everything that is not a file or folder of the download is
//! removed. The files need not be trusted: if a power failure or another process has changed one, its groups differ.

use std::io;

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

use super::{errors::disk_error, groups::GROUP_SIZE, rooted_dir::RootedDir, staging_layout::remove_tree};
use crate::{
    error::Result,
    manifest::{EntryRow, Manifest},
};

/// A staged file from which the download can be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedFile {
    /// The index of its entry.
    pub index: usize,
    /// The length of the usable part: whole groups, or the whole file.
    pub bytes: u64,
}

/// Returns the bytes of staged files that can be resumed from, judging by their sizes.
pub(super) fn staged_bytes(files: Dir, manifest: &Manifest) -> u64 {
    let mut files = RootedDir::new(files);
    let bytes = manifest.rows().filter(|row| row.is_file()).map(|row| {
        let meta = files.metadata_of(&row.path()).ok().filter(is_own_file);
        meta.zip(row.size()).map_or(0, |(meta, size)| usable_bytes(meta.len(), size))
    });
    bytes.sum()
}

/// Removes everything from `files` that is not part of the download. `is_wanted` returns whether an entry is
/// downloaded. Returns the staged files: incomplete ones first, because their content can continue, then the complete
/// ones.
///
/// # Errors
/// [`Kind::Disk`](crate::error::Kind::Disk) if an I/O operation fails.
pub(super) fn find_staged(
    files: &Dir,
    manifest: &Manifest,
    is_wanted: impl Fn(usize) -> bool,
) -> Result<Vec<StagedFile>> {
    let read = |e: io::Error| disk_error("read", "the staging folder", &e);
    if files.entries().map_err(read)?.next().is_none() {
        return Ok(Vec::new()); // a new download needs no index
    }
    let mut search = StagedSearch { expected: EntriesByFolder::new(manifest), is_wanted, found: Vec::new() };
    search.visit(files, None).map_err(read)?;
    let size = |file: &StagedFile| manifest.row(file.index).and_then(EntryRow::size);
    search.found.sort_unstable_by_key(|file| (size(file) == Some(file.bytes), file.index));
    Ok(search.found)
}

/// Walks through the staged content.
struct StagedSearch<'a, W> {
    expected: EntriesByFolder<'a>,
    is_wanted: W,
    /// The expected files that are staged.
    found: Vec<StagedFile>,
}

impl<W: Fn(usize) -> bool> StagedSearch<'_, W> {
    /// Removes everything below `dir` that is not expected, and collects the expected files. `folder` is the entry of
    /// `dir`.
    fn visit(&mut self, dir: &Dir, folder: Option<usize>) -> io::Result<()> {
        let (mut folders, mut unexpected) = (Vec::new(), Vec::new());
        for entry in dir.entries()? {
            let name = entry?.file_name();
            let meta = dir.symlink_metadata(&name)?;
            match name.to_str().and_then(|name| self.expected.find(folder, name)) {
                Some(row) if row.is_folder() && meta.is_dir() => folders.push((name, row.index())),
                Some(row) if row.is_file() && (self.is_wanted)(row.index()) && is_own_file(&meta) => {
                    let bytes = row.size().map_or(0, |size| usable_bytes(meta.len(), size));
                    self.found.extend((bytes > 0).then_some(StagedFile { index: row.index(), bytes }));
                }
                _ => unexpected.push(name),
            }
        }
        unexpected.iter().try_for_each(|name| remove_tree(dir, name))?;
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
