//! Names that some file system treats as one. Whether this one does is tried on it.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
};

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

use crate::manifest::{EntryRow, Manifest};

/// Returns the folded form of a name: names that any file system treats as equal have the same one.
///
/// It ignores case, composition (Unicode normalization), and dots and spaces at the end.
pub(super) fn fold(name: &str) -> String {
    let name = match name.trim_end_matches(['.', ' ']) {
        "" => name,
        trimmed => trimmed,
    };
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    // Normalized before folding too: U+0345 and similar characters fold differently if they are composed (Unicode 3.13,
    // D145).
    name.nfd().default_case_fold().nfc().collect()
}

/// Finds the groups of two or more entries of one folder whose names are similar. `includes` returns whether an entry
/// is to be compared. The groups and the entries in them are in order.
///
/// It uses 16 bytes of memory per entry. The hash is keyed, so a sender cannot choose names with equal hashes.
pub(super) fn similar_names(manifest: &Manifest, includes: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
    let random = RandomState::new();
    let rows = manifest.rows().filter(|row| includes(row.index()));
    let mut hashes: Vec<(u64, u32)> = rows.map(|row| (hash(row, &random), row.index() as u32)).collect();
    hashes.sort_unstable();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for equal in hashes.chunk_by(|one, other| one.0 == other.0).filter(|equal| equal.len() > 1) {
        let mut by_name: HashMap<(Option<usize>, String), Vec<usize>> = HashMap::new();
        for row in equal.iter().filter_map(|(_, index)| manifest.row(*index as usize)) {
            by_name.entry((folder_of(row), fold(row.name()))).or_default().push(row.index());
        }
        groups.extend(by_name.into_values().filter(|group| group.len() > 1));
    }
    groups.sort_unstable();
    groups
}

/// Returns a hash of the folder and the folded name of an entry. Most ASCII names need no allocation.
fn hash(row: EntryRow<'_>, random: &RandomState) -> u64 {
    let (folder, name) = (folder_of(row), row.name());
    let mut lower = [0; 255];
    match lower.get_mut(..name.len()).filter(|_| name.is_ascii() && !name.ends_with(['.', ' '])) {
        Some(folded) => {
            folded.copy_from_slice(name.as_bytes());
            folded.make_ascii_lowercase();
            random.hash_one((folder, &*folded))
        }
        None => random.hash_one((folder, fold(name).as_bytes())),
    }
}

fn folder_of(row: EntryRow<'_>) -> Option<usize> {
    row.parent().map(EntryRow::index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Entry, EntryKind, ManifestBuilder, SafePath, ShareId};

    fn groups(paths: &[&str]) -> Vec<Vec<usize>> {
        let entry =
            |p: &&str| Entry { path: SafePath::parse(p).unwrap(), kind: EntryKind::Folder, mode: 0o755, mtime: None };
        let mut builder = ManifestBuilder::open(ShareId::random(), "x".into()).unwrap();
        paths.iter().map(entry).for_each(|entry| builder.push(entry).unwrap());
        similar_names(&builder.finish().unwrap(), |_| true)
    }

    #[test]
    fn names_are_compared_within_their_folder() {
        assert_eq!(groups(&["net", "net/x", "NET", "NET/x", "net/X", "Net."]), [vec![0, 2, 5], vec![1, 4]]);
        assert!(groups(&["a", "a/x", "b", "b/X", "..."]).is_empty());
        for similar in
            [["straße", "STRASSE"], ["\u{e9}", "e\u{301}"], ["\u{e9}", "E\u{301}"], ["a", "a. ."], ["k", "K"]]
        {
            assert_eq!(groups(&similar), [vec![0, 1]], "{similar:?}");
        }
    }
}
