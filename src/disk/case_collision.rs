//! Names that the target file system takes for one.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _, io};

use cap_std::fs::{Dir, OpenOptions};
use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

use crate::manifest::{Entry, SafePath};

/// What a file system does not tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folding {
    /// Upper and lower case.
    pub(super) case: bool,
    /// Composed and decomposed characters.
    pub(super) form: bool,
}

impl Folding {
    /// As little as any file system tells apart.
    pub(super) const MOST: Self = Self { case: true, form: true };

    /// What all names that this folding takes for one have in common.
    pub(super) fn key(self, name: &str) -> String {
        match self {
            Self { case: _, form: _ } if name.is_ascii() => {
                if self.case {
                    name.to_ascii_lowercase()
                } else {
                    name.to_owned()
                }
            }
            // Normalised before folding too: U+0345 and its kind fold differently composed (Unicode 3.13, D145).
            Self { case: true, form: true } => name.nfd().default_case_fold().nfc().collect(),
            Self { case: true, form: false } => name.chars().default_case_fold().collect(),
            Self { case: false, form: true } => name.nfc().collect(),
            Self { case: false, form: false } => name.to_owned(),
        }
    }

    /// Tries out what the file system of `dir` does not tell apart, with a file that is gone afterwards.
    pub(super) fn probe(dir: &Dir) -> io::Result<Self> {
        let prefix = format!(".qshare-probe-{:016x}-", rand::random::<u64>());
        let case = finds(dir, &format!("{prefix}k"), &format!("{prefix}K"))?;
        // A file system that cannot hold an é cannot hold two of them either.
        let form = finds(dir, &format!("{prefix}\u{e9}"), &format!("{prefix}e\u{301}")).unwrap_or(false);
        Ok(Self { case, form })
    }
}

/// Whether a file made as `name` is found as `other`.
fn finds(dir: &Dir, name: &str, other: &str) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    drop(dir.open_with(name, &options)?);
    let found = dir.symlink_metadata(other).is_ok();
    dir.remove_file(name)?;
    Ok(found)
}

/// The first two entries that a file system with this folding takes for one.
///
/// Whole paths are compared: where two paths fold into one, the entries of the same parent that do so are listed
/// before what they hold. Costs 16 bytes an entry; the hash is keyed, so nobody can make names that share one.
pub(super) fn find_twins(entries: &[Entry], folding: Folding) -> Option<(&SafePath, &SafePath)> {
    let random = RandomState::new();
    let key = |index: usize| folding.key(entries[index].path.as_str());
    let mut hashes: Vec<(u64, usize)> = (0..entries.len()).map(|index| (random.hash_one(key(index)), index)).collect();
    hashes.sort_unstable();
    let (first, second) = hashes
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0 && key(pair[0].1) == key(pair[1].1))
        .map(|pair| (pair[0].1, pair[1].1))
        .min_by_key(|(_, second)| *second)?;
    Some((&entries[first].path, &entries[second].path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::EntryKind;

    fn twins(paths: &[&str], folding: Folding) -> Option<(String, String)> {
        let entry =
            |p: &&str| Entry { path: SafePath::parse(p).unwrap(), kind: EntryKind::Folder, mode: 0o755, mtime: None };
        let entries: Vec<Entry> = paths.iter().map(entry).collect();
        find_twins(&entries, folding).map(|(a, b)| (a.to_string(), b.to_string()))
    }

    #[test]
    fn twins_are_found_and_the_outermost_is_named() {
        let found = twins(&["net", "net/x", "NET", "NET/x", "net/X"], Folding::MOST);
        assert_eq!(found, Some(("net".into(), "NET".into())));
        assert!(twins(&["a", "a/x", "b", "b/X"], Folding::MOST).is_none());
        assert!(twins(&["straße", "STRASSE"], Folding::MOST).is_some());
        assert!(twins(&["\u{e9}", "e\u{301}"], Folding::MOST).is_some());
        assert!(twins(&["\u{e9}", "E\u{301}"], Folding::MOST).is_some());
    }

    #[test]
    fn a_file_system_that_tells_them_apart_has_no_twins() {
        let only_case = Folding { case: true, form: false };
        let only_form = Folding { case: false, form: true };
        assert!(twins(&["\u{e9}", "e\u{301}"], only_case).is_none());
        assert!(twins(&["\u{e9}", "\u{c9}"], only_case).is_some());
        assert!(twins(&["\u{e9}", "\u{c9}"], only_form).is_none());
        assert!(twins(&["\u{e9}", "e\u{301}"], only_form).is_some());
        assert!(twins(&["k", "K", "\u{e9}", "e\u{301}"], Folding { case: false, form: false }).is_none());
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(home.path(), cap_std::ambient_authority()).unwrap();
        let folding = Folding::probe(&dir).unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(folding, Folding { case: false, form: false });
        }
        assert_eq!(dir.entries().unwrap().count(), 0);
    }
}
