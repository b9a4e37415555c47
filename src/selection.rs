//! The part of a share that the user selects with patterns.

mod nearest;
mod pattern;
mod pattern_list;

use std::collections::BTreeSet;

pub use self::{pattern::Pattern, pattern_list::PatternList};
use crate::{
    error::{Error, Kind, Result},
    manifest::Manifest,
};

/// A selection of entries: those that a pattern of `only` matches, or all if there is none, without those that a
/// pattern of `exclude` matches. A folder that matches stands for everything below it.
///
/// A folder that holds a selected entry is selected too, without the other entries in it.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The patterns of `--only`.
    pub only: Vec<Pattern>,
    /// The patterns of `--exclude`.
    pub exclude: Vec<Pattern>,
}

impl Selection {
    /// Returns the selected part of a manifest, or the manifest itself if there is no pattern.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a pattern matches nothing, with the nearest entries, or if nothing is selected.
    pub fn apply(&self, manifest: Manifest) -> Result<Manifest> {
        if self.only.is_empty() && self.exclude.is_empty() {
            return Ok(manifest);
        }
        let (mut only, mut exclude) = (PatternList::new(self.only.clone()), PatternList::new(self.exclude.clone()));
        let (mut chosen, mut excluded) = (Vec::with_capacity(manifest.len()), Vec::with_capacity(manifest.len()));
        for (row, entry) in manifest.rows().zip(manifest.entries()) {
            let parent = row.parent().map(|parent| parent.index());
            let inherits = |flags: &[bool]| parent.is_some_and(|parent| flags[parent]);
            // Every pattern is tried on every entry, to learn which of them match nothing.
            let is_chosen = only.matches(entry.path.as_str(), row.is_folder());
            let is_excluded = exclude.matches(entry.path.as_str(), row.is_folder());
            chosen.push(self.only.is_empty() || is_chosen || inherits(&chosen));
            excluded.push(is_excluded || inherits(&excluded));
        }
        only.check_matched("--only", &manifest)?;
        exclude.check_matched("--exclude", &manifest)?;
        let mut selected: Vec<bool> =
            chosen.iter().zip(&excluded).map(|(chosen, excluded)| *chosen && !excluded).collect();
        for row in manifest.rows().rev() {
            if let (true, Some(folder)) = (selected[row.index()], row.parent()) {
                selected[folder.index()] = true;
            }
        }
        if !selected.contains(&true) {
            return Err(Error::new(Kind::Usage, "--exclude leaves nothing of what is selected")
                .hint("pass fewer patterns; recv --list shows all entries"));
        }
        Ok(manifest.select(&selected, self.digest()))
    }

