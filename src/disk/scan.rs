//! The scan of the paths that the user shares: it lists every file, folder and link below them.
//!
//! A folder is read through its handle and costs a few system calls. A file costs two: one for its metadata and one to
//! check that it can be read. A scan of 100,000 files takes a fraction of a second.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    io,
    sync::Arc,
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

use super::{
    attributes::{mode, mtime},
    disk_usage::hole_bytes,
    errors::unreadable,
    fingerprint::{DeviceAndInode, Fingerprint, FingerprintDigest, FingerprintKey},
    open_options,
    scanned_entries::ScannedEntries,
    scanned_root::ScannedRoot,
    shared_root::SharedRoot,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{
        ContentCoding, Entry, EntryKind, Manifest, PathError, SafePath, ShareId, is_reserved, link_stays_inside,
    },
    text::visible,
};

/// The maximum number of top-level folders whose handles stay open. Far below the 256 handles that a process may have
/// on macOS.
const MAX_HANDLES: usize = 64;

/// A scan in progress.
pub(super) struct Scan {
    entries: ScannedEntries,
    roots: HashMap<String, ScannedRoot>,
    skipped: Vec<SkippedPath>,
    handles: usize,
    /// The user of this process.
    #[cfg(unix)]
    user: u32,
}

/// The result of a scan.
pub(super) struct FinishedScan {
    pub(super) manifest: Arc<Manifest>,
    /// The fingerprint of each entry.
    pub(super) fingerprints: Arc<Vec<FingerprintDigest>>,
    pub(super) fingerprint_key: FingerprintKey,
    /// The top-level entries, by name.
    pub(super) roots: HashMap<String, ScannedRoot>,
    pub(super) skipped: Vec<SkippedPath>,
}

/// A path inside a shared folder that is not shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedPath {
    /// Its path, safe to print on a terminal.
    pub path: String,
    /// Why it is not shared.
    pub reason: &'static str,
}

/// A folder that is being scanned.
struct OpenFolder<'a> {
    dir: &'a Dir,
    /// Its path in the share.
    path: &'a SafePath,
    /// Its path on this machine, safe to print on a terminal.
    local_path: String,
}

/// A directory entry that the scan has found.
struct FoundEntry<'a> {
    folder: &'a OpenFolder<'a>,
    name: &'a OsStr,
    meta: Metadata,
}

impl OpenFolder<'_> {
    /// Returns the local path of `name` in this folder.
    fn local_path_of(&self, name: &OsStr) -> String {
        format!("{}/{}", self.local_path.trim_end_matches('/'), visible(&name.to_string_lossy()))
    }
}

impl FoundEntry<'_> {
    fn local_path(&self) -> String {
        self.folder.local_path_of(self.name)
    }

    fn unreadable(&self, e: &io::Error) -> Error {
        unreadable(&self.local_path(), e)
    }
}

impl Scan {
    /// Begins the first scan of a share.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the name of the share is empty or too long.
    pub(super) fn new(share: ShareId, name: String) -> Result<Self> {
        Ok(Self::with(ScannedEntries::new(share, name)?))
    }

    /// Begins another scan of a share. If it finds no change, it shares the memory of the previous scan.
    ///
    /// # Errors
    /// The errors of [`Scan::new`].
    pub(super) fn again(
        manifest: Arc<Manifest>,
        fingerprints: Arc<Vec<FingerprintDigest>>,
        key: FingerprintKey,
    ) -> Result<Self> {
        Ok(Self::with(ScannedEntries::like(manifest, fingerprints, key)?))
    }

    fn with(entries: ScannedEntries) -> Self {
        Self {
            entries,
            roots: HashMap::new(),
            skipped: Vec::new(),
            handles: 0,
            #[cfg(unix)]
            user: rustix::process::geteuid().as_raw(),
        }
    }

    /// Returns the result.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a manifest cannot contain the entries.
    pub(super) fn finish(self) -> Result<FinishedScan> {
        let Self { entries, roots, skipped, .. } = self;
        let (manifest, fingerprints, fingerprint_key) = entries.finish()?;
        Ok(FinishedScan { manifest, fingerprints, fingerprint_key, roots, skipped })
    }

    /// Adds a path that the user named, and everything below it.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming the path, if it or something below it cannot be shared.
    pub(super) fn add(&mut self, root: &SharedRoot) -> Result<()> {
        let meta = root.metadata().map_err(|e| unreadable(&root.printable(), &e))?;
        if meta.is_symlink() || !root.is_in_place().map_err(|e| unreadable(&root.printable(), &e))? {
            let message = format!("{} was replaced by a symbolic link", root.printable());
            return Err(Error::new(Kind::Usage, message).hint("share it again if that is intended"));
        }
        let name = root.name()?;
        let top = parse(&name, || root.printable(), SafePath::parse)?;
        if let Some(other) = self.roots.get(top.as_str()) {
            let message = format!("{} and {} have the same name", other.path().printable(), root.printable());
            return Err(Error::new(Kind::Usage, message).hint("rename one of them, or share their parent folder"));
        }
        let scanned = if meta.is_dir() {
            self.add_folder(root, &top)?
        } else if meta.is_file() {
            self.add_file(root, &top)?
        } else {
            let message = format!("{} is neither a file nor a folder", root.printable());
            return Err(Error::new(Kind::Usage, message).hint("only files and folders can be shared"));
        };
        self.roots.insert(top.as_str().to_owned(), scanned);
        Ok(())
    }

