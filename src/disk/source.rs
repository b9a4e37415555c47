//! What is shared, and the reading of its files.

use std::{collections::HashMap, fs, io, path::PathBuf, sync::Arc};

use cap_std::fs::Dir;

use super::{
    beneath::reading,
    fingerprint::{DeviceAndInode, Fingerprint},
    groups::GroupHash,
    hash_progress::HashProgress,
    scan::{Root, Scan, SkippedPath},
    shared_read::{SharedRead, SharedReads},
    shared_root::{SharedRoot, open_named, open_named_dir},
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, Manifest, ManifestBuilder, ManifestError, ManifestHeader, SafePath, ShareId},
};

/// The longest name of a share in bytes, as the manifest allows.
const LONGEST_NAME: usize = 255;

/// What is shared: the scan of the user's paths.
///
/// A handle to each of the first folders named, a stamp for every entry, no handle for any file: it may be held for
/// weeks, and read by many downloads at once.
#[derive(Debug)]
pub struct Source {
    manifest: Arc<Manifest>,
    stamps: Vec<Fingerprint>,
    roots: HashMap<String, Root>,
    skipped: Vec<SkippedPath>,
    readings: SharedReads,
    named: Vec<SharedRoot>,
}

impl Source {
    /// Scans files and folders. Links that the user named are followed once, here; links inside folders are shared as links,
    /// or left out where they lead out of the share. Without `name`, the share is named after the first path.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming the path: it does not exist, cannot be read, is neither file nor folder; two paths
    /// have one base name; a name cannot be shared; there are too many entries.
    pub fn scan(paths: &[PathBuf], name: Option<&str>, share: ShareId) -> Result<Self> {
        let named = paths.iter().map(|path| SharedRoot::find(path)).collect::<Result<Vec<_>>>()?;
        Self::scan_named(named, name, share, SharedReads::default())
    }

    /// Scans the same again, as it is now; what is being read is shared with this.
    ///
    /// # Errors
    /// As [`Source::scan`], and where a link stands in the place of what was named.
    pub fn rescan(&self, name: Option<&str>) -> Result<Self> {
        Self::scan_named(self.named.clone(), name, self.manifest.share(), self.readings.clone())
    }

    fn scan_named(named: Vec<SharedRoot>, name: Option<&str>, share: ShareId, readings: SharedReads) -> Result<Self> {
        let mut scan = Scan::default();
        for path in &named {
            scan.add(path)?;
        }
        let Some(first) = scan.entries.first() else {
            return Err(Error::new(Kind::Usage, "there is nothing to share").hint("name a file or a folder"));
        };
        let name = match name {
            Some(name) => name.to_owned(),
            None => share_name(first.path.top(), named.len()),
        };
        let manifest = manifest_of(ManifestHeader { share, name, entries: scan.entries.len() as u64 }, scan.entries)?;
        Ok(Self {
            manifest: Arc::new(manifest),
            stamps: scan.stamps,
            roots: scan.roots,
            skipped: scan.skipped,
            readings,
            named,
        })
    }

    /// What the share holds.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// What was left out and why: links out of the share; FIFOs, sockets and devices inside folders.
    pub fn skipped(&self) -> &[SkippedPath] {
        &self.skipped
    }

    /// Opens file entry `index`.
    ///
    /// # Errors
    /// [`Kind::Transfer`], naming the file: it is gone, it was replaced by something else, or it is not as it was
    /// when it was scanned. Also where `index` is not that of a file.
    pub fn open(&self, index: usize) -> Result<SourceFile> {
        let entry = self.manifest.entries().get(index).filter(|e| e.is_file());
        let (Some(entry), Some(&stamp)) = (entry, self.stamps.get(index)) else {
            return Err(Error::new(Kind::Transfer, "the receiver asked for a file that is not in this share"));
        };
        let path = entry.path.clone();
        let file = self.open_path(&path).map_err(|e| lost(&path, &e))?;
        let meta = cap_std::fs::Metadata::from_file(&file).map_err(|e| lost(&path, &e))?;
        if !meta.is_file() {
            return Err(changed(&path, "was replaced by something that is not a file"));
        }
        if Fingerprint::of(&meta) != stamp {
            return Err(changed(&path, "has changed since it was shared"));
        }
        Ok(SourceFile { reading: self.readings.join(&path, stamp, file), path, stamp, read: 0 })
    }

