//! The staging of one running download: writes, verifies, names.

use std::{
    collections::HashMap,
    fs::{File, FileTimes},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    sync::Arc,
};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _, SystemTimeSpec};
use cap_std::fs::{Dir, OpenOptions};

use super::{
    beneath::Beneath,
    conflict::ConflictOutcome,
    fingerprint::system_time,
    groups::{GROUP_SIZE, GroupHash, GroupHasher},
    hash_progress::HashProgress,
    journal::{FileIdentity, GivenName},
    naming::rename_to_free,
    plan::Plan,
    refused_by_disk, shown,
    staged_files::{self, StagedFile},
    staging::{self, Staging},
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, EntryKind},
};

/// One running download. Dropped before it is published, it leaves behind what the same download can go on with.
#[derive(Debug)]
pub struct Sink {
    plan: Plan,
    current: Option<Current>,
    /// What an earlier download left, of files that have not been begun.
    parts: HashMap<usize, StagedFile>,
    /// Which entries have been begun.
    begun: Vec<bool>,
    /// Wanted files that are not finished yet.
    missing: u64,
    /// Whether files are finished that a power cut could still take.
    unsynced: bool,
    files: Beneath,
    base: Dir,
    // After every handle to something in it: Windows removes nothing that is open.
    staging: Staging,
}

/// The file that is being written.
#[derive(Debug)]
struct Current {
    index: usize,
    file: File,
    written: u64,
    hash: Hashed,
}

#[derive(Debug)]
enum Hashed {
    SoFar(Box<GroupHasher>),
    /// All of it was there before.
    Before(blake3::Hash),
}

