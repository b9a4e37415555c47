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

/// The longest text for a user in a message, in bytes.
pub const MAX_TEXT: usize = 1000;

/// The most groups in one [`StagedGroups`](super::StagedGroups).
pub const MAX_GROUPS: usize = 1024;
