//! The limits of a manifest, which both ends hold in memory.

/// The most entries. Both ends refuse a manifest with more.
pub const MAX_ENTRIES: u64 = 1_000_000;

/// The longest text of a share in bytes. The receiver holds it in memory.
pub const MAX_TEXT_BYTES: u64 = 1024 * 1024;

/// The maximum total bytes of all names and link targets: 100 for each of a million entries.
pub(super) const MAX_TEXT: usize = 96 * 1024 * 1024;

/// The maximum total bytes of all paths and link targets on the wire, where each entry has its full path.
pub(super) const MAX_PATHS: usize = 256 * 1024 * 1024;

/// The longest name of a share in bytes, as for a file.
pub(super) const MAX_NAME: usize = 255;

/// The longest target of a link in bytes.
pub(super) const MAX_LINK_TARGET: usize = 4_000;
