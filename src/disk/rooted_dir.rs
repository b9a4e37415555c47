//! A folder below which paths are opened without following links.

use std::io;

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

use crate::manifest::SafePath;

/// A folder that opens the folders below it one component at a time, never through a link.
///
/// It caches the handles of the folders on the path that was opened last, so all files of a folder need one lookup. It
/// holds at most as many handles as a path has components.
#[derive(Debug)]
pub(super) struct RootedDir {
    root: Dir,
    open_path: Vec<(Box<str>, Dir)>,
}

impl RootedDir {
    pub(super) fn new(root: Dir) -> Self {
        Self { root, open_path: Vec::new() }
    }

    /// Returns the folder that holds `path`.
    ///
    /// # Errors
    /// Any I/O error, also if a component of the path is a link.
    pub(super) fn parent_of(&mut self, path: &SafePath) -> io::Result<&Dir> {
        let folders = path.as_str().rsplit_once('/').map(|(folders, _)| folders);
        let mut depth = 0;
        for name in folders.into_iter().flat_map(|folders| folders.split('/')) {
            if self.open_path.get(depth).is_none_or(|(open, _)| **open != *name) {
                self.open_path.truncate(depth);
                let next = self.folder_at(depth).open_dir_nofollow(name)?;
                self.open_path.push((name.into(), next));
            }
            depth += 1;
        }
        Ok(self.folder_at(depth))
    }

    /// Returns the metadata of `path` itself: a link is not followed.
    pub(super) fn metadata_of(&mut self, path: &SafePath) -> io::Result<Metadata> {
        self.parent_of(path)?.symlink_metadata(path.name())
    }

    /// Returns the folder at `depth` of the open path; 0 is the root.
    fn folder_at(&self, depth: usize) -> &Dir {
        match depth.checked_sub(1).and_then(|i| self.open_path.get(i)) {
            Some((_, dir)) => dir,
            None => &self.root,
        }
    }
}