    /// Returns a hash of the patterns, which does not depend on their order.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for patterns in [&self.only, &self.exclude] {
            let patterns: BTreeSet<_> = patterns.iter().map(Pattern::text).collect();
            hasher.update(&(patterns.len() as u64).to_le_bytes());
            for text in patterns {
                hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use globset::GlobBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::{Entry, EntryKind, ManifestBuilder, SafePath, ShareId};

    /// Builds a manifest. Paths that end in `/` are folders; missing folders are added.
    fn manifest(paths: &[&str]) -> Manifest {
        let mut entries = BTreeMap::new();
        for path in paths {
            let name = path.trim_end_matches('/');
            for (end, _) in name.match_indices('/') {
                entries.insert(name[..end].to_owned(), true);
            }
            entries.entry(name.to_owned()).or_insert(path.ends_with('/'));
        }
        let mut builder = ManifestBuilder::open(ShareId::random(), "share".into()).unwrap();
        for (path, is_folder) in entries {
            let size = path.len() as u64;
            let kind = match is_folder {
                true => EntryKind::Folder,
                false => EntryKind::File { size: Some(size) },
            };
            builder.push(Entry { path: SafePath::parse(&path).unwrap(), kind, mode: 0o644, mtime: None }).unwrap();
        }
        builder.finish().unwrap()
    }

    fn selection(only: &[&str], exclude: &[&str]) -> Selection {
        let parse = |patterns: &[&str]| patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        Selection { only: parse(only), exclude: parse(exclude) }
    }

    fn paths(manifest: &Manifest) -> Vec<String> {
        manifest.entries().map(|entry| entry.path.into_string()).collect()
    }

    fn select(all: &[&str], only: &[&str], exclude: &[&str]) -> Result<Vec<String>> {
        selection(only, exclude).apply(manifest(all)).map(|selected| paths(&selected))
    }

    const TREE: &[&str] = &["h/2023/a.jpg", "h/2024/a.jpg", "h/2024/b.PNG", "h/2024/raw/a.jpg", "h/empty/", "a.jpg"];

    #[test]
    fn a_pattern_without_a_slash_matches_names_and_one_with_a_slash_whole_paths() {
        for (only, selected) in [
            (
                &["a.jpg"][..],
                &["a.jpg", "h", "h/2023", "h/2023/a.jpg", "h/2024", "h/2024/a.jpg", "h/2024/raw", "h/2024/raw/a.jpg"][..],
            ),
            (&["/a.jpg"], &["a.jpg"]),
            (&["h/*/a.jpg"], &["h", "h/2023", "h/2023/a.jpg", "h/2024", "h/2024/a.jpg"]),
            (&["h/2024"], &["h", "h/2024", "h/2024/a.jpg", "h/2024/b.PNG", "h/2024/raw", "h/2024/raw/a.jpg"]),
            (&["raw/", "emp?y"], &["h", "h/2024", "h/2024/raw", "h/2024/raw/a.jpg", "h/empty"]),
            (&["h/**/raw/**"], &["h", "h/2024", "h/2024/raw", "h/2024/raw/a.jpg"]),
            (&["*.{PNG,gif}"], &["h", "h/2024", "h/2024/b.PNG"]),
        ] {
            assert_eq!(select(TREE, only, &[]).unwrap(), selected, "{only:?}");
        }
    }

    #[test]
    fn exclusion_wins_and_alone_leaves_everything_else() {
        assert_eq!(select(TREE, &["2024"], &["raw", "*.PNG"]).unwrap(), ["h", "h/2024", "h/2024/a.jpg"]);
        let rest = ["a.jpg", "h", "h/2023", "h/2023/a.jpg", "h/empty"];
        assert_eq!(select(TREE, &[], &["h/2024"]).unwrap(), rest);
        let e = select(TREE, &["2023"], &["h"]).unwrap_err();
        assert_eq!((e.kind(), e.message()), (Kind::Usage, "--exclude leaves nothing of what is selected"));
    }

    #[test]
    fn a_pattern_that_matches_nothing_names_the_nearest_entries() {
        for (only, exclude, message) in [
            ("*.jpeg", "raw", "--only: “*.jpeg” matches nothing in this share; the nearest entries are a.jpg, "),
            ("B.png", "raw", "--only: “B.png” matches nothing in this share; the nearest entries are h/2024/b.PNG, "),
            ("h/2025", "raw", "--only: “h/2025” matches nothing in this share; the nearest entries are h/202"),
            ("a.jpg/", "raw", "--only: “a.jpg/” matches nothing in this share; the nearest entries are a.jpg, "),
            ("h", "Raw", "--exclude: “Raw” matches nothing in this share; the nearest entries are h/2024/raw, "),
        ] {
            let e = select(TREE, &["h", only], &[exclude]).unwrap_err();
            assert_eq!(e.kind(), Kind::Usage);
            assert!(e.message().starts_with(message), "{e}");
        }
    }

    #[test]
    fn a_selection_knows_the_numbers_of_its_entries_and_has_an_identity_of_its_own() {
        let all = manifest(TREE);
        let selected = selection(&["2024"], &["raw"]).apply(all.clone()).unwrap();
        let numbers = |m: &Manifest| (0..m.len()).map(|index| m.number(index)).collect::<Vec<_>>();
        assert_eq!(numbers(&all), (0..10).collect::<Vec<_>>());
        assert_eq!((paths(&selected).len(), numbers(&selected)), (4, vec![1, 4, 5, 6]));
        assert_eq!((selected.index_of(5), selected.index_of(2), all.index_of(10)), (Some(2), None, None));
        assert_eq!((selected.files(), selected.bytes(), selected.unselected()), (2, Some(24), 6));
        let again = selection(&["2024", "2024"], &["raw"]).apply(all.clone()).unwrap();
        let other = selection(&["2024"], &[]).apply(all.clone()).unwrap();
        assert_eq!(selected.staging_id(), again.staging_id());
        assert!(![&all, &other].iter().any(|manifest| manifest.staging_id() == selected.staging_id()));
    }

    /// Whether globset matches a pattern against a text.
    fn glob(pattern: &str, text: &str) -> bool {
        GlobBuilder::new(pattern).literal_separator(true).build().unwrap().compile_matcher().is_match(text)
    }

    /// The documented meaning of a pattern: it matches an entry if it matches it or a folder above it.
    fn model_matches(pattern: &str, path: &str, folders: &[String]) -> bool {
        let (text, only_folders) = match pattern.strip_suffix('/') {
            Some(text) => (text, true),
            None => (pattern, false),
        };
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.map(|end| &path[..end]).any(|ancestor| {
            let tested = if text.contains('/') { ancestor } else { ancestor.rsplit('/').next().unwrap() };
            (!only_folders || folders.iter().any(|folder| folder == ancestor))
                && glob(text.strip_prefix('/').unwrap_or(text), tested)
        })
    }

    proptest! {
        /// What is selected is what globset says, with the folders above it.
        #[test]
        fn a_selection_equals_its_model(
            tree in proptest::collection::btree_set("[ab.]{1,2}(/[ab.]{1,2}){0,3}/?", 1..20),
            only in proptest::collection::vec("/?[ab?*.]{1,3}(/([ab?*]{1,2}|\\*\\*)){0,2}/?", 0..3),
            exclude in proptest::collection::vec("/?[ab?*.]{1,2}(/[ab?*]{1,2})?/?", 0..3),
        ) {
            let tree: Vec<&str> = tree.iter().map(String::as_str).filter(|path| {
                path.trim_end_matches('/').split('/').all(|name| name != "." && name != "..")
            }).collect();
            let is_prefix = |path: &str| tree.iter().any(|other| other.starts_with(&format!("{path}/")));
            prop_assume!(!tree.is_empty() && tree.iter().all(|path| path.ends_with('/') || !is_prefix(path)));
            let all = manifest(&tree);
            let every: Vec<String> = paths(&all);
            let folders: Vec<String> = all.rows().filter(|row| row.is_folder()).map(|row| row.path().into_string()).collect();
            let chosen = |path: &str| {
                (only.is_empty() || only.iter().any(|pattern| model_matches(pattern, path, &folders)))
                    && !exclude.iter().any(|pattern| model_matches(pattern, path, &folders))
            };
            let holds_chosen = |path: &str| {
                every.iter().any(|other| other.starts_with(&format!("{path}/")) && chosen(other))
            };
            let expected: Vec<&String> = every.iter().filter(|path| chosen(path) || holds_chosen(path)).collect();
            let is_matched = |pattern: &String| every.iter().any(|path| model_matches(pattern, path, &folders));
            let are_matched = only.iter().chain(&exclude).all(is_matched);
            let (only, exclude): (Vec<_>, Vec<_>) =
                (only.iter().map(String::as_str).collect(), exclude.iter().map(String::as_str).collect());
            match selection(&only, &exclude).apply(all) {
                Ok(selected) => {
                    let selected = paths(&selected);
                    prop_assert_eq!(selected.iter().collect::<Vec<_>>(), expected);
                }
                Err(_) => prop_assert!(expected.is_empty() || !are_matched),
            }
        }
    }
}
