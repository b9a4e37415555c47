//! What becomes of every entry, given what stands at the target.

use std::{
    collections::{HashMap, HashSet},
    ffi::{OsStr, OsString},
    io,
    path::Path,
};

use cap_std::fs::{Dir, Metadata};

use super::{
    beneath::Beneath, case_collision::Folding, journal::GivenName, refused_by_disk, shown, staging, target::Target,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, EntryKind, Manifest},
    text::visible,
};

/// The longest name in bytes that common file systems hold.
const LONGEST_NAME: usize = 255;

/// How many names are tried before `--rename` gives up.
const MOST_RENAMES: u32 = 9_999;

/// What to do about targets that stand already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictPolicy {
    /// Nothing is downloaded where a top-level name stands in any form.
    #[default]
    Refuse,
    /// Files and links are replaced; folders are merged file by file.
    Overwrite,
    /// A top-level entry whose name stands becomes `name (1).ext`, or the first number that is free.
    Rename,
    /// What stands is left alone; of a folder only what is missing is downloaded.
    Skip,
}

/// What becomes of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConflictOutcome {
    /// It arrives with the folder that holds it, which is new.
    Within,
    /// It gets a name that is free.
    New,
    /// It takes the place of a file, link or other thing that is no folder.
    Replace,
    /// It is a folder that stands already, and what it holds goes into it.
    Merge,
    /// It is left out.
    Skip,
    /// It has its name, or the folder that holds it has: an earlier download was stopped when it was almost done.
    SharedRoot,
}

impl ConflictOutcome {
    /// Whether it is to be downloaded.
    pub(super) fn is_wanted(self) -> bool {
        !matches!(self, Self::Skip | Self::SharedRoot)
    }
}

/// Looks at what stands at the target, entry by entry.
pub(super) struct Decider<'a> {
    manifest: &'a Manifest,
    target: &'a Target,
    clash: ConflictPolicy,
    only_name: Option<OsString>,
    /// The target folder, where it exists.
    standing: Option<Beneath>,
    /// Folders of the manifest that stand already.
    merged: HashSet<&'a str>,
    /// What has its name already.
    named: HashMap<usize, GivenName>,
    /// The folders among that, and all folders in them.
    done: HashSet<&'a str>,
    /// Keys of the top-level names that are spoken for.
    taken: HashSet<String>,
    fates: Vec<ConflictOutcome>,
    renamed: HashMap<usize, OsString>,
}

impl<'a> Decider<'a> {
    pub(super) fn new(
        manifest: &'a Manifest,
        target: &'a Target,
        clash: ConflictPolicy,
        only_name: Option<OsString>,
    ) -> Result<Self> {
        let standing = target.folder().map(Dir::try_clone).transpose();
        let standing = standing.map_err(|e| refused_by_disk("open", target.shown(), &e))?.map(Beneath::new);
        let named = target.folder().map(|base| staging::named(base, manifest)).unwrap_or_default();
        Ok(Self {
            manifest,
            target,
            clash,
            only_name,
            standing,
            merged: HashSet::new(),
            named,
            done: HashSet::new(),
            taken: HashSet::new(),
            fates: Vec::with_capacity(manifest.entries().len()),
            renamed: HashMap::new(),
        })
    }

    /// The fate of every entry, and the final names that differ from the manifest's, by the index of their entry.
    pub(super) fn decide(mut self) -> Result<(Vec<ConflictOutcome>, HashMap<usize, OsString>)> {
        if self.clash == ConflictPolicy::Rename {
            let tops = self.manifest.entries().iter().filter(|e| e.path.depth() == 1);
            self.taken = tops.map(|e| Folding::MOST.key(e.path.as_str())).collect();
        }
        for (index, entry) in self.manifest.entries().iter().enumerate() {
            let parent = entry.path.as_str().rsplit_once('/').map(|(parent, _)| parent);
            let fate = match parent {
                None => self.top_level(index, entry)?,
                Some(parent) if self.done.contains(parent) => ConflictOutcome::SharedRoot,
                Some(parent) if self.merged.contains(parent) => {
                    let name = OsStr::new(entry.path.name());
                    if self.has_name(index, entry, name).is_some() {
                        ConflictOutcome::SharedRoot
                    } else {
                        let standing = self.look(entry, name)?;
                        self.fate(entry, standing.as_ref(), &entry.path.to_string())?
                    }
                }
                Some(_) => ConflictOutcome::Within,
            };
            match fate {
                ConflictOutcome::Merge => drop(self.merged.insert(entry.path.as_str())),
                ConflictOutcome::SharedRoot => drop(self.done.insert(entry.path.as_str())),
                _ => {}
            }
            self.fates.push(fate);
        }
        Ok((self.fates, self.renamed))
    }