impl Sink {
    /// Makes the staging folder, and the folders of the share in it, and hashes what is there already.
    ///
    /// # Errors
    /// [`Kind::Disk`]: another download of this share runs, something that is no folder stands in its place, or the
    /// disk refuses.
    pub fn new(plan: Plan, check: &HashProgress) -> Result<Self> {
        let (base, made) = plan.target().make()?;
        let at = plan.target().shown();
        let failed = |e: io::Error| refused_by_disk("make the staging folder in", &at, &e);
        let staging_base = base.try_clone().map_err(failed)?;
        let mut staging = Staging::open(staging_base, made, plan.manifest().share(), &at)?;
        let files = staging.files().map_err(failed)?;
        // Whatever goes wrong from here on, what an earlier download left is not lost by it.
        staging.keep(plan.has_named() || files.entries().map_err(failed)?.next().is_some());
        let parts = staged_files::find(&files, &plan, check)?;
        let mut files = Beneath::new(files);
        let entries = plan.manifest().entries().iter().enumerate();
        for (_, entry) in entries.filter(|(index, entry)| entry.kind == EntryKind::Folder && plan.wants(*index)) {
            let made = files.parent(&entry.path).and_then(|dir| dir.create_dir(entry.path.name()));
            match made {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(refused_by_disk("make the folder", &entry.path, &e));
                }
                _ => {} // what is no folder was removed
            }
        }
        let begun = vec![false; plan.manifest().entries().len()];
        let missing = plan.missing_files();
        let mut sink = Self { plan, current: None, parts, begun, missing, unsynced: false, files, base, staging };
        sink.staging.keep(!sink.parts.is_empty() || sink.plan.has_named());
        Ok(sink)
    }

    /// The files that are there in part or in full, each with the hashes of its groups, in order.
    pub fn staged_groups(&self) -> Vec<(usize, Vec<GroupHash>)> {
        let mut have: Vec<_> = self.parts.iter().map(|(index, part)| (*index, part.groups.clone())).collect();
        have.sort_unstable_by_key(|(index, _)| *index);
        have
    }

    /// Bytes of files that an earlier download has named.
    pub fn published_bytes(&self) -> u64 {
        self.plan.published_bytes()
    }

    /// Begins file entry `index` at an offset: 0, or what is there of it, or whole groups of that.
    ///
    /// # Errors
    /// [`Kind::Transfer`] where it is not a wanted file, was begun before, or another is not finished: the sender does
    /// not keep to the manifest. [`Kind::Disk`] where the disk refuses.
    pub fn start_file(&mut self, index: usize, offset: u64) -> Result<()> {
        let entry = self.plan.manifest().entries().get(index).filter(|e| e.is_file() && self.plan.wants(index));
        let Some(entry) = entry else { return Err(lie("a file that nobody asked for")) };
        if self.current.is_some() {
            return Err(lie("a file before the one before it was complete"));
        }
        if std::mem::replace(&mut self.begun[index], true) {
            return Err(lie(&format!("“{}” twice", entry.path)));
        }
        let hash = match (self.parts.remove(&index), offset) {
            (_, 0) => Hashed::SoFar(Box::default()),
            (Some(StagedFile { whole: Some(hash), .. }), offset) if entry.size() == Some(offset) => {
                Hashed::Before(hash)
            }
            (Some(StagedFile { mut groups, .. }), offset)
                if offset % GROUP_SIZE == 0
                    && offset / GROUP_SIZE <= groups.len() as u64
                    && entry.size() != Some(offset) =>
            {
                groups.truncate((offset / GROUP_SIZE) as usize);
                Hashed::SoFar(Box::new(GroupHasher::behind(groups)))
            }
            _ => return Err(lie(&format!("“{}” from a place that was not asked for", entry.path))),
        };
        let file = self.files.parent(&entry.path).and_then(|dir| {
            if offset > 0 {
                return go_on(dir, entry, offset);
            }
            match dir.remove_file(entry.path.name()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            Ok(dir.open_with(entry.path.name(), &creating(entry))?.into_std())
        });
        let file = file.map_err(|e| refused_by_disk("create", &entry.path, &e))?;
        self.current = Some(Current { index, file, written: offset, hash });
        Ok(())
    }

    /// Appends content to the file that was begun last.
    ///
    /// # Errors
    /// [`Kind::Transfer`] where this is more than the size announced, or no file was begun; [`Kind::Disk`] where the disk
    /// refuses.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        let Some(current) = &mut self.current else { return Err(lie("content of no file")) };
        let entry = &self.plan.manifest().entries()[current.index];
        current.written = current.written.saturating_add(data.len() as u64);
        if entry.size().is_some_and(|size| current.written > size) {
            return Err(lie(&format!("more of “{}” than announced", entry.path)));
        }
        current.file.write_all(data).map_err(|e| refused_by_disk("write", &entry.path, &e))?;
        if let Hashed::SoFar(hasher) = &mut current.hash {
            hasher.update(data);
        }
        if current.written >= GROUP_SIZE {
            self.staging.keep(true);
        }
        Ok(())
    }

    /// Ends the file that was begun last: checks its size and its BLAKE3, sets its time of modification.
    ///
    /// # Errors
    /// [`Kind::Transfer`] where it is shorter than announced, or no file was begun; [`Kind::Corrupt`], naming the file,
    /// where its content is not that of `hash`.
    pub fn finish_file(&mut self, hash: &[u8; 32]) -> Result<()> {
        let Some(current) = self.current.take() else { return Err(lie("the end of no file")) };
        let entry = &self.plan.manifest().entries()[current.index];
        if entry.size().is_some_and(|size| current.written != size) {
            return Err(lie(&format!("less of “{}” than announced", entry.path)));
        }
        let found = match &current.hash {
            Hashed::SoFar(hasher) => hasher.finalize(),
            Hashed::Before(hash) => *hash,
        };
        if found != blake3::Hash::from_bytes(*hash) {
            // It would be offered the next time.
            let _ = self.files.parent(&entry.path).and_then(|dir| dir.remove_file(entry.path.name()));
            return Err(Error::new(Kind::Corrupt, format!("the content of “{}” does not match its hash", entry.path))
                .hint("run the same command again"));
        }
        if let Some(time) = entry.mtime.and_then(system_time) {
            // Not every file system holds every time, and a file is whole without its own.
            let _ = current.file.set_times(FileTimes::new().set_modified(time));
        }
        self.unsynced |= !sync(&current).map_err(|e| refused_by_disk("write", &entry.path, &e))?;
        self.missing -= 1;
        self.staging.keep(true);
        Ok(())
    }

    /// Whether every wanted file is finished.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Gives everything its name, once every wanted file is finished: makes the links, then moves each top-level entry
    /// to its place, and into folders that stand already each entry that they hold. Gives the final top-level paths as
    /// the user would type them, without those that were left out.
    ///
    /// # Errors
    /// [`Kind::Transfer`] where files are missing. [`Kind::Disk`] where the disk refuses, or a name that was free no
    /// longer is; then what has its name keeps it, and the rest stays in the staging folder.
    pub fn publish(mut self) -> Result<Vec<PathBuf>> {
        if !self.is_complete() || self.current.is_some() {
            return Err(lie("the end before all files were complete"));
        }
        self.make_links()?;
        self.set_folder_times();
        let names = self.names()?;
        let failed = |e: io::Error| refused_by_disk("write to", self.plan.target().shown(), &e);
        self.staging.write_journal(self.plan.manifest(), names, !self.unsynced).map_err(failed)?;
        if self.unsynced {
            sync_disk_of(&self.base).map_err(failed)?;
        }
        let mut target = Beneath::new(self.base.try_clone().map_err(failed)?);
        let mut saved = Vec::new();
        let manifest = self.plan.manifest().clone();
        for (index, entry) in manifest.entries().iter().enumerate() {
            let fate = self.plan.fate(index);
            if matches!(fate, ConflictOutcome::New | ConflictOutcome::Replace) {
                self.name(index, entry, fate, &mut target)?;
            }
            if fate != ConflictOutcome::Skip && entry.path.depth() == 1 {
                saved.push(self.plan.target().path_of(self.plan.final_name(index, &entry.path)));
            }
        }
        sync_folder(&self.base);
        self.staging.keep(false);
        Ok(saved)
    }

    /// Removes everything that was written.
    pub fn discard(mut self) {
        self.staging.keep(false);
    }

    /// Makes the links, after all files: no file was ever written through one.
    fn make_links(&mut self) -> Result<()> {
        for (index, entry) in self.plan.manifest().entries().iter().enumerate() {
            if let EntryKind::Link { target } = &entry.kind
                && self.plan.wants(index)
            {
                self.files
                    .parent(&entry.path)
                    .and_then(|dir| cap_fs_ext::DirExt::symlink(dir, target, entry.path.name()))
                    .map_err(|e| refused_by_disk("make the link", &entry.path, &e))?;
            }
        }
        Ok(())
    }

    /// What gets its name now, and what has one already, for the journal.
    fn names(&mut self) -> Result<Vec<GivenName>> {
        let manifest = Arc::clone(self.plan.manifest());
        let mut names: Vec<GivenName> = staging::named(&self.base, &manifest).into_values().collect();
        for (index, entry) in manifest.entries().iter().enumerate() {
            if !matches!(self.plan.fate(index), ConflictOutcome::New | ConflictOutcome::Replace) {
                continue;
            }
            let staged = self.files.parent(&entry.path).and_then(|dir| dir.symlink_metadata(entry.path.name()));
            let staged = staged.map_err(|e| refused_by_disk("find", &entry.path, &e))?;
            let final_name = self.plan.final_name(index, &entry.path);
            names.extend(FileIdentity::of(&staged).map(|it| GivenName::new(index, entry.path.name(), final_name, it)));
        }
        Ok(names)
    }

    /// Sets the times of the folders that are new, innermost first: whatever comes into a folder changes its time.
    fn set_folder_times(&mut self) {
        for (index, entry) in self.plan.manifest().entries().iter().enumerate().rev() {
            if entry.kind == EntryKind::Folder
                && matches!(self.plan.fate(index), ConflictOutcome::New | ConflictOutcome::Within)
                && let Some(time) = entry.mtime.and_then(system_time)
            {
                let time = SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(time));
                // As for files: whole without it.
                let _ = self
                    .files
                    .parent(&entry.path)
                    .and_then(|dir| dir.set_symlink_times(entry.path.name(), None, Some(time)));
            }
        }
    }

    /// Moves one entry, with everything below it, to its place.
    fn name(&mut self, index: usize, entry: &Entry, fate: ConflictOutcome, target: &mut Beneath) -> Result<()> {
        let path = &entry.path;
        let from = self.files.parent(path).map_err(|e| refused_by_disk("find", path, &e))?;
        let to = target.parent(path).map_err(|e| refused_by_disk("open the folder of", path, &e))?;
        let final_name = self.plan.final_name(index, path);
        let meta = from.symlink_metadata(path.name()).map_err(|e| refused_by_disk("find", path, &e))?;
        let is_as_made = match entry.kind {
            EntryKind::File { .. } => meta.is_file(),
            EntryKind::Folder => meta.is_dir(),
            EntryKind::Link { .. } => meta.is_symlink(),
        };
        if !is_as_made {
            let message = format!("“{path}” was replaced in the staging folder by another process");
            return Err(Error::new(Kind::Disk, message).hint("choose a folder that others cannot write to"));
        }
        let renamed = match fate {
            ConflictOutcome::Replace => from.rename(path.name(), to, final_name),
            _ => rename_to_free(from, path.name(), to, final_name),
        };
        renamed.map_err(|e| {
            if e.kind() != io::ErrorKind::AlreadyExists {
                return refused_by_disk("give its name to", path, &e);
            }
            let place = match path.depth() {
                1 => shown(&self.plan.target().path_of(final_name)),
                _ => path.to_string(),
            };
            Error::new(Kind::Disk, format!("“{place}” appeared while the download was running"))
                .hint("--overwrite, --rename, --skip, or --out DIR")
        })
    }
}

