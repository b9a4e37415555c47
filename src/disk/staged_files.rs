//! The files that an interrupted download has left in the staging folder.
//!
//! There is no other record: the receiver offers the groups of every staged file to the sender, which continues after
//! the groups that equal its own (`staged_hasher.rs`). Everything that is not a file or folder of the download is
//! removed. The files need not be trusted: if a power failure or another process has changed one, its groups differ.

use std::{collections::HashMap, io};

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

use super::{errors::disk_error, groups::GROUP_SIZE, rooted_dir::RootedDir, staging_layout::remove_tree};
use crate::{
    error::Result,
    manifest::{Entry, EntryKind, Manifest},
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
    let bytes = manifest.entries().iter().filter(|entry| entry.is_file()).map(|entry| {
        let meta = files.metadata_of(&entry.path).ok().filter(is_own_file);
        meta.zip(entry.size()).map_or(0, |(meta, size)| usable_bytes(meta.len(), size))
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
    let mut search = StagedSearch::new(manifest.entries(), is_wanted);
    search.visit(files, "").map_err(|e| disk_error("read", "the staging folder", &e))?;
    let is_complete = |file: &StagedFile| manifest.entries()[file.index].size() == Some(file.bytes);
    search.found.sort_unstable_by_key(|file| (is_complete(file), file.index));
    Ok(search.found)
}

/// Walks through the staged content.
struct StagedSearch<'a> {
    /// The folders and the wanted files of the share, with their indexes.
    expected: HashMap<&'a str, (usize, &'a Entry)>,
    /// The expected files that are staged.
    found: Vec<StagedFile>,
}

impl<'a> StagedSearch<'a> {
    fn new(entries: &'a [Entry], is_wanted: impl Fn(usize) -> bool) -> Self {
        let expected = entries.iter().enumerate();
        let expected = expected
            .filter(|(index, entry)| entry.kind == EntryKind::Folder || (entry.is_file() && is_wanted(*index)))
            .map(|(index, entry)| (entry.path.as_str(), (index, entry)))
            .collect();
        Self { expected, found: Vec::new() }
    }

    /// Removes everything below `dir` that is not expected, and collects the expected files. `prefix` is the path of
    /// `dir` in the share.
    fn visit(&mut self, dir: &Dir, prefix: &str) -> io::Result<()> {
        let names = dir.entries()?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        for name in names {
            let meta = dir.symlink_metadata(&name)?;
            let path =
                name.to_str().map(|name| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") });
            let expected = path.and_then(|path| self.expected.get(path.as_str()).map(|known| (path, *known)));
            match expected {
                Some((path, (_, entry))) if entry.kind == EntryKind::Folder && meta.is_dir() => {
                    self.visit(&dir.open_dir_nofollow(&name)?, &path)?;
                }
                Some((_, (index, entry))) if entry.is_file() && is_own_file(&meta) => {
                    let bytes = entry.size().map_or(0, |size| usable_bytes(meta.len(), size));
                    self.found.extend((bytes > 0).then_some(StagedFile { index, bytes }));
                }
                _ => remove_tree(dir, &name)?,
            }
        }
        Ok(())
    }
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
