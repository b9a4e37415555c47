//! Folders opened beneath a handle, one component at a time, never through a link.

use std::io;

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, OpenOptions};

use crate::manifest::SafePath;

/// A folder, and the handles of the chain of folders that was asked for last: files that stand together cost one
/// opening of their folders. At most as many handles as a path has components.
#[derive(Debug)]
pub(super) struct Beneath {
    root: Dir,
    chain: Vec<(Box<str>, Dir)>,
}

impl Beneath {
    pub(super) fn new(root: Dir) -> Self {
        Self { root, chain: Vec::new() }
    }

    /// The folder that holds `path`. A link in place of a folder on the way is an error.
    pub(super) fn parent(&mut self, path: &SafePath) -> io::Result<&Dir> {
        let folders = path.as_str().rsplit_once('/').map(|(folders, _)| folders);
        let mut depth = 0;
        for name in folders.into_iter().flat_map(|f| f.split('/')) {
            if self.chain.get(depth).is_none_or(|(have, _)| **have != *name) {
                self.chain.truncate(depth);
                let next = self.last(depth).open_dir_nofollow(name)?;
                self.chain.push((name.into(), next));
            }
            depth += 1;
        }
        Ok(self.last(depth))
    }

    /// The folder at `depth` of the chain; 0 is the root.
    fn last(&self, depth: usize) -> &Dir {
        match depth.checked_sub(1).and_then(|i| self.chain.get(i)) {
            Some((_, dir)) => dir,
            None => &self.root,
        }
    }
}

/// How a file that somebody else could have swapped is opened for reading: a link is not followed, a FIFO is not waited
/// for and a terminal does not become this process's own.
pub(super) fn reading() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    #[cfg(unix)]
    cap_std::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NOCTTY.bits().cast_signed());
    options
}
