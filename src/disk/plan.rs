//! Where a download goes, decided before the first byte.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    path::Path,
    sync::Arc,
};

use super::{
    case_collision::{Folding, find_twins},
    conflict::{ConflictOutcome, ConflictPolicy, Decider},
    refused_by_disk, space, staged_files, staging,
    target::Target,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Manifest, SafePath},
};

/// Where a download goes: every entry's fate, decided and checked before anything is written.
#[derive(Debug)]
pub struct Plan {
    manifest: Arc<Manifest>,
    target: Target,
    fates: Vec<ConflictOutcome>,
    /// Final names that are not those of the manifest, by the index of their top-level entry.
    renamed: HashMap<usize, OsString>,
    /// What is to be downloaded.
    wanted: Sum,
    /// What has its name already.
    named: Sum,
}

/// Files, and their bytes where that is known.
#[derive(Debug, Clone, Copy)]
struct Sum {
    files: u64,
    bytes: Option<u64>,
}

impl Plan {
    /// Plans a download to `out`: `None` is the current folder. A folder, or a path that ends in a separator, will hold
    /// the top-level entries; else `out` is the final name of a share of exactly one file, or a folder to be made.
    ///
    /// With [`ConflictPolicy::Overwrite`] and [`ConflictPolicy::Skip`], something that is not a folder in the place of one is an error;
    /// so is a folder in the place of a file with [`ConflictPolicy::Overwrite`]. No tree is ever deleted.
    ///
    /// # Errors
    /// [`Kind::Disk`]: the folder for it does not exist or cannot be written; it has a name that cannot be held there,
    /// or two that would be one; a name stands already; there is not enough space.
    pub fn new(manifest: Arc<Manifest>, out: Option<&Path>, clash: ConflictPolicy) -> Result<Self> {
        let (target, only_name) = Target::find(&manifest, out)?;
        space::check_writable(&target)?;
        check_names(&manifest, &target)?;
        let (fates, renamed) = Decider::new(&manifest, &target, clash, only_name)?.decide()?;
        let wanted = Sum::of(&manifest, &fates, ConflictOutcome::is_wanted);
        let named = Sum::of(&manifest, &fates, |fate| fate == ConflictOutcome::SharedRoot);
        if let Some(needed) = wanted.bytes {
            space::check_space(&target, manifest.share(), needed)?;
        }
        Ok(Self { manifest, target, fates, renamed, wanted, named })
    }

    /// Bytes of the share that an earlier download to `out` left behind, as far as their sizes tell.
    pub fn resumable_bytes(manifest: &Manifest, out: Option<&Path>) -> u64 {
        let standing = || {
            let (target, _) = Target::find(manifest, out).ok()?;
            let named = target.folder().map(|base| staging::named(base, manifest))?;
            Some(staged(&target, manifest) + staged_files::named(&named, manifest))
        };
        standing().unwrap_or(0)
    }

    /// Bytes in the staging folder that may count: they are hashed before anything is asked for.
    pub fn staged_bytes(&self) -> u64 {
        staged(&self.target, &self.manifest)
    }

    /// What the share holds.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Whether an entry will be downloaded; not where [`ConflictPolicy::Skip`] leaves it out, an earlier download has named it, or
    /// there is no such entry.
    pub fn wants(&self, index: usize) -> bool {
        self.fate(index).is_wanted()
    }

    /// The sum of the sizes of the files that are to be here in the end; `None` where one is not known yet.
    pub fn bytes(&self) -> Option<u64> {
        self.wanted.bytes?.checked_add(self.published_bytes())
    }

    /// How many files are to be here in the end.
    pub fn files(&self) -> u64 {
        self.wanted.files + self.named.files
    }

    /// Bytes of the files that an earlier download has named already.
    pub(super) fn published_bytes(&self) -> u64 {
        self.named.bytes.unwrap_or(0)
    }

    /// Whether an earlier download has named anything.
    pub(super) fn has_named(&self) -> bool {
        self.fates.contains(&ConflictOutcome::SharedRoot)
    }

    /// How many files are still to be downloaded.
    pub(super) fn missing_files(&self) -> u64 {
        self.wanted.files
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn fate(&self, index: usize) -> ConflictOutcome {
        self.fates.get(index).copied().unwrap_or(ConflictOutcome::Skip)
    }

    /// The name that an entry gets in the folder that holds it.
    pub(super) fn final_name<'a>(&'a self, index: usize, path: &'a SafePath) -> &'a OsStr {
        self.renamed.get(&index).map_or(OsStr::new(path.name()), OsString::as_os_str)
    }
}

impl Sum {
    /// Of the files with such a fate.
    fn of(manifest: &Manifest, fates: &[ConflictOutcome], counts: impl Fn(ConflictOutcome) -> bool) -> Self {
        let files = manifest.entries().iter().zip(fates).filter(|(entry, fate)| entry.is_file() && counts(**fate));
        files.fold(Self { files: 0, bytes: Some(0) }, |sum, (entry, _)| Self {
            files: sum.files + 1,
            bytes: sum.bytes.zip(entry.size()).and_then(|(sum, size)| sum.checked_add(size)),
        })
    }
}

/// Bytes that an earlier download left in the staging folder, as far as their sizes tell.
fn staged(target: &Target, manifest: &Manifest) -> u64 {
    let content = target.folder().and_then(|base| staging::content(base, manifest.share()).ok());
    content.map_or(0, |content| staged_files::standing(content, manifest))
}

/// Checks that the target can hold the names, each and beside each other.
fn check_names(manifest: &Manifest, target: &Target) -> Result<()> {
    if cfg!(windows)
        && let Some((path, why)) =
            manifest.entries().iter().find_map(|e| Some((&e.path, e.path.windows_restriction()?)))
    {
        return Err(unholdable(format!("Windows cannot hold “{path}”: {why}")));
    }
    let reserved = Folding::MOST.key(&staging::name(manifest.share()));
    if let Some(entry) = manifest.entries().iter().find(|e| Folding::MOST.key(e.path.top()) == reserved) {
        return Err(unholdable(format!("“{}” is the name of the folder that downloads are staged in", entry.path)));
    }
    if find_twins(manifest.entries(), Folding::MOST).is_none() {
        return Ok(()); // no file system takes two of these names for one
    }
    let folding = Folding::probe(target.on_its_disk()).map_err(|e| refused_by_disk("write to", target.shown(), &e))?;
    check_twins(manifest, folding, &target.shown())
}

/// Checks that no two names are one on the disk of `at`, given what it does not tell apart.
pub(super) fn check_twins(manifest: &Manifest, folding: Folding, at: &str) -> Result<()> {
    match find_twins(manifest.entries(), folding) {
        Some((one, other)) => Err(unholdable(format!("“{one}” and “{other}” are one name on the disk of {at}"))),
        None => Ok(()),
    }
}

fn unholdable(message: String) -> Error {
    Error::new(Kind::Disk, message).hint("choose another disk with --out DIR, or ask the sender to rename it")
}
