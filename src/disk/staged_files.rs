//! What an earlier download of the same share left in the staging folder.
//!
//! The folder itself is the record: a file that is there in full, or its first groups, is what the receiver says it has.
//! Nothing else is believed: everything that is no file or folder of this download is removed, and a power cut, or
//! somebody who changed a file, is found out when the sender compares the hashes of the groups.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

use super::{
    beneath::{Beneath, reading},
    groups::{GROUP_SIZE, GroupHash, GroupHasher},
    hash_progress::HashProgress,
    journal::GivenName,
    plan::Plan,
    refused_by_disk,
    staging::remove_tree,
};
use crate::{
    error::Result,
    manifest::{Entry, EntryKind, Manifest, SafePath},
};

/// What is there of a file: all of it, or some whole groups.
#[derive(Debug)]
pub(super) struct StagedFile {
    /// The hashes of its groups.
    pub(super) groups: Vec<GroupHash>,
    /// The hash of the file, where all of it is there.
    pub(super) whole: Option<blake3::Hash>,
}

/// How many bytes of a file of this length count, of one that is to have `size`: all of it or whole groups.
fn counts(length: u64, size: u64) -> u64 {
    if length == size { size } else { length.min(size) / GROUP_SIZE * GROUP_SIZE }
}

/// Bytes of the files of a manifest that stand below `files` and may count.
pub(super) fn standing(files: Dir, manifest: &Manifest) -> u64 {
    let mut files = Beneath::new(files);
    let standing = manifest.entries().iter().filter(|entry| entry.is_file()).map(|entry| {
        let meta = files.parent(&entry.path).and_then(|dir| dir.symlink_metadata(entry.path.name()));
        meta.ok().filter(is_ours).zip(entry.size()).map_or(0, |(meta, size)| counts(meta.len(), size))
    });
    standing.sum()
}

/// Bytes of the files of a manifest that have their names already, or are in folders that have.
pub(super) fn named(named: &HashMap<usize, GivenName>, manifest: &Manifest) -> u64 {
    let mut folders = HashSet::new();
    let bytes = manifest.entries().iter().enumerate().map(|(index, entry)| {
        let parent = entry.path.as_str().rsplit_once('/').map(|(parent, _)| parent);
        if !named.contains_key(&index) && !parent.is_some_and(|parent| folders.contains(parent)) {
            return 0;
        }
        folders.insert(entry.path.as_str());
        entry.size().unwrap_or(0)
    });
    bytes.sum()
}

/// Removes from `files` what is no part of the planned download, and hashes what is.
pub(super) fn find(files: &Dir, plan: &Plan, check: &HashProgress) -> Result<HashMap<usize, StagedFile>> {
    let entries = plan.manifest().entries();
    let by_path: HashMap<&str, (usize, &Entry)> = entries
        .iter()
        .enumerate()
        .filter(|(index, entry)| entry.kind == EntryKind::Folder || (entry.is_file() && plan.wants(*index)))
        .map(|(index, entry)| (entry.path.as_str(), (index, entry)))
        .collect();
    let mut found = Vec::new();
    purge(files, "", &by_path, &mut found).map_err(|e| refused_by_disk("look into", "the staging folder", &e))?;
    found.sort_unstable();
    let mut beneath = Beneath::new(files.try_clone().map_err(|e| refused_by_disk("open", "the staging folder", &e))?);
    let mut parts = HashMap::new();
    for index in found {
        let Some(entry) = entries.get(index) else { continue };
        let part = hash(&mut beneath, &entry.path, entry.size(), check);
        if let Some(part) = part.map_err(|e| refused_by_disk("read", &entry.path, &e))? {
            parts.insert(index, part);
        }
    }
    Ok(parts)
}

/// Removes what does not belong below `dir`, and collects the files that do.
fn purge(dir: &Dir, above: &str, wanted: &HashMap<&str, (usize, &Entry)>, found: &mut Vec<usize>) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in dir.entries()? {
        names.push(entry?.file_name());
    }
    for name in names {
        let meta = dir.symlink_metadata(&name)?;
        let path = name.to_str().map(|name| if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") });
        match path.as_deref().and_then(|path| wanted.get(path).map(|(index, entry)| (path, *index, *entry))) {
            Some((path, _, entry)) if entry.kind == EntryKind::Folder && meta.is_dir() => {
                purge(&dir.open_dir_nofollow(&name)?, path, wanted, found)?;
            }
            Some((_, index, entry)) if entry.is_file() && is_ours(&meta) => found.push(index),
            _ => remove_tree(dir, &name)?,
        }
    }
    Ok(())
}

/// Whether it is a file, and has no other name elsewhere.
fn is_ours(meta: &Metadata) -> bool {
    #[cfg(unix)]
    let alone = cap_std::fs::MetadataExt::nlink(meta) == 1;
    #[cfg(not(unix))]
    let alone = true;
    meta.is_file() && alone
}

fn hash(
    files: &mut Beneath,
    path: &SafePath,
    size: Option<u64>,
    check: &HashProgress,
) -> io::Result<Option<StagedFile>> {
    let file = files.parent(path)?.open_with(path.name(), &reading())?.into_std();
    let Some(size) = size else { return Ok(None) };
    let bytes = counts(file.metadata()?.len(), size);
    let mut hasher = GroupHasher::default();
    hasher.read(&file, bytes, check)?;
    let whole = (bytes == size).then(|| hasher.finalize());
    Ok((bytes > 0).then(|| StagedFile { groups: hasher.groups(), whole }))
}
