//! The scan of the paths that the user shares: it lists every file, folder and link below them.
//!
//! A folder is read through its handle and costs a few system calls. A file costs two: one for its metadata and one to
//! check that it can be read. A scan of 100,000 files takes a fraction of a second.
//!
//! An entry that cannot be shared does not end the scan. It is left out and listed with its reason, so that the user
//! learns of all of them at once.

mod folder_walk;

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs, io,
    sync::Arc,
};

use cap_std::fs::{Dir, Metadata};

use super::{
    attributes::{mode, mtime},
    disk_usage::hole_bytes,
    entry_filter::EntryFilter,
    fingerprint::{DeviceAndInode, FileIdDigest, FileIdKey},
    left_out_paths::LeftOutPaths,
    own_files::OwnFiles,
    scan_options::ScanOptions,
    scanned_entries::ScannedEntries,
    scanned_root::ScannedRoot,
    shared_root::SharedRoot,
    unsized_content::{self, Probe, SizedDisks, UnsizedContent},
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, EntryKind, LeftOutReason, Manifest, PathError, SafePath, ShareId},
};

/// The maximum number of top-level folders whose handles stay open. Far below the 256 handles that a process may have
/// on macOS.
const MAX_HANDLES: usize = 64;

/// A scan in progress.
pub(super) struct Scan {
    entries: ScannedEntries,
    roots: HashMap<String, ScannedRoot>,
    left_out: LeftOutPaths,
    unsized_content: UnsizedContent,
    sized_disks: SizedDisks,
    own_files: OwnFiles,
    filter: EntryFilter,
    /// Whether this is the first scan of the share.
    is_first: bool,
    /// The folders above the present entry, for [`LinkPolicy::Follow`](super::scan_options::LinkPolicy::Follow).
    open_folders: Vec<DeviceAndInode>,
    handles: usize,
    /// The user of this process.
    #[cfg(unix)]
    user: u32,
}

/// The result of a scan.
pub(super) struct FinishedScan {
    pub(super) manifest: Arc<Manifest>,
    /// The device and inode of each entry.
    pub(super) file_ids: Arc<Vec<FileIdDigest>>,
    pub(super) file_id_key: FileIdKey,
    /// The top-level entries, by name.
    pub(super) roots: HashMap<String, ScannedRoot>,
    pub(super) left_out: LeftOutPaths,
    /// The number of entries that the user's options leave out, without those below them.
    pub(super) excluded: u64,
    pub(super) unsized_content: UnsizedContent,
}

impl Scan {
    /// Begins the first scan of a share.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the name of the share is empty or too long.
    pub(super) fn new(share: ShareId, name: String, options: &ScanOptions) -> Result<Self> {
        Ok(Self { is_first: true, ..Self::with(ScannedEntries::new(share, name)?, options) })
    }

    /// Begins another scan of a share. If it finds no change, it shares the memory of the previous scan.
    ///
    /// # Errors
    /// The errors of [`Scan::new`].
    pub(super) fn again(
        manifest: Arc<Manifest>,
        file_ids: Arc<Vec<FileIdDigest>>,
        key: FileIdKey,
        options: &ScanOptions,
    ) -> Result<Self> {
        Ok(Self::with(ScannedEntries::like(manifest, file_ids, key)?, options))
    }

    fn with(entries: ScannedEntries, options: &ScanOptions) -> Self {
        Self {
            entries,
            roots: HashMap::new(),
            left_out: LeftOutPaths::default(),
            unsized_content: UnsizedContent::default(),
            sized_disks: SizedDisks::default(),
            own_files: OwnFiles::find(&options.own_folders),
            filter: EntryFilter::new(options),
            is_first: false,
            open_folders: Vec::new(),
            handles: 0,
            #[cfg(unix)]
            user: rustix::process::geteuid().as_raw(),
        }
    }

    /// Returns the result.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a manifest cannot contain the entries, nothing can be shared, or in the first scan a pattern
    /// matches nothing.
    pub(super) fn finish(self) -> Result<FinishedScan> {
        let Self { entries, roots, left_out, unsized_content, filter, is_first, .. } = self;
        if let (true, Some(first)) = (roots.is_empty(), left_out.listed.first()) {
            return Err(Error::new(Kind::Usage, format!("cannot share {first}")).hint("share something else"));
        }
        if roots.is_empty() {
            return Err(filter.everything_excluded());
        }
        let (manifest, file_ids, file_id_key) = entries.finish(left_out.counts.clone())?;
        if is_first {
            filter.check_matched(&manifest)?;
        }
        let excluded = filter.excluded();
        Ok(FinishedScan { manifest, file_ids, file_id_key, roots, left_out, excluded, unsized_content })
    }

    /// Adds a path that the user named, and everything below it. Leaves it out if it cannot be shared.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming the path, if it is the second one of its name, was replaced by a link, or belongs to
    /// this tool.
    pub(super) fn add(&mut self, root: &SharedRoot) -> Result<()> {
        let meta = match root.metadata().and_then(|meta| Ok((meta, root.is_in_place()?))) {
            Ok((meta, true)) if !meta.is_symlink() => Metadata::from_just_metadata(meta),
            Ok(_) => {
                let message = format!("{} was replaced by a symbolic link", root.printable());
                return Err(Error::new(Kind::Usage, message).hint("share it again if that is intended"));
            }
            Err(e) => {
                self.leave_out_root(root, &e);
                return Ok(());
            }
        };
        if self.own_files.contains(&meta) || self.own_files.contains_path(root.real()) {
            let message = format!("{} holds this tool's own files, which are never shared", root.printable());
            return Err(Error::new(Kind::Usage, message).hint("share something else"));
        }
        if self.filter.excludes_root(&root.name()?.to_string_lossy(), meta.is_dir()) {
            return Ok(());
        }
        let top = match parse(&root.name()?, SafePath::parse) {
            Ok(top) => top,
            Err((reason, detail)) => {
                self.left_out.add(root.printable(), reason, detail);
                return Ok(());
            }
        };
        if let Some(other) = self.roots.get(top.as_str()) {
            let message = format!("{} and {} have the same name", other.path().printable(), root.printable());
            return Err(Error::new(Kind::Usage, message).hint("rename one of them, or share their parent folder"));
        }
        if meta.is_dir() {
            self.add_folder(root, top)
        } else if meta.is_file() {
            self.add_file(root, top)
        } else {
            self.left_out.add(root.printable(), LeftOutReason::Special, format!("it is {}", kind_of(&meta)));
            Ok(())
        }
    }