    /// The name that an entry has already, where it is the one that it would get.
    fn has_name(&self, index: usize, entry: &Entry, name: &OsStr) -> Option<OsString> {
        let has = self.named.get(&index)?.name(entry.path.name());
        (has == name || self.clash == ConflictPolicy::Rename).then_some(has)
    }

    fn top_level(&mut self, index: usize, entry: &Entry) -> Result<ConflictOutcome> {
        let name = self.only_name.clone().unwrap_or_else(|| OsString::from(entry.path.name()));
        if let Some(name) = self.has_name(index, entry, &name) {
            self.renamed.insert(index, name);
            return Ok(ConflictOutcome::SharedRoot);
        }
        let standing = self.look(entry, &name)?;
        if self.clash == ConflictPolicy::Rename && standing.is_some() {
            let free = self.free_name(entry, &name)?;
            self.renamed.insert(index, free);
            return Ok(ConflictOutcome::New);
        }
        let fate = self.fate(entry, standing.as_ref(), &shown(&self.target.path_of(&name)))?;
        if self.only_name.is_some() {
            self.renamed.insert(index, name);
        }
        Ok(fate)
    }

    /// What stands at the place of `entry`. The folder that would hold it exists, or it is a top-level entry.
    fn look(&mut self, entry: &Entry, name: &OsStr) -> Result<Option<Metadata>> {
        let Some(standing) = &mut self.standing else { return Ok(None) };
        match standing.parent(&entry.path).and_then(|dir| dir.symlink_metadata(name)) {
            Ok(meta) => Ok(Some(meta)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(refused_by_disk("look at", &entry.path, &e)),
        }
    }

    /// What becomes of `entry`, given what stands in its place; `place` says where, fit for a terminal.
    fn fate(&self, entry: &Entry, standing: Option<&Metadata>, place: &str) -> Result<ConflictOutcome> {
        let Some(standing) = standing else { return Ok(ConflictOutcome::New) };
        let is_folder = entry.kind == EntryKind::Folder;
        match (self.clash, is_folder, standing.is_dir()) {
            (ConflictPolicy::Refuse | ConflictPolicy::Rename, _, _) => {
                Err(Error::new(Kind::Disk, format!("{} “{place}” stands there already", what_stands(standing)))
                    .hint("--overwrite, --rename, --skip, or --out DIR"))
            }
            (ConflictPolicy::Overwrite | ConflictPolicy::Skip, true, true) => Ok(ConflictOutcome::Merge),
            (ConflictPolicy::Overwrite | ConflictPolicy::Skip, true, false) => {
                Err(in_the_way(standing, place, "a folder"))
            }
            (ConflictPolicy::Overwrite, false, true) => Err(in_the_way(standing, place, "a file")),
            (ConflictPolicy::Overwrite, false, false) => Ok(ConflictOutcome::Replace),
            (ConflictPolicy::Skip, false, _) => Ok(ConflictOutcome::Skip),
        }
    }

    /// The first `name (n).ext` that neither stands nor belongs to another entry.
    fn free_name(&mut self, entry: &Entry, name: &OsStr) -> Result<OsString> {
        for n in 1..=MOST_RENAMES {
            let candidate = numbered(name, n, entry.kind == EntryKind::Folder);
            let key = Folding::MOST.key(&candidate.to_string_lossy());
            if !self.taken.contains(&key) && self.look(entry, &candidate)?.is_none() {
                self.taken.insert(key);
                return Ok(candidate);
            }
        }
        let message =
            format!("“{}” and {MOST_RENAMES} names like it stand there already", visible(&name.to_string_lossy()));
        Err(Error::new(Kind::Disk, message).hint("choose another folder with --out DIR"))
    }
}

/// `notes.txt` becomes `notes (1).txt`, the folder `photos.old` becomes `photos.old (1)`.
fn numbered(name: &OsStr, n: u32, is_folder: bool) -> OsString {
    let path = Path::new(name);
    let (stem, extension) = match path.extension() {
        Some(extension) if !is_folder => (path.file_stem().unwrap_or(name), Some(extension)),
        _ => (name, None),
    };
    let mut suffix = OsString::from(format!(" ({n})"));
    if let Some(extension) = extension {
        suffix.push(".");
        suffix.push(extension);
    }
    let mut numbered = match stem.to_str() {
        Some(text) => OsString::from(cut(text, LONGEST_NAME.saturating_sub(suffix.len()))),
        None => stem.to_owned(),
    };
    numbered.push(suffix);
    numbered
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn what_stands(meta: &Metadata) -> &'static str {
    if meta.is_dir() {
        "the folder"
    } else if meta.is_file() {
        "the file"
    } else if meta.is_symlink() {
        "the link"
    } else {
        "the special file"
    }
}

fn in_the_way(standing: &Metadata, place: &str, wanted: &str) -> Error {
    let message = format!("{} “{place}” stands in the way of {wanted}", what_stands(standing));
    Error::new(Kind::Disk, message).hint("move it away, or choose --rename or --out DIR")
}