    fn add_file(&mut self, root: &SharedRoot, top: &SafePath) -> Result<ScannedRoot> {
        let meta = root.open_file().and_then(|file| Metadata::from_file(&file));
        let meta = meta.map_err(|e| unreadable(&root.printable(), &e))?;
        self.push(top.clone(), file_kind(&meta), &meta)?;
        Ok(ScannedRoot::File(root.clone()))
    }

    fn add_folder(&mut self, root: &SharedRoot, top: &SafePath) -> Result<ScannedRoot> {
        let opened = root.open_dir().and_then(|dir| Ok((dir.dir_metadata()?, dir)));
        let (meta, dir) = opened.map_err(|e| unreadable(&root.printable(), &e))?;
        self.push(top.clone(), EntryKind::Folder, &meta)?;
        self.add_entries_of(&OpenFolder { dir: &dir, path: top, local_path: root.printable() })?;
        self.handles += 1;
        let handle = (self.handles <= MAX_HANDLES).then_some(dir);
        Ok(ScannedRoot::Folder { path: root.clone(), id: DeviceAndInode::of(&meta), handle })
    }

    /// Adds all entries of a folder. [`SafePath`] limits the recursion to 64 levels.
    fn add_entries_of(&mut self, folder: &OpenFolder<'_>) -> Result<()> {
        for name in names_in(folder.dir).map_err(|e| unreadable(&folder.local_path, &e))? {
            match folder.dir.symlink_metadata(&name) {
                Ok(meta) => self.add_found(&FoundEntry { folder, name: &name, meta })?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {} // removed since the folder was read
                Err(e) => return Err(unreadable(&folder.local_path_of(&name), &e)),
            }
        }
        Ok(())
    }

    fn add_found(&mut self, found: &FoundEntry<'_>) -> Result<()> {
        let FoundEntry { folder, name, meta } = found;
        if !(meta.is_file() || meta.is_dir() || meta.is_symlink()) {
            self.skip(found, "it is neither a file nor a folder");
            return Ok(());
        }
        if name.to_str().is_some_and(is_reserved) {
            self.skip(found, "its name is reserved for downloads in progress");
            return Ok(());
        }
        let path = parse(name, || found.local_path(), |name| folder.path.join(name))?;
        if meta.is_dir() {
            let dir = folder.dir.open_dir_nofollow(name).map_err(|e| found.unreadable(&e))?;
            self.push(path.clone(), EntryKind::Folder, meta)?;
            self.add_entries_of(&OpenFolder { dir: &dir, path: &path, local_path: found.local_path() })
        } else if meta.is_symlink() {
            self.add_link(found, path)
        } else {
            self.check_readable(found).map_err(|e| found.unreadable(&e))?;
            self.push(path, file_kind(meta), meta)
        }
    }

    /// Adds a link as a link; skips it if it points outside the share.
    fn add_link(&mut self, found: &FoundEntry<'_>, path: SafePath) -> Result<()> {
        let target = found.folder.dir.read_link_contents(found.name).map_err(|e| found.unreadable(&e))?;
        match target.into_os_string().into_string() {
            Ok(target) if link_stays_inside(&path, &target) => self.push(path, EntryKind::Link { target }, &found.meta),
            _ => {
                self.skip(found, "it is a link that points outside the shared folder");
                Ok(())
            }
        }
    }

    fn push(&mut self, path: SafePath, kind: EntryKind, meta: &Metadata) -> Result<()> {
        let entry = Entry { path, kind, mode: mode(meta), mtime: mtime(meta) };
        self.entries.push(entry, &Fingerprint::of(meta), hole_bytes(meta))
    }

    /// Checks that this process can read a file. For a file that belongs to the user, the permission bits are
    /// sufficient. For other files, `faccessat` decides; if it denies access or is not supported, the file is opened.
    fn check_readable(&self, found: &FoundEntry<'_>) -> io::Result<()> {
        let FoundEntry { folder, name, .. } = found;
        #[cfg(unix)]
        {
            use cap_std::fs::MetadataExt as _;
            use rustix::fs::{Access, AtFlags, accessat};
            let is_own = found.meta.uid() == self.user;
            if (is_own && mode(&found.meta) & 0o400 != 0)
                || accessat(folder.dir, *name, Access::READ_OK, AtFlags::EACCESS).is_ok()
            {
                return Ok(());
            }
        }
        folder.dir.open_with(name, &open_options::for_reading()).map(drop)
    }

    fn skip(&mut self, found: &FoundEntry<'_>, reason: &'static str) {
        self.skipped.push(SkippedPath { path: found.local_path(), reason });
    }
}

/// Converts a name to the path of an entry.
///
/// # Errors
/// [`Kind::Usage`], naming the local path and the rule that the name breaks.
fn parse(
    name: &OsStr,
    local_path: impl FnOnce() -> String,
    to_path: impl FnOnce(&str) -> std::result::Result<SafePath, PathError>,
) -> Result<SafePath> {
    let reason = match name.to_str() {
        Some(name) => match to_path(name) {
            Ok(path) => return Ok(path),
            Err(e) => e.to_string(),
        },
        None => "its name is not valid UTF-8".to_owned(),
    };
    let message = format!("cannot share {}: {reason}", local_path());
    Err(Error::new(Kind::Usage, message).hint("rename it, or move it out of the shared folder"))
}

/// Returns the names in a folder, sorted.
fn names_in(dir: &Dir) -> io::Result<Vec<OsString>> {
    let mut names = dir.entries()?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

fn file_kind(meta: &Metadata) -> EntryKind {
    EntryKind::File { size: Some(meta.len()), coding: ContentCoding::Identity }
}
