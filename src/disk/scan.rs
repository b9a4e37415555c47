//! The walk through the user's paths.
//!
//! A folder is read through its handle and costs a handful of system calls, a file two (its metadata, and whether it
//! may be read): 100,000 files take a fraction of a second.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

use super::{
    beneath::reading,
    fingerprint::{DeviceAndInode, Fingerprint, mode, mtime},
    shared_root::{SharedRoot, open_named, open_named_dir, unreadable},
    shown,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{ContentCoding, Entry, EntryKind, MAX_ENTRIES, PathError, SafePath, link_stays_inside},
    text::{count, visible},
};

/// Folders named by the user that keep a handle; far below the 256 handles that a process may have on macOS.
const MOST_HANDLES: usize = 64;

/// What a scan found so far. `stamps` has one item for every item of `entries`.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) entries: Vec<Entry>,
    pub(super) stamps: Vec<Fingerprint>,
    pub(super) roots: HashMap<String, Root>,
    pub(super) skipped: Vec<SkippedPath>,
    handles: usize,
}

/// Where a top-level entry comes from.
#[derive(Debug)]
pub(super) enum Root {
    /// A file that the user named, where it really is.
    File(PathBuf),
    /// A folder that the user named.
    Folder {
        /// Where it was.
        path: PathBuf,
        /// Which folder it was.
        place: DeviceAndInode,
        /// A handle to it; only the first folders keep theirs, so that a thousand of them do not use up the handles
        /// that a process may have.
        handle: Option<Dir>,
    },
}

/// Something inside a folder that is not shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedPath {
    /// Its path, fit for a terminal.
    pub path: String,
    /// Why it was left out.
    pub reason: &'static str,
}

/// A folder on the walk: its handle, its path in the share, and the path that the user knows it by.
struct Folder<'a> {
    dir: &'a Dir,
    path: &'a SafePath,
    known_as: String,
}

/// Something in a folder.
struct FoundEntry<'a> {
    folder: &'a Folder<'a>,
    name: &'a OsStr,
    meta: Metadata,
}

impl Folder<'_> {
    fn known_as_of(&self, name: &OsStr) -> String {
        format!("{}/{}", self.known_as.trim_end_matches('/'), visible(&name.to_string_lossy()))
    }
}

impl FoundEntry<'_> {
    fn unreadable(&self, e: &io::Error) -> Error {
        unreadable(&self.folder.known_as_of(self.name), e)
    }
}

impl Scan {
    /// Adds one path of the user and everything below it.
    pub(super) fn add(&mut self, named: &SharedRoot) -> Result<()> {
        let SharedRoot { typed: path, real } = named;
        let meta = fs::symlink_metadata(real).map_err(|e| unreadable(&shown(path), &e))?;
        if meta.is_symlink() || !named.is_in_place().map_err(|e| unreadable(&shown(path), &e))? {
            let message = format!("{} has become a link", shown(path));
            return Err(Error::new(Kind::Usage, message).hint("share it again if that is right"));
        }
        let name = base_name(path)?;
        let top = parse(&name, || shown(path), SafePath::parse)?;
        if let Some(Root::File(other) | Root::Folder { path: other, .. }) = self.roots.get(top.as_str()) {
            let message = format!("{} and {} have the same name", shown(other), shown(path));
            return Err(
                Error::new(Kind::Usage, message).hint("rename one of them, or share the folder that holds both")
            );
        }
        let root = if meta.is_dir() {
            self.add_folder(named, &top)?
        } else if meta.is_file() {
            self.add_file(named, &top)?
        } else {
            let message = format!("{} is neither a file nor a folder", shown(path));
            return Err(Error::new(Kind::Usage, message).hint("only files and folders can be shared"));
        };
        self.roots.insert(top.as_str().to_owned(), root);
        Ok(())
    }

    fn add_file(&mut self, SharedRoot { typed, real }: &SharedRoot, top: &SafePath) -> Result<Root> {
        let meta =
            open_named(real).and_then(|file| Metadata::from_file(&file)).map_err(|e| unreadable(&shown(typed), &e))?;
        self.push(top.clone(), file_kind(&meta), &meta)?;
        Ok(Root::File(real.clone()))
    }

    fn add_folder(&mut self, SharedRoot { typed, real }: &SharedRoot, top: &SafePath) -> Result<Root> {
        let open = || {
            let dir = open_named_dir(real)?;
            let meta = dir.dir_metadata()?;
            Ok((dir, meta))
        };
        let (dir, meta) = open().map_err(|e| unreadable(&shown(typed), &e))?;
        self.push(top.clone(), EntryKind::Folder, &meta)?;
        self.walk(&Folder { dir: &dir, path: top, known_as: shown(typed) })?;
        self.handles += 1;
        let handle = (self.handles <= MOST_HANDLES).then_some(dir);
        Ok(Root::Folder { path: real.clone(), place: DeviceAndInode::of(&meta), handle })
    }

