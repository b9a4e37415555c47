//! The user's options for the scan of a share.

use std::path::PathBuf;

use crate::selection::Pattern;

/// The user's options for the scan of a share. Each scan of the share uses the same ones.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// The folders of this tool, which are never shared. They may not exist.
    pub own_folders: Vec<PathBuf>,
    /// Patterns of entries that are left out, with everything below them.
    pub exclude: Vec<Pattern>,
    /// Whether to leave out what git ignores.
    pub gitignore: bool,
    /// What happens to symbolic links inside shared folders.
    pub links: LinkPolicy,
}

/// What happens to symbolic links inside shared folders. A link that the user names is always followed, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkPolicy {
    /// They are shared as links, unless they lead out of the share.
    #[default]
    Keep,
    /// They are left out.
    Skip,
    /// What they lead to is shared in their place, wherever it is.
    Follow,
}
