//! The files of a share, as the sender scanned them.

use std::{collections::HashMap, fs, io, path::PathBuf, sync::Arc};

use super::{
    fingerprint::Fingerprint,
    scan::{Scan, SkippedPath},
    scanned_root::ScannedRoot,
    shared_read::SharedReads,
    shared_root::SharedRoot,
    source_file::{SourceFile, changed, unavailable},
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, Manifest, ManifestBuilder, ManifestError, ManifestHeader, SafePath, ShareId},
};

/// The longest name of a share in bytes, as the manifest allows.
const MAX_NAME: usize = 255;

/// The result of a scan, from which the files of a share are opened.
///
/// It holds a handle to each of the first top-level folders and a fingerprint of every entry, but no handle to any
/// file. It can exist for weeks, and many downloads can read it at once.
#[derive(Debug)]
pub struct Source {
    manifest: Arc<Manifest>,
    fingerprints: Vec<Fingerprint>,
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
        Self::scan_roots(paths, name, share, SharedReads::default())
    }

    /// Scans the same paths again. Reads in progress are shared with the new source.
    ///
    /// # Errors
    /// The same as [`Source::scan`], and [`Kind::Usage`] if a path was replaced by a link.
    pub fn rescan(&self, name: Option<&str>) -> Result<Self> {
        Self::scan_roots(self.paths.clone(), name, self.manifest.share(), self.reads.clone())
    }

    fn scan_roots(paths: Vec<SharedRoot>, name: Option<&str>, share: ShareId, reads: SharedReads) -> Result<Self> {
        let mut scan = Scan::default();
        for path in &paths {
            scan.add(path)?;
        }
        let Some(first) = scan.entries.first() else {
            return Err(Error::new(Kind::Usage, "there is nothing to share").hint("name a file or a folder"));
        };
        let name = match name {
            Some(name) => name.to_owned(),
            None => default_name(first.path.top(), paths.len()),
        };
        let manifest =
            build_manifest(ManifestHeader { share, name, entries: scan.entries.len() as u64 }, scan.entries)?;
        Ok(Self {
            manifest: Arc::new(manifest),
            fingerprints: scan.fingerprints,
            roots: scan.roots,
            skipped: scan.skipped,
            reads,
            paths,
        })
    }

    /// Returns the manifest of the share.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Returns the paths that are not shared: links that point outside the share; FIFOs, sockets and devices inside
    /// folders; what interrupted downloads have staged there.
    pub fn skipped(&self) -> &[SkippedPath] {
        &self.skipped
    }

    /// Opens file entry `index`.
    ///
    /// # Errors
    /// [`Kind::Transfer`], naming the file: it was deleted, replaced or modified since the scan, or cannot be read.
    /// Also [`Kind::Transfer`] if entry `index` is not a file.
    pub fn open(&self, index: usize) -> Result<SourceFile> {
        let entry = self.manifest.entries().get(index).filter(|entry| entry.is_file());
        let (Some(entry), Some(&fingerprint)) = (entry, self.fingerprints.get(index)) else {
            return Err(Error::new(Kind::Transfer, "the receiver requested a file that is not in this share"));
        };
        let path = &entry.path;
        let file = self.open_path(path).map_err(|e| unavailable(path, &e))?;
        let meta = cap_std::fs::Metadata::from_file(&file).map_err(|e| unavailable(path, &e))?;
        if !meta.is_file() {
            return Err(changed(path, "was replaced by something that is not a file"));
        }
        if Fingerprint::of(&meta) != fingerprint {
            return Err(changed(path, "has changed since it was shared"));
        }
        Ok(SourceFile::new(path.clone(), fingerprint, self.reads.join(path, fingerprint, file)))
    }

    fn open_path(&self, path: &SafePath) -> io::Result<fs::File> {
        let below = path.as_str().split_once('/').map(|(_, below)| below);
        self.roots.get(path.top()).ok_or(io::ErrorKind::NotFound)?.open_file(below)
    }
}

/// Names a share after its first path: `photos`, or `photos and 2 more`, within the length that the manifest allows.
fn default_name(first: &str, paths: usize) -> String {
    let more = if paths > 1 { format!(" and {} more", paths - 1) } else { String::new() };
    let mut end = first.len().min(MAX_NAME - more.len());
    while !first.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{more}", &first[..end])
}

fn build_manifest(head: ManifestHeader, entries: Vec<Entry>) -> Result<Manifest> {
    let build = || {
        let mut builder = ManifestBuilder::new(head)?;
        entries.into_iter().try_for_each(|entry| builder.push(entry))?;
        builder.finish()
    };
    build().map_err(|e: ManifestError| {
        let hint = if e == ManifestError::ShareName {
            "choose a shorter name with --name"
        } else {
            "share fewer files at once"
        };
        Error::new(Kind::Usage, format!("cannot share this: {e}")).hint(hint)
    })
}
