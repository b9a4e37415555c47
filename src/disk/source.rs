//! The files of a share, as the sender scanned them.

use std::{collections::HashMap, fmt, fs, io, path::PathBuf, sync::Arc};

use cap_std::fs::Metadata;

use super::{
    attributes::mtime,
    fingerprint::{DeviceAndInode, FileIdDigest, FileIdKey, Fingerprint},
    input_pipe::InputPipe,
    left_out_paths::{LeftOutPath, LeftOutPaths},
    scan::{FinishedScan, Scan},
    scan_options::{LinkPolicy, ScanOptions},
    scanned_root::ScannedRoot,
    shared_read::{SharedRead, SharedReads},
    shared_root::SharedRoot,
    source_file::{SourceError, SourceFile},
    unsized_content::UnsizedContent,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{
        Entry, EntryKind, FileFailure, MAX_TEXT_BYTES, Manifest, ManifestBuilder, ManifestHeader, SafePath, ShareId,
        ShareKind,
    },
    text::{bytes, visible},
};

/// The name of the file under which a text is saved.
const TEXT_NAME: &str = "text.txt";

/// The longest name of a share in bytes, as the manifest allows.
const MAX_NAME: usize = 255;

/// The result of a scan, from which the files of a share are opened.
///
/// It holds a handle to each of the first top-level folders and an id of every entry, but no handle to any file. It can
/// exist for weeks, and many downloads can read it at once. A scan that finds no change shares the manifest and the ids
/// of the previous scan, so memory does not grow with the number of downloads.
#[derive(Debug)]
pub struct Source {
    manifest: Arc<Manifest>,
    /// The device and inode of each entry.
    file_ids: Arc<Vec<FileIdDigest>>,
    file_id_key: FileIdKey,
    roots: HashMap<String, ScannedRoot>,
    left_out: LeftOutPaths,
    unsized_content: UnsizedContent,
    reads: SharedReads,
    paths: Vec<SharedRoot>,
    options: ScanOptions,
    /// The number of entries that the options leave out, without those below them.
    excluded: u64,
    /// The pipe, until a share takes it.
    pipe: Option<InputPipe>,
}

impl Source {
    /// Scans files and folders. Links that the user named are followed now, and not again later. Entries that cannot be
    /// shared are left out: see [`Source::left_out`]. `name` is the name of the share, and the name under which its
    /// only path is saved; without it, the share is named after the first path.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming the path: it does not exist, belongs to this tool, or is a pipe; two paths have the same
    /// name; nothing can be shared; there are too many entries; a pattern of `options` matches nothing. Also
    /// [`Kind::Usage`] if `name` cannot be the name of a file.
    pub fn scan(paths: &[PathBuf], name: Option<&str>, share: ShareId, options: ScanOptions) -> Result<Self> {
        let mut paths = paths.iter().map(|path| SharedRoot::resolve(path)).collect::<Result<Vec<_>>>()?;
        let scan = Scan::new(share, share_name(name, &paths)?, &options)?;
        if let (Some(name), [_]) = (name, &paths[..]) {
            check_file_name(name)?;
            paths = paths.into_iter().map(|path| path.renamed(name)).collect();
        }
        Self::scan_roots(paths, scan, SharedReads::default(), options)
    }

    /// Creates the source of a text, which is held in memory. `name` is the name of the file under which it is saved,
    /// [`TEXT_NAME`] by default.
    ///
    /// # Errors
    /// [`Kind::Usage`] if `name` cannot be the name of a file, or the text has more than [`MAX_TEXT_BYTES`] bytes.
    pub fn of_text(text: &str, name: Option<&str>, share: ShareId) -> Result<Self> {
        let size = text.len() as u64;
        if size > MAX_TEXT_BYTES {
            let message = format!("the text has more than {}", bytes(MAX_TEXT_BYTES));
            return Err(Error::new(Kind::Usage, message).hint("share it as a file, or pipe it into qshare send -"));
        }
        let mut source = Self::of_entry(name.unwrap_or(TEXT_NAME), Some(size), share, ShareKind::Text)?;
        source.unsized_content.add(0, text.as_bytes().into());
        Ok(source)
    }

