//! What a scan leaves out because the user wants it: excluded entries, files that git ignores, and links.

use std::{ffi::OsStr, path::Path};

use cap_std::fs::{Dir, Metadata};

use super::{
    ignore_rules::IgnoreRules,
    scan_options::{LinkPolicy, ScanOptions},
    shared_root::SharedRoot,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::Manifest,
    selection::PatternList,
};

/// Decides what a scan leaves out because the user wants it.
pub(super) struct EntryFilter {
    exclude: PatternList,
    ignore_rules: Option<IgnoreRules>,
    links: LinkPolicy,
    /// The number of entries that were left out.
    excluded: u64,
    /// Whether any of them was a folder, whose entries are unknown.
    has_excluded_folder: bool,
}

impl EntryFilter {
    pub(super) fn new(options: &ScanOptions) -> Self {
        Self {
            exclude: PatternList::new(options.exclude.clone()),
            ignore_rules: options.gitignore.then(IgnoreRules::new),
            links: options.links,
            excluded: 0,
            has_excluded_folder: false,
        }
    }

    /// Returns what happens to links.
    pub(super) fn links(&self) -> LinkPolicy {
        self.links
    }

    /// Returns the number of entries that were left out, without those below them.
    pub(super) fn excluded(&self) -> u64 {
        self.excluded
    }

    /// Whether to leave out a path that the user named, whose name in the share is `name`. Git's rules do not apply to
    /// it.
    pub(super) fn excludes_root(&mut self, name: &str, is_folder: bool) -> bool {
        let is_excluded = self.exclude.matches(name, is_folder);
        self.count(is_excluded, is_folder)
    }

    /// Whether to leave out the entry `name` of the latest folder that was entered, whose path in the share is
    /// `folder`.
    pub(super) fn excludes(&mut self, folder: &str, name: &OsStr, meta: &Metadata, is_folder: bool) -> bool {
        let mut is_excluded = meta.is_symlink() && self.links == LinkPolicy::Skip;
        if !self.exclude.is_empty() || self.ignore_rules.is_some() {
            let path = format!("{folder}/{}", name.to_string_lossy());
            is_excluded |= self.exclude.matches(&path, is_folder)
                || self.ignore_rules.as_ref().is_some_and(|rules| rules.ignore(&path, meta.is_dir()));
        }
        self.count(is_excluded, is_folder)
    }

    fn count(&mut self, is_excluded: bool, is_folder: bool) -> bool {
        self.excluded += u64::from(is_excluded);
        self.has_excluded_folder |= is_excluded && is_folder;
        is_excluded
    }

    /// Reads git's rules for the folder `root`, which the user named, and is `name` in the share.
    ///
    /// # Errors
    /// [`Kind::Usage`] if they exist and cannot be read.
    pub(super) fn enter_root(&mut self, root: &SharedRoot, name: &str) -> Result<()> {
        match &mut self.ignore_rules {
            Some(rules) => rules.enter_root(root.real(), Path::new(name)),
            None => Ok(()),
        }
    }

    /// Reads git's rules in a folder. `path` is its path in the share, and `local_path` is safe to print on a terminal.
    ///
    /// # Errors
    /// [`Kind::Usage`] if they exist and cannot be read.
    pub(super) fn enter(&mut self, dir: &Dir, path: &str, local_path: &str) -> Result<()> {
        match &mut self.ignore_rules {
            Some(rules) => rules.enter(dir, Path::new(path), local_path),
            None => Ok(()),
        }
    }

    /// Forgets the rules of the latest folder that was entered.
    pub(super) fn leave(&mut self) {
        if let Some(rules) = &mut self.ignore_rules {
            rules.leave();
        }
    }

    /// Checks that every pattern has matched an entry of a share that now has this manifest. A pattern may have matched
    /// inside a folder that was left out.
    ///
    /// # Errors
    /// [`Kind::Usage`], with the nearest entries.
    pub(super) fn check_matched(&self, manifest: &Manifest) -> Result<()> {
        if self.has_excluded_folder { Ok(()) } else { self.exclude.check_matched("--exclude", manifest) }
    }

    /// Returns the error for a share without any entry.
    pub(super) fn everything_excluded(&self) -> Error {
        Error::new(Kind::Usage, "--exclude leaves nothing to share").hint("pass fewer patterns, or name other paths")
    }
}
