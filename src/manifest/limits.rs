//! The limits of a manifest, which both ends hold in memory.

/// The most entries. Both ends refuse a manifest with more.
pub const MAX_ENTRIES: u64 = 1_000_000;

/// The most bytes that all paths and link targets have together. A million paths of the longest kind would take 8 GB.
pub(super) const MAX_TEXT: usize = 128 * 1024 * 1024;

/// The longest name of a share in bytes, as for a file.
pub(super) const MAX_NAME: usize = 255;

/// The longest target of a link in bytes.
pub(super) const MAX_LINK_TARGET: usize = 4_000;
