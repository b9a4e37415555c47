//! The folder that a running download writes into.

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    io,
    path::Path,
    time::SystemTime,
};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, DirBuilder, OpenOptions};

use super::{
    journal::{self, GivenName, JOURNAL, UNFINISHED},
    refused_by_disk,
    target::Made,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Manifest, ShareId},
};

/// The file in a staging folder that whoever writes there keeps locked.
const LOCK: &str = "lock";

/// The folder in a staging folder that holds the content.
const FILES: &str = "files";

/// How often a staging folder that vanishes while it is opened is opened again.
const MOST_TRIES: u32 = 16;

/// A staging folder that belongs to this process. When this is dropped it is removed, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Staging {
    base: Dir,
    name: String,
    folder: Option<Dir>,
    lock: Option<File>,
    keep: bool,
    // Dropped last: the folder that was made to hold the staging folder goes after it.
    _made: Option<Made>,
}

/// The name of the staging folder of a share.
pub(super) fn name(share: ShareId) -> String {
    let id = share.to_string();
    format!(".qshare-{}.part", id.get(..16).unwrap_or(&id))
}

/// The content that an earlier download of `share` left in `base`.
pub(super) fn content(base: &Dir, share: ShareId) -> io::Result<Dir> {
    base.open_dir_nofollow(name(share))?.open_dir_nofollow(FILES)
}

/// What of `manifest` has its name in `base` already, by an earlier download that was stopped while it gave names.
pub(super) fn named(base: &Dir, manifest: &Manifest) -> HashMap<usize, GivenName> {
    let opened = || open_folder(base, &name(manifest.share())).and_then(|folder| Ok((folder, base.try_clone()?)));
    opened().map_or_else(|_| HashMap::new(), |(folder, base)| journal::read(&folder, base, manifest))
}

/// Bytes on the disk that an earlier download of `share` left in `base`.
pub(super) fn left_behind(base: &Dir, share: ShareId) -> u64 {
    base.open_dir_nofollow(name(share)).map_or(0, |dir| held_below(&dir).0)
}

/// What a staging folder holds.
pub(super) struct StagingState {
    pub(super) bytes: u64,
    pub(super) files: u64,
    pub(super) running: bool,
    pub(super) modified: Option<SystemTime>,
}

/// Looks at a staging folder of this user; nothing where there is none of this name.
pub(super) fn look(base: &Dir, name: &str) -> Option<StagingState> {
    let folder = is_name(name).then(|| open_folder(base, name).ok()).flatten()?;
    let is_locked = |lock: File| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock));
    let running = match folder.symlink_metadata(LOCK) {
        Ok(meta) if meta.is_file() => is_locked(open_lock(&folder).ok()?),
        Ok(_) => return None,
        Err(_) => false, // killed before it was made, or after it was removed
    };
    let files = folder.open_dir_nofollow(FILES).ok();
    let modified = files.as_ref().unwrap_or(&folder).dir_metadata().and_then(|meta| meta.modified()).ok();
    let (bytes, count) = files.as_ref().map_or((0, 0), held_below);
    Some(StagingState { bytes, files: count, running, modified: modified.map(cap_std::time::SystemTime::into_std) })
}

/// Removes a staging folder; `false` where a download is writing there.
pub(super) fn remove(base: Dir, name: &str) -> io::Result<bool> {
    let folder = open_folder(&base, name)?;
    let lock = open_lock(&folder)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    let again = base.try_clone()?;
    let staging =
        Staging { base, name: name.to_owned(), folder: Some(folder), lock: Some(lock), keep: false, _made: None };
    staging.clear()?;
    drop(staging);
    match again.symlink_metadata(name) {
        Ok(_) => Err(io::Error::other("it holds something that no download has put there")),
        Err(_) => Ok(true),
    }
}

/// Whether it is the name of a staging folder.
fn is_name(name: &str) -> bool {
    let id = name.strip_prefix(".qshare-").and_then(|rest| rest.strip_suffix(".part"));
    id.is_some_and(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()))
}

