//! Hashes the staged files of a download, page by page, while the sender compares them with its own.

use std::{fs, io, sync::Arc, vec};

use cap_std::fs::Dir;

use super::{
    errors::disk_error,
    group_reader::hash_groups,
    groups::{GroupHash, group_count},
    hash_progress::HashProgress,
    offered_files::OfferedFiles,
    open_options,
    rooted_dir::RootedDir,
    staged_files::StagedFile,
};
use crate::{
    error::Result,
    manifest::{EntryRow, Manifest},
};

/// Hashes staged files in the order in which they are offered.
#[derive(Debug)]
pub(crate) struct StagedHasher {
    files: RootedDir,
    manifest: Arc<Manifest>,
    /// The files that are not hashed yet.
    next: vec::IntoIter<StagedFile>,
    current: Option<HashedFile>,
    offered: OfferedFiles,
}

/// The file that is being hashed.
#[derive(Debug)]
struct HashedFile {
    staged: StagedFile,
    file: fs::File,
    /// The groups that are hashed.
    groups: u64,
}

/// The hashes of the next groups of a staged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupPage {
    /// The index of its entry.
    pub index: usize,
    /// The hashes.
    pub groups: Vec<GroupHash>,
}

impl StagedHasher {
    pub(super) fn new(files: Dir, manifest: Arc<Manifest>, staged: Vec<StagedFile>, offered: OfferedFiles) -> Self {
        Self { files: RootedDir::new(files), manifest, next: staged.into_iter(), current: None, offered }
    }

    /// Hashes the next groups. Each page has `max` groups, except for the last one of a file. Several pages have at
    /// most `max` groups together. Skips files that the sender has started. Returns no page once everything is hashed.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk), naming the file, if it cannot be read or `progress` is cancelled.
    pub(crate) fn next_pages(&mut self, max: usize, progress: &HashProgress) -> Result<Vec<GroupPage>> {
        let (mut pages, mut room) = (Vec::new(), max as u64);
        while let Some(staged) = self.next_file() {
            let hashed = self.current.as_ref().map_or(0, |file| file.groups);
            let count = (group_count(staged.bytes) - hashed).min(max as u64);
            if count > room {
                break;
            }
            match self.hash(staged, hashed, count, progress) {
                Ok(groups) => {
                    if self.offered.add(staged.index, &groups) {
                        room -= count;
                        pages.push(GroupPage { index: staged.index, groups });
                    }
                }
                // The sender has started the file while it was hashed, which has truncated or replaced it.
                Err(_) if !self.offered.contains(staged.index) => {}
                Err(e) => {
                    let path = self.manifest.row(staged.index).map(EntryRow::path);
                    return Err(disk_error("read", path.map_or_else(String::new, |path| path.to_string()), &e));
                }
            }
        }
        Ok(pages)
    }

    /// Returns the number of groups that are offered and have no answer.
    pub(crate) fn unanswered_groups(&self) -> usize {
        self.offered.unanswered_groups()
    }

    /// Returns the file that has the next groups, if there is one.
    fn next_file(&mut self) -> Option<StagedFile> {
        let is_offered = |staged: &StagedFile| self.offered.contains(staged.index);
        let current = self.current.as_ref().filter(|file| file.groups < group_count(file.staged.bytes));
        if let Some(staged) = current.map(|file| file.staged).filter(is_offered) {
            return Some(staged);
        }
        self.current = None;
        while let Some(staged) = self.next.as_slice().first() {
            if is_offered(staged) {
                return Some(*staged);
            }
            self.next.next();
        }
        None
    }

    /// Hashes `count` groups of a file after the first `hashed`.
    fn hash(
        &mut self,
        staged: StagedFile,
        hashed: u64,
        count: u64,
        progress: &HashProgress,
    ) -> io::Result<Vec<GroupHash>> {
        let size = self.size(staged);
        let file = match &mut self.current {
            Some(file) => file,
            None => {
                self.next.next();
                let row = self.manifest.row(staged.index).ok_or(io::ErrorKind::NotFound)?;
                let path = row.path();
                let dir = self.files.parent_of(&path)?;
                let file = dir.open_with(path.name(), &open_options::for_reading())?.into_std();
                self.current.insert(HashedFile { staged, file, groups: 0 })
            }
        };
        file.groups += count;
        hash_groups(&file.file, size, hashed..hashed + count, progress)
    }

    /// Returns the final size of a staged file.
    fn size(&self, staged: StagedFile) -> u64 {
        self.manifest.row(staged.index).and_then(EntryRow::size).unwrap_or(0)
    }
}
