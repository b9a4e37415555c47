//! The limits of the messages between sender and receiver.

/// The longest body of a message in the clear, in bytes.
pub const MAX_CLEAR_BODY: u32 = 4096;

/// The most bytes of the manifest that the sender may send before the receiver has proved that it knows the code.
pub const MAX_EARLY_MANIFEST: usize = 64 * 1024;

/// Bytes of the sealed stream that may be in flight before the first [`Credit`](super::Credit).
pub const INITIAL_CREDIT: u64 = 256 * 1024;

/// The last record of a direction may exceed the credit by this many bytes, so that the end of a session never waits
/// for credit.
pub const LAST_RECORD_SLACK: u64 = 4096;

/// The most bytes of frames in a compressed record, before compression.
pub const MAX_UNPACKED: usize = 128 * 1024;

/// A compressed record contains at most this many times its own length. So a sender cannot make a receiver write for
/// hours with the bytes that one credit allows: 1 MiB of records writes at most 256 MiB.
pub const MAX_EXPANSION: usize = 256;

/// The longest text for a user in a message, in bytes.
pub const MAX_TEXT: usize = 1000;

/// The most files in one [`StagedFiles`](super::StagedFiles).
pub const MAX_STAGED_FILES: usize = 4096;

/// The number of groups in one [`StagedGroups`](super::StagedGroups). Either end hashes 128 MiB in less than 0.1 s, and
/// even a disk that reads 300 kB/s in less than ten minutes, after which the sender gives up.
pub const GROUPS_PER_PAGE: usize = 128;

/// The most groups that a receiver sends without an answer. Each end stores that many. Pages of 1 GiB are enough to
/// hash 10 GB/s at a round-trip time of 0.1 s.
pub const MAX_UNANSWERED_GROUPS: usize = 1024;