    fn add_file(&mut self, root: &SharedRoot, top: SafePath) -> Result<()> {
        let opened = root.open_file().and_then(|file| Ok((Metadata::from_file(&file)?, file)));
        let is_added = match opened {
            Ok((meta, file)) => self.push_file(top.clone(), &meta, || root.printable(), || Ok(file))?,
            Err(e) => {
                self.leave_out_root(root, &e);
                false
            }
        };
        if is_added {
            self.roots.insert(top.as_str().to_owned(), ScannedRoot::File(root.clone()));
        }
        Ok(())
    }

    fn add_folder(&mut self, root: &SharedRoot, top: SafePath) -> Result<()> {
        let opened = root.open_dir().and_then(|dir| Ok((dir.dir_metadata()?, names_in(&dir)?, dir)));
        let (meta, names, dir) = match opened {
            Ok(opened) => opened,
            Err(e) => {
                self.leave_out_root(root, &e);
                return Ok(());
            }
        };
        self.push(top.clone(), EntryKind::Folder, &meta)?;
        self.filter.enter_root(root, top.as_str())?;
        self.open_folders = vec![DeviceAndInode::of(&meta)];
        self.add_entries(&dir, names, &top, &root.printable())?;
        self.handles += 1;
        let handle = (self.handles <= MAX_HANDLES).then_some(dir);
        let scanned = ScannedRoot::Folder { path: root.clone(), id: DeviceAndInode::of(&meta), handle };
        self.roots.insert(top.as_str().to_owned(), scanned);
        Ok(())
    }

    /// Adds a file; reads it first if its size is not believed. Returns whether it was added.
    fn push_file(
        &mut self,
        path: SafePath,
        meta: &Metadata,
        local_path: impl FnOnce() -> String,
        open: impl FnOnce() -> io::Result<fs::File>,
    ) -> Result<bool> {
        if !self.sized_disks.must_read(meta) {
            return self.push(path, file_kind(meta.len()), meta).map(|()| true);
        }
        let opened = open().inspect(|file| self.sized_disks.note(meta, file));
        match opened.and_then(|file| unsized_content::probe(&file)) {
            Ok(Probe::Sized(meta)) => return self.push(path, file_kind(meta.len()), &meta).map(|()| true),
            Ok(Probe::Unsized(meta, content)) => {
                let size = content.len() as u64;
                if self.unsized_content.add(self.entries.count(), content) {
                    return self.push(path, file_kind(size), &meta).map(|()| true);
                }
                let detail = "it has no size, and too many files like it were read already";
                self.left_out.add(local_path(), LeftOutReason::Unsized, detail);
            }
            Ok(Probe::TooLong) => {
                let detail = "it has no size, and more than 1 MiB of content";
                self.left_out.add(local_path(), LeftOutReason::Unsized, detail);
            }
            Err(e) => self.leave_out_entry(local_path(), &e),
        }
        Ok(false)
    }

    fn push(&mut self, path: SafePath, kind: EntryKind, meta: &Metadata) -> Result<()> {
        let entry = Entry { path, kind, mode: mode(meta), mtime: mtime(meta) };
        self.entries.push(entry, DeviceAndInode::of(meta), hole_bytes(meta))
    }

    /// Leaves out a path that the user named and that cannot be read.
    fn leave_out_root(&mut self, root: &SharedRoot, e: &io::Error) {
        self.left_out.add(root.printable(), LeftOutReason::Unreadable, cannot_be_read(e));
    }
}

/// Converts a name to the path of an entry.
///
/// # Errors
/// The rule that the name breaks, and its description.
fn parse(
    name: &OsStr,
    to_path: impl FnOnce(&str) -> std::result::Result<SafePath, PathError>,
) -> std::result::Result<SafePath, (LeftOutReason, String)> {
    let Some(name) = name.to_str() else {
        return Err((LeftOutReason::NotUnicode, "its name is not valid UTF-8".to_owned()));
    };
    to_path(name).map_err(|e| {
        let reason = match e {
            PathError::TooLong => LeftOutReason::TooLong,
            PathError::TooDeep => LeftOutReason::TooDeep,
            PathError::Reserved => LeftOutReason::OwnFile,
            _ => LeftOutReason::Name,
        };
        (reason, e.to_string())
    })
}

fn cannot_be_read(e: &io::Error) -> String {
    format!("it cannot be read: {e}")
}

/// Returns a noun for something that is neither a file, a folder nor a link.
fn kind_of(meta: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use cap_std::fs::FileTypeExt as _;
        let kind = meta.file_type();
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    let _ = meta;
    "a device"
}

/// Returns the names in a folder, sorted.
fn names_in(dir: &Dir) -> io::Result<Vec<OsString>> {
    let mut names = dir.entries()?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

fn file_kind(size: u64) -> EntryKind {
    EntryKind::File { size: Some(size) }
}