    /// Creates the source of a pipe: a single file whose size is not known. `name` is the name under which it is saved.
    ///
    /// # Errors
    /// [`Kind::Usage`] if `name` cannot be the name of a file.
    pub fn of_pipe(pipe: InputPipe, name: &str, share: ShareId) -> Result<Self> {
        let source = Self::of_entry(name, None, share, ShareKind::Files)?;
        Ok(Self { pipe: Some(pipe), ..source })
    }

    /// Creates the source of a single file that is not on the disk.
    fn of_entry(name: &str, size: Option<u64>, share: ShareId, kind: ShareKind) -> Result<Self> {
        check_file_name(name)?;
        let invalid = |e: &dyn fmt::Display| Error::new(Kind::Usage, format!("cannot share “{}”: {e}", visible(name)));
        let path = SafePath::parse(name).map_err(|e| invalid(&e))?;
        let header = ManifestHeader { share, name: name.to_owned(), entries: 1, holes: 0, kind };
        let mut builder = ManifestBuilder::new(header).map_err(|e| invalid(&e))?;
        let file = EntryKind::File { size };
        let entry = Entry { path, kind: file, mode: 0o644, mtime: None };
        builder.push(entry).map_err(|e| invalid(&e))?;
        Ok(Self {
            manifest: Arc::new(builder.finish().map_err(|e| invalid(&e))?),
            file_ids: Arc::default(),
            file_id_key: FileIdKey::default(),
            roots: HashMap::new(),
            left_out: LeftOutPaths::default(),
            unsized_content: UnsizedContent::default(),
            reads: SharedReads::default(),
            paths: Vec::new(),
            options: ScanOptions::default(),
            excluded: 0,
            pipe: None,
        })
    }

    /// Takes the pipe, which is read once, and its path in the share. Returns `None` if this is no pipe.
    pub fn take_pipe(&mut self) -> Option<(InputPipe, SafePath)> {
        let path = self.manifest.row(0)?.path();
        self.pipe.take().map(|pipe| (pipe, path))
    }

