//! Case collisions: two names that one file system treats as equal.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _, io};

use cap_std::fs::{Dir, OpenOptions};
use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

use crate::manifest::{EntryRow, Manifest, RESERVED_PREFIX, SafePath};

/// Which differences between names a file system ignores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameFolding {
    /// It ignores case.
    pub(super) case: bool,
    /// It ignores whether a character is composed or decomposed (Unicode normalization).
    pub(super) normalization: bool,
}

impl NameFolding {
    /// Ignores every difference that any file system ignores.
    pub(super) const ALL: Self = Self { case: true, normalization: true };

    /// Returns the folded form of a name: names that the file system treats as equal have the same one.
    pub(super) fn fold(self, name: &str) -> String {
        match self {
            _ if name.is_ascii() => {
                if self.case {
                    name.to_ascii_lowercase()
                } else {
                    name.to_owned()
                }
            }
            // Normalized before folding too: U+0345 and similar characters fold differently if they are composed
            // (Unicode 3.13, D145).
            Self { case: true, normalization: true } => name.nfd().default_case_fold().nfc().collect(),
            Self { case: true, normalization: false } => name.chars().default_case_fold().collect(),
            Self { case: false, normalization: true } => name.nfc().collect(),
            Self { case: false, normalization: false } => name.to_owned(),
        }
    }

    /// Returns a hash of the folder and the folded name of an entry. ASCII names need no allocation.
    fn hash(self, row: EntryRow<'_>, random: &RandomState) -> u64 {
        let (folder, name) = (row.parent().map(EntryRow::index), row.name());
        let mut lower = [0; 255];
        match lower.get_mut(..name.len()).filter(|_| name.is_ascii()) {
            Some(folded) => {
                folded.copy_from_slice(name.as_bytes());
                if self.case {
                    folded.make_ascii_lowercase();
                }
                random.hash_one((folder, &*folded))
            }
            None => random.hash_one((folder, self.fold(name).as_bytes())),
        }
    }

    /// Finds out which differences the file system of `dir` ignores by creating temporary files.
    ///
    /// # Errors
    /// Any I/O error when they are created or removed.
    pub(super) fn probe(dir: &Dir) -> io::Result<Self> {
        let prefix = format!("{RESERVED_PREFIX}probe-{:016x}-", rand::random::<u64>());
        let case = are_equal(dir, &format!("{prefix}k"), &format!("{prefix}K"))?;
        // A file system that cannot store an é cannot store two of them either.
        let normalization = are_equal(dir, &format!("{prefix}\u{e9}"), &format!("{prefix}e\u{301}")).unwrap_or(false);
        Ok(Self { case, normalization })
    }
}

/// Whether the file system finds a file that was created as `name` under the name `other`.
fn are_equal(dir: &Dir, name: &str, other: &str) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    drop(dir.open_with(name, &options)?);
    let found = dir.symlink_metadata(other).is_ok();
    dir.remove_file(name)?;
    Ok(found)
}

/// Finds the first two entries that a file system with this folding treats as equal.
///
/// It compares the names in each folder. If two folders collide, the entries in them need no check. It uses 16 bytes of
/// memory per entry. The hash is keyed, so a sender cannot choose names with equal hashes.
pub(super) fn find_collision(manifest: &Manifest, folding: NameFolding) -> Option<(SafePath, SafePath)> {
    let random = RandomState::new();
    let mut hashes: Vec<(u64, u32)> =
        manifest.rows().map(|row| (folding.hash(row, &random), row.index() as u32)).collect();
    hashes.sort_unstable();
    let rows = hashes.windows(2).filter(|pair| pair[0].0 == pair[1].0).filter_map(|pair| {
        let (one, other) = (manifest.row(pair[0].1 as usize)?, manifest.row(pair[1].1 as usize)?);
        let same_folder = one.parent().map(EntryRow::index) == other.parent().map(EntryRow::index);
        (same_folder && folding.fold(one.name()) == folding.fold(other.name())).then_some((one, other))
    });
    let (one, other) = rows.min_by_key(|(_, other)| other.index())?;
    Some((one.path(), other.path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Entry, EntryKind, ManifestBuilder, ShareId};

    fn collision(paths: &[&str], folding: NameFolding) -> Option<(String, String)> {
        let entry =
            |p: &&str| Entry { path: SafePath::parse(p).unwrap(), kind: EntryKind::Folder, mode: 0o755, mtime: None };
        let mut builder = ManifestBuilder::open(ShareId::random(), "x".into()).unwrap();
        paths.iter().map(entry).for_each(|entry| builder.push(entry).unwrap());
        find_collision(&builder.finish().unwrap(), folding).map(|(a, b)| (a.to_string(), b.to_string()))
    }

    #[test]
    fn the_outermost_collision_is_found() {
        let found = collision(&["net", "net/x", "NET", "NET/x", "net/X"], NameFolding::ALL);
        assert_eq!(found, Some(("net".into(), "NET".into())));
        assert!(collision(&["a", "a/x", "b", "b/X"], NameFolding::ALL).is_none());
        assert!(collision(&["straße", "STRASSE"], NameFolding::ALL).is_some());
        assert!(collision(&["\u{e9}", "e\u{301}"], NameFolding::ALL).is_some());
        assert!(collision(&["\u{e9}", "E\u{301}"], NameFolding::ALL).is_some());
    }

    #[test]
    fn collisions_depend_on_the_file_system() {
        let case = NameFolding { case: true, normalization: false };
        let normalization = NameFolding { case: false, normalization: true };
        assert!(collision(&["\u{e9}", "e\u{301}"], case).is_none());
        assert!(collision(&["\u{e9}", "\u{c9}"], case).is_some());
        assert!(collision(&["\u{e9}", "\u{c9}"], normalization).is_none());
        assert!(collision(&["\u{e9}", "e\u{301}"], normalization).is_some());
        let nothing = NameFolding { case: false, normalization: false };
        assert!(collision(&["k", "K", "\u{e9}", "e\u{301}"], nothing).is_none());
    }

    #[test]
    fn a_probe_leaves_no_files() {
        let home = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(home.path(), cap_std::ambient_authority()).unwrap();
        let folding = NameFolding::probe(&dir).unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(folding, NameFolding { case: false, normalization: false });
        }
        assert_eq!(dir.entries().unwrap().count(), 0);
    }
}
