//! The files of a share, as the sender scanned them.

use std::{collections::HashMap, fs, io, path::PathBuf, sync::Arc};

use super::{
    fingerprint::{Fingerprint, FingerprintDigest, FingerprintKey},
    scan::{FinishedScan, Scan, SkippedPath},
    scanned_root::ScannedRoot,
    shared_read::SharedReads,
    shared_root::SharedRoot,
    source_file::{SourceFile, changed, unavailable},
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Manifest, SafePath, ShareId},
};

/// The longest name of a share in bytes, as the manifest allows.
const MAX_NAME: usize = 255;

/// The result of a scan, from which the files of a share are opened.
///
/// It holds a handle to each of the first top-level folders and a fingerprint of every entry, but no handle to any
/// file. It can exist for weeks, and many downloads can read it at once. A scan that finds no change shares the
/// manifest and the fingerprints of the previous scan, so memory does not grow with the number of downloads.
#[derive(Debug)]
pub struct Source {
    manifest: Arc<Manifest>,
    /// The fingerprint of each entry.
    fingerprints: Arc<Vec<FingerprintDigest>>,
    fingerprint_key: FingerprintKey,
    roots: HashMap<String, ScannedRoot>,
    skipped: Vec<SkippedPath>,
    reads: SharedReads,
    paths: Vec<SharedRoot>,
}

impl Source {
    /// Scans files and folders. Links that the user named are followed now, and not again later. Links inside folders
    /// are shared as links, or skipped if they point outside the share. Without `name`, the share is named after the
    /// first path.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming the path: it does not exist, cannot be read, or is neither a file nor a folder; two
    /// paths have the same name; a name cannot be shared; there are too many entries.
    pub fn scan(paths: &[PathBuf], name: Option<&str>, share: ShareId) -> Result<Self> {
        let paths = paths.iter().map(|path| SharedRoot::resolve(path)).collect::<Result<Vec<_>>>()?;
        let scan = Scan::new(share, share_name(name, &paths)?)?;
        Self::scan_roots(paths, scan, SharedReads::default())
    }

    /// Scans the same paths again. Reads in progress are shared with the new source.
    ///
    /// # Errors
    /// The same as [`Source::scan`], and [`Kind::Usage`] if a path was replaced by a link.
    pub fn rescan(&self) -> Result<Self> {
        let (manifest, fingerprints) = (Arc::clone(&self.manifest), Arc::clone(&self.fingerprints));
        let scan = Scan::again(manifest, fingerprints, self.fingerprint_key.clone())?;
        Self::scan_roots(self.paths.clone(), scan, self.reads.clone())
    }

    fn scan_roots(paths: Vec<SharedRoot>, mut scan: Scan, reads: SharedReads) -> Result<Self> {
        for path in &paths {
            scan.add(path)?;
        }
        let FinishedScan { manifest, fingerprints, fingerprint_key, roots, skipped } = scan.finish()?;
        Ok(Self { manifest, fingerprints, fingerprint_key, roots, skipped, reads, paths })
    }

    /// Returns the manifest of the share.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Returns the paths that are not shared: links that point outside the share; FIFOs, sockets and devices inside
    /// folders; data that interrupted downloads have staged there.
    pub fn skipped(&self) -> &[SkippedPath] {
        &self.skipped
    }

    /// Opens file entry `index`.
    ///
    /// # Errors
    /// [`Kind::Transfer`], naming the file: it was deleted, replaced or modified since the scan, or cannot be read.
    /// Also [`Kind::Transfer`] if entry `index` is not a file.
    pub fn open(&self, index: usize) -> Result<SourceFile> {
        let row = self.manifest.row(index).filter(|row| row.is_file());
        let (Some(row), Some(&scanned)) = (row, self.fingerprints.get(index)) else {
            return Err(Error::new(Kind::Transfer, "the receiver requested a file that is not in this share"));
        };
        let path = &row.path();
        let file = self.open_path(path).map_err(|e| unavailable(path, &e))?;
        let meta = cap_std::fs::Metadata::from_file(&file).map_err(|e| unavailable(path, &e))?;
        if !meta.is_file() {
            return Err(changed(path, "was replaced by something that is not a file"));
        }
        let fingerprint = Fingerprint::of(&meta);
        if self.fingerprint_key.digest(&fingerprint) != scanned {
            return Err(changed(path, "has changed since it was shared"));
        }
        Ok(SourceFile::new(path.clone(), fingerprint, self.reads.join(path, fingerprint, file)))
    }

    fn open_path(&self, path: &SafePath) -> io::Result<fs::File> {
        let below = path.as_str().split_once('/').map(|(_, below)| below);
        self.roots.get(path.top()).ok_or(io::ErrorKind::NotFound)?.open_file(below)
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