    /// Whether the content is on the disk, so that a scan may find another state of it.
    pub fn is_on_disk(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Scans the same paths again. Reads in progress are shared with the new source.
    ///
    /// # Errors
    /// The same as [`Source::scan`], and [`Kind::Usage`] if a path was replaced by a link.
    pub fn rescan(&self) -> Result<Self> {
        let (manifest, file_ids) = (Arc::clone(&self.manifest), Arc::clone(&self.file_ids));
        let scan = Scan::again(manifest, file_ids, self.file_id_key.clone(), &self.options)?;
        Self::scan_roots(self.paths.clone(), scan, self.reads.clone(), self.options.clone())
    }

    fn scan_roots(paths: Vec<SharedRoot>, mut scan: Scan, reads: SharedReads, options: ScanOptions) -> Result<Self> {
        for path in &paths {
            scan.add(path)?;
        }
        let FinishedScan { manifest, file_ids, file_id_key, roots, left_out, excluded, unsized_content } =
            scan.finish()?;
        Ok(Self {
            manifest,
            file_ids,
            file_id_key,
            roots,
            left_out,
            unsized_content,
            reads,
            paths,
            options,
            excluded,
            pipe: None,
        })
    }

    /// Returns the manifest of the share.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Returns the paths that are left out. If there are very many, the manifest counts more of them.
    pub fn left_out(&self) -> &[LeftOutPath] {
        &self.left_out.listed
    }

    /// Returns the number of entries that the user's options leave out, without those below them.
    pub fn excluded(&self) -> u64 {
        self.excluded
    }

    /// Opens file entry `index`. Only its size and modification time decide whether it has changed since the scan. A
    /// file that has only grown is sent up to the size that was announced.
    ///
    /// # Errors
    /// [`SourceError`] if it was deleted, replaced or modified since the scan, cannot be read, or is not a file.
    pub fn open(&self, index: usize) -> std::result::Result<SourceFile, SourceError> {
        let row = self.manifest.row(index).filter(|row| row.is_file());
        let row = row.ok_or_else(|| SourceError::not_a_file(index))?;
        let entry = row.to_entry();
        let path = entry.path.clone();
        let length = entry.size().unwrap_or(0);
        if let Some(content) = self.unsized_content.get(index) {
            return Ok(SourceFile::new(path, length, SharedRead::of_content(Arc::clone(content))));
        }
        let scanned = *self.file_ids.get(index).ok_or_else(|| SourceError::not_a_file(index))?;
        let file = self.open_path(&path).map_err(|e| SourceError::unavailable(&path, &e))?;
        let meta = Metadata::from_file(&file).map_err(|e| SourceError::unavailable(&path, &e))?;
        if !meta.is_file() {
            return Err(SourceError::new(&path, FileFailure::Replaced));
        }
        let is_scanned_file = self.file_id_key.digest(DeviceAndInode::of(&meta)) == scanned;
        if self.options.links == LinkPolicy::Follow && !is_scanned_file {
            // A link may lead anywhere by now.
            return Err(SourceError::new(&path, FileFailure::Changed));
        }
        match compare(&entry, &meta, is_scanned_file) {
            Some(failure) => Err(SourceError::new(&path, failure)),
            None => {
                let read = self.reads.join(&path, Fingerprint::of(&meta), length, file);
                Ok(SourceFile::new(path, length, read))
            }
        }
    }

    fn open_path(&self, path: &SafePath) -> io::Result<fs::File> {
        let below = path.as_str().split_once('/').map(|(_, below)| below);
        self.roots.get(path.top()).ok_or(io::ErrorKind::NotFound)?.open_file(below, self.options.links)
    }
}

/// Compares a file with its entry. Returns how it has changed, if it has. Only a file that is still the scanned one can
/// have grown: another file of the same name may have any content.
fn compare(entry: &Entry, meta: &Metadata, is_scanned_file: bool) -> Option<FileFailure> {
    let announced = entry.size().unwrap_or(0);
    match meta.len() {
        size if size < announced => Some(FileFailure::Shorter),
        size if size > announced => (!is_scanned_file).then_some(FileFailure::Changed),
        0 => None, // empty then and now; some systems date such a file by the time of the look
        _ => (mtime(meta) != entry.mtime).then_some(FileFailure::Changed),
    }
}

/// Checks that a file can be saved under the name of the share.
fn check_file_name(name: &str) -> Result<()> {
    let is_path = name.contains('/').then(|| "it is a path".to_owned());
    match is_path.or_else(|| SafePath::parse(name).err().map(|e| e.to_string())) {
        None => Ok(()),
        Some(reason) => {
            let message = format!("“{}” cannot be the name of a file: {reason}", visible(name));
            Err(Error::new(Kind::Usage, message).hint("choose another name with --name"))
        }
    }
}

/// Returns the name of a share. Without `name`, it is named after its first path: `photos`, or `photos and 2 more`,
/// within the length that the manifest allows.
fn share_name(name: Option<&str>, paths: &[SharedRoot]) -> Result<String> {
    let Some(first) = paths.first() else {
        return Err(Error::new(Kind::Usage, "there is nothing to share").hint("name a file or a folder"));
    };
    if let Some(name) = name {
        return Ok(name.to_owned());
    }
    let first = first.name()?.to_string_lossy().into_owned();
    let more = if paths.len() > 1 { format!(" and {} more", paths.len() - 1) } else { String::new() };
    let mut end = first.len().min(MAX_NAME - more.len());
    while !first.is_char_boundary(end) {
        end -= 1;
    }
    Ok(format!("{}{more}", &first[..end]))
}