/// How a file is made: it must not exist, and gets what the user's umask leaves of the usual permissions, executable
/// where the sender could execute it. Nothing else of the sender's permissions is taken.
fn creating(entry: &Entry) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).follow(FollowSymlinks::No);
    #[cfg(unix)]
    {
        let mode = if entry.mode & 0o100 != 0 { 0o777 } else { 0o666 };
        cap_std::fs::OpenOptionsExt::mode(&mut options, mode);
    }
    #[cfg(not(unix))]
    let _ = entry;
    options
}

/// Sees to it that a finished file is on the disk before it gets its name; `false` where that is left to
/// [`sync_disk_of`], which does it once for many small ones.
fn sync(current: &Current) -> io::Result<bool> {
    /// Below, waiting for the disk takes longer than writing.
    const SMALL: u64 = 1024 * 1024;
    if cfg!(any(target_os = "linux", target_os = "android")) && current.written < SMALL {
        return Ok(false);
    }
    current.file.sync_all()?;
    Ok(true)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_disk_of(dir: &Dir) -> io::Result<()> {
    Ok(rustix::fs::syncfs(opened(dir)?)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync_disk_of(_dir: &Dir) -> io::Result<()> {
    Ok(()) // every file is synced by itself
}

/// A handle that can be synced: that of a [`Dir`] only leads to the folder.
#[cfg(unix)]
fn opened(dir: &Dir) -> rustix::io::Result<rustix::fd::OwnedFd> {
    use rustix::fs::{Mode, OFlags, openat};
    openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Sees to it that new names are on the disk. Not every file system can, and the files are there in any case.
fn sync_folder(dir: &Dir) {
    #[cfg(unix)]
    let _ = opened(dir).and_then(rustix::fs::fsync);
    #[cfg(not(unix))]
    let _ = dir;
}

/// The permissions that a file gets which has others from an earlier download: executable for whoever can read it, or for
/// nobody, as the sender has it.
#[cfg(unix)]
fn correct_mode(file: &File, entry: &Entry) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let mode = file.metadata()?.mode() & 0o7777;
    let wanted = mode & 0o666 | if entry.mode & 0o100 != 0 { (mode & 0o444) >> 2 } else { 0 };
    if mode == wanted { Ok(()) } else { file.set_permissions(std::fs::Permissions::from_mode(wanted)) }
}

#[cfg(not(unix))]
fn correct_mode(_file: &File, _entry: &Entry) -> io::Result<()> {
    Ok(())
}

/// Opens a file that is there, and cuts off what is behind `offset`.
fn go_on(dir: &Dir, entry: &Entry, offset: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).follow(FollowSymlinks::No).nonblock(true);
    let mut file = dir.open_with(entry.path.name(), &options)?.into_std();
    if file.metadata()?.len() < offset {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.set_len(offset)?;
    correct_mode(&file, entry)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}

fn lie(what: &str) -> Error {
    Error::new(Kind::Transfer, format!("the sender sent {what}")).hint("ask the sender to share it again")
}
