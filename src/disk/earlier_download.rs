//! The state that an earlier download of a share has left at its target.

use std::{collections::HashMap, path::Path};

use cap_std::fs::Dir;

use super::{
    accepted,
    journal::{self, RenameRecord},
    staged_files,
    staging_layout::{FILES, open_by_name},
    target::Target,
};
use crate::manifest::Manifest;

/// The state that an earlier download of a share has left at its target.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EarlierDownload {
    /// The bytes that it has staged or published, judging by file sizes.
    pub bytes: u64,
    /// Whether the user then accepted an offer that differs from the present one.
    pub differs: bool,
}

impl EarlierDownload {
    /// Finds the earlier download of a share to `out`. Errors are treated as no earlier download.
    pub(crate) fn find(manifest: &Manifest, out: Option<&Path>) -> Self {
        let Ok(target) = Target::resolve(manifest, out) else { return Self::default() };
        let Some(base) = target.folder() else { return Self::default() };
        let name = target.staging_name(manifest);
        let Ok(staging) = open_by_name(base, &name) else { return Self::default() };
        let published = journal::find_published(base, &name, manifest);
        let staged = cap_fs_ext::DirExt::open_dir_nofollow(&staging, FILES);
        Self {
            bytes: staged.map_or(0, |files: Dir| staged_files::staged_bytes(&files, manifest))
                + bytes_below(&published, manifest),
            differs: accepted::read(&staging).is_ok_and(|accepted| accepted.digest() != manifest.digest()),
        }
    }
}

/// Returns the bytes of the files that are published, individually or as part of a published folder.
fn bytes_below(published: &HashMap<usize, RenameRecord>, manifest: &Manifest) -> u64 {
    if published.is_empty() {
        return 0;
    }
    let mut is_published = Vec::with_capacity(manifest.len());
    let mut bytes = 0;
    for row in manifest.rows() {
        let is_below = row.parent().is_some_and(|parent| is_published[parent.index()]);
        is_published.push(is_below || published.contains_key(&row.index()));
        if is_published[row.index()] {
            bytes += row.size().unwrap_or(0);
        }
    }
    bytes
}