impl Staging {
    /// Makes the staging folder of `share` in `base`, or takes over one that an earlier download left there.
    /// `shown` is `base`, fit for a terminal.
    pub(super) fn open(base: Dir, made: Option<Made>, share: ShareId, shown: &str) -> Result<Self> {
        let name = name(share);
        let failed = |e: &io::Error| refused_by_disk("make the staging folder", format!("{shown}/{name}"), e);
        for _ in 0..MOST_TRIES {
            make_folder(&base, &name).map_err(|e| failed(&e))?;
            let opened = open_folder(&base, &name).and_then(|folder| Ok((open_lock(&folder)?, folder)));
            let (lock, folder) = match opened {
                Ok(opened) => opened,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue, // its owner finished just now
                Err(e) => return Err(failed(&e)),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(busy(shown, &name)),
                // Some network file systems cannot lock at all, and a download alone there is better than none.
                Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(e)) => return Err(failed(&e)),
            }
            if is_removed(&lock).map_err(|e| failed(&e))? {
                continue;
            }
            return Ok(Self { base, name, folder: Some(folder), lock: Some(lock), keep: false, _made: made });
        }
        Err(busy(shown, &name))
    }

    /// The folder for the content, with what is there already.
    pub(super) fn files(&self) -> io::Result<Dir> {
        let folder = self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?;
        if !folder.symlink_metadata(FILES).is_ok_and(|meta| meta.is_dir()) {
            match folder.remove_file_or_symlink(FILES) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            folder.create_dir(FILES)?;
        }
        folder.open_dir_nofollow(FILES)
    }

    /// Writes down what gets its name now, before any of it does; on return that is on the disk, where `sync` says so.
    pub(super) fn write_journal(&self, manifest: &Manifest, names: Vec<GivenName>, sync: bool) -> io::Result<()> {
        journal::write(self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?, manifest, names, sync)
    }

    /// Whether it stays when this is dropped, for a download that goes on with what is there.
    pub(super) fn keep(&mut self, keep: bool) {
        self.keep = keep;
    }

    fn clear(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        for name in [FILES, UNFINISHED] {
            match remove_tree(folder, name) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // What cannot be removed is taken over by the next download of this share.
        let _ = self.clear();
        // While the lock is still held: whoever waits for this very file sees that it is gone. Windows removes no
        // file that is open, so there it goes first.
        #[cfg(windows)]
        drop(self.lock.take());
        if let Some(folder) = self.folder.take() {
            let _ = folder.remove_file(LOCK);
            let _ = folder.remove_file(JOURNAL); // last: until then a stop is gone on from
        }
        let _ = self.base.remove_dir(&self.name);
        drop(self.lock.take());
    }
}

/// Removes a file, a link, or a folder with everything in it.
pub(super) fn remove_tree(dir: &Dir, name: impl AsRef<Path>) -> io::Result<()> {
    let name = name.as_ref();
    if dir.symlink_metadata(name)?.is_dir() { dir.remove_dir_all(name) } else { dir.remove_file_or_symlink(name) }
}

fn make_folder(base: &Dir, name: &str) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    cap_std::fs::DirBuilderExt::mode(&mut builder, 0o700);
    #[cfg(not(unix))]
    builder.recursive(false);
    match base.create_dir_with(name, &builder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Opens a staging folder, which must be this user's own: in a folder that others write to, one of them could have made
/// it to look on.
fn open_folder(base: &Dir, name: &str) -> io::Result<Dir> {
    let folder = base.open_dir_nofollow(name)?;
    #[cfg(unix)]
    {
        use cap_std::fs::MetadataExt as _;
        let meta = folder.dir_metadata()?;
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
        }
        if meta.mode() & 0o077 != 0 {
            rustix::fs::chmodat(&folder, ".", rustix::fs::Mode::RWXU, rustix::fs::AtFlags::empty())?;
        }
    }
    Ok(folder)
}

fn open_lock(folder: &Dir) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).follow(FollowSymlinks::No).nonblock(true);
    #[cfg(unix)]
    cap_std::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(folder.open_with(LOCK, &options)?.into_std())
}

/// Whether the file was removed between its opening and its locking: then the lock guards nothing.
#[cfg(unix)]
fn is_removed(lock: &File) -> io::Result<bool> {
    Ok(std::os::unix::fs::MetadataExt::nlink(&lock.metadata()?) == 0)
}

#[cfg(not(unix))]
fn is_removed(_lock: &File) -> io::Result<bool> {
    Ok(false)
}

/// Bytes on the disk, and files.
fn held_below(dir: &Dir) -> (u64, u64) {
    let Ok(entries) = dir.entries() else { return (0, 0) };
    let held = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => dir.open_dir_nofollow(entry.file_name()).map_or((0, 0), |dir| held_below(&dir)),
        Ok(meta) => (on_disk(&meta), 1),
        Err(_) => (0, 0),
    });
    held.fold((0, 0), |sum: (u64, u64), one| (sum.0.saturating_add(one.0), sum.1 + one.1))
}

#[cfg(unix)]
fn on_disk(meta: &cap_std::fs::Metadata) -> u64 {
    cap_std::fs::MetadataExt::blocks(meta).saturating_mul(512)
}

#[cfg(not(unix))]
fn on_disk(meta: &cap_std::fs::Metadata) -> u64 {
    meta.len()
}

fn busy(shown: &str, name: &str) -> Error {
    Error::new(Kind::Disk, format!("another recv of this share is running in {shown}"))
        .hint(format!("wait for it to end, or choose another folder with --out DIR (it holds {name} locked)"))
}