    fn open_path(&self, path: &SafePath) -> io::Result<fs::File> {
        match (self.roots.get(path.top()), path.as_str().split_once('/')) {
            (Some(Root::File(at)), None) => open_named(at),
            (Some(Root::Folder { handle: Some(dir), .. }), Some((_, rest))) => open_below(dir, rest),
            (Some(Root::Folder { path: at, place, handle: None }), Some((_, rest))) => {
                let dir = open_named_dir(at)?;
                if DeviceAndInode::of(&dir.dir_metadata()?) != *place {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "its folder was replaced"));
                }
                open_below(&dir, rest)
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Opens a file below a folder of the share. Links on the way cannot lead out of it, and the stamp tells whether they
/// led to another file in it.
fn open_below(dir: &Dir, rest: &str) -> io::Result<fs::File> {
    Ok(dir.open_with(rest, &reading())?.into_std())
}

/// `photos`, or `photos and 2 more`, within what the manifest allows.
fn share_name(first: &str, paths: usize) -> String {
    let more = if paths > 1 { format!(" and {} more", paths - 1) } else { String::new() };
    let mut end = first.len().min(LONGEST_NAME - more.len());
    while !first.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{more}", &first[..end])
}

fn manifest_of(head: ManifestHeader, entries: Vec<Entry>) -> Result<Manifest> {
    let build = || {
        let mut builder = ManifestBuilder::new(head)?;
        entries.into_iter().try_for_each(|entry| builder.push(entry))?;
        builder.finish()
    };
    build().map_err(|e: ManifestError| {
        let hint = if e == ManifestError::ShareName { "choose a shorter --name" } else { "share less at once" };
        Error::new(Kind::Usage, format!("this cannot be shared: {e}")).hint(hint)
    })
}

/// One file being read for one download.
#[derive(Debug)]
pub struct SourceFile {
    reading: Arc<SharedRead>,
    path: SafePath,
    stamp: Fingerprint,
    read: u64,
}

impl SourceFile {
    /// Goes on behind what somebody has already who knows these groups of it: all of the file, or those before the first
    /// that differs. Gives the offset.
    ///
    /// # Errors
    /// [`Kind::Transfer`], naming the file: it became shorter, or cannot be read.
    pub fn resume_after(&mut self, groups: &[GroupHash], check: &HashProgress) -> Result<u64> {
        self.read = self.reading.same_as(self.stamp.size(), groups, check).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => changed(&self.path, "became shorter while it was being sent"),
            _ => lost(&self.path, &e),
        })?;
        Ok(self.read)
    }

    /// Reads the next bytes. Fills `buf` as far as there are any and gives 0 only at the end; never more in all than
    /// the size that was scanned.
    ///
    /// # Errors
    /// [`Kind::Transfer`], naming the file: it became shorter, or cannot be read.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.stamp.size() - self.read).unwrap_or(usize::MAX);
        let wanted = buf.len().min(left);
        let mut filled = 0;
        while filled < wanted {
            match self.reading.read_at(self.read + filled as u64, &mut buf[filled..wanted]) {
                Ok(0) => return Err(changed(&self.path, "became shorter while it was being sent")),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(lost(&self.path, &e)),
            }
        }
        self.reading.hash(self.read, &buf[..filled]);
        self.read += filled as u64;
        Ok(filled)
    }

    /// After the last byte: checks that the file is still as it was scanned, and gives the BLAKE3 of what was read.
    ///
    /// # Errors
    /// [`Kind::Transfer`], naming the file: it changed, or was not read to its end.
    pub fn finish(self) -> Result<[u8; 32]> {
        if self.read != self.stamp.size() {
            return Err(Error::new(Kind::Transfer, format!("“{}” was not read to its end", self.path)));
        }
        let meta = cap_std::fs::Metadata::from_file(self.reading.file()).map_err(|e| lost(&self.path, &e))?;
        if Fingerprint::of(&meta) != self.stamp {
            return Err(changed(&self.path, "changed while it was being sent"));
        }
        Ok(self.reading.hash_of_all())
    }
}

fn changed(path: &SafePath, what: &str) -> Error {
    Error::new(Kind::Transfer, format!("“{path}” {what}")).hint("the sender can share it again as it is now")
}

fn lost(path: &SafePath, e: &io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => changed(path, "is gone"),
        _ => changed(path, &format!("cannot be read any more: {e}")),
    }
}