    /// Adds what a folder holds. Recursion ends where [`SafePath`] does: 64 levels down.
    fn walk(&mut self, folder: &Folder<'_>) -> Result<()> {
        for name in names_in(folder.dir).map_err(|e| unreadable(&folder.known_as, &e))? {
            match folder.dir.symlink_metadata(&name) {
                Ok(meta) => self.found(&FoundEntry { folder, name: &name, meta })?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {} // removed since the folder was read
                Err(e) => return Err(unreadable(&folder.known_as_of(&name), &e)),
            }
        }
        Ok(())
    }

    fn found(&mut self, found: &FoundEntry<'_>) -> Result<()> {
        let FoundEntry { folder, name, meta } = found;
        if !(meta.is_file() || meta.is_dir() || meta.is_symlink()) {
            self.skip(found, "it is neither a file nor a folder");
            return Ok(());
        }
        let path = parse(name, || folder.known_as_of(name), |name| folder.path.join(name))?;
        if meta.is_dir() {
            let dir = folder.dir.open_dir_nofollow(name).map_err(|e| found.unreadable(&e))?;
            self.push(path.clone(), EntryKind::Folder, meta)?;
            self.walk(&Folder { dir: &dir, path: &path, known_as: folder.known_as_of(name) })
        } else if meta.is_symlink() {
            let target = folder.dir.read_link_contents(name).map_err(|e| found.unreadable(&e))?;
            match target.into_os_string().into_string() {
                Ok(target) if link_stays_inside(&path, &target) => self.push(path, EntryKind::Link { target }, meta),
                _ => {
                    self.skip(found, "it is a link that leads out of the shared folder");
                    Ok(())
                }
            }
        } else {
            check_readable(found).map_err(|e| found.unreadable(&e))?;
            self.push(path, file_kind(meta), meta)
        }
    }

    fn push(&mut self, path: SafePath, kind: EntryKind, meta: &Metadata) -> Result<()> {
        if self.entries.len() as u64 == MAX_ENTRIES {
            let message = format!("this is more than {}", count(MAX_ENTRIES, "item"));
            return Err(Error::new(Kind::Usage, message).hint("share an archive of them, or fewer at once"));
        }
        self.entries.push(Entry { path, kind, mode: mode(meta), mtime: mtime(meta) });
        self.stamps.push(Fingerprint::of(meta));
        Ok(())
    }

    fn skip(&mut self, found: &FoundEntry<'_>, reason: &'static str) {
        self.skipped.push(SkippedPath { path: found.folder.known_as_of(found.name), reason });
    }
}

/// The last component of a path as the user gave it, or what `.` and `..` really are called.
pub(super) fn base_name(path: &Path) -> Result<OsString> {
    if let Some(name) = path.file_name() {
        return Ok(name.to_owned());
    }
    let real = fs::canonicalize(path).map_err(|e| unreadable(&shown(path), &e))?;
    match real.file_name() {
        Some(name) => Ok(name.to_owned()),
        None => Err(Error::new(Kind::Usage, format!("{} has no name to share it under", shown(path)))
            .hint("name the files and folders in it instead")),
    }
}

/// The path of an entry; an error that says what about its name cannot be shared.
fn parse(
    name: &OsStr,
    known_as: impl FnOnce() -> String,
    to_path: impl FnOnce(&str) -> std::result::Result<SafePath, PathError>,
) -> Result<SafePath> {
    let trouble = match name.to_str() {
        Some(name) => match to_path(name) {
            Ok(path) => return Ok(path),
            Err(e) => e.to_string(),
        },
        None => "its name is not valid UTF-8".to_owned(),
    };
    let message = format!("{} cannot be shared: {trouble}", known_as());
    Err(Error::new(Kind::Usage, message).hint("rename it, or leave it out"))
}

fn names_in(dir: &Dir) -> io::Result<Vec<OsString>> {
    let mut names = dir.entries()?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Whether the file may be read. A file of one's own needs no question beyond its permissions; for others the system
/// is asked, and only where it says no (or does not know the question) is the file opened to see.
fn check_readable(found: &FoundEntry<'_>) -> io::Result<()> {
    let FoundEntry { folder, name, .. } = found;
    #[cfg(unix)]
    {
        use cap_std::fs::MetadataExt as _;
        use rustix::fs::{Access, AtFlags, accessat};
        let is_own = found.meta.uid() == rustix::process::geteuid().as_raw();
        if (is_own && mode(&found.meta) & 0o400 != 0)
            || accessat(folder.dir, *name, Access::READ_OK, AtFlags::EACCESS).is_ok()
        {
            return Ok(());
        }
    }
    folder.dir.open_with(name, &reading()).map(drop)
}

fn file_kind(meta: &Metadata) -> EntryKind {
    EntryKind::File { size: Some(meta.len()), coding: ContentCoding::Identity }
}
