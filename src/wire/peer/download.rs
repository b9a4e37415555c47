//! The sealed messages of a download: the request, the files, the credit, and how it ends.

use serde::{Deserialize, Serialize};

use crate::{
    manifest::FileFailure,
    wire::frame::{MAY_SKIP, Message},
};

/// The type of a frame whose body is the next bytes of the file that was started last.
pub const DATA: u8 = 0x48;

/// The type of a frame that holds the other frames of its record, compressed. Its body is their total length in 4
/// bytes, at most [`MAX_UNPACKED`](super::MAX_UNPACKED), and a zstd frame (RFC 8878) that states the same length. Only
/// a [`PAD`] may follow it in the record. Compressed frames contain none of this type.
pub const COMPRESSED: u8 = 0x52;

/// The type of a frame of zeros, which hides the length of a record's content.
pub const PAD: u8 = 0x7f | MAY_SKIP;

/// Before the request: the receiver has staged these files completely or in part. A long list takes several messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFiles {
    /// The number of each entry and how many bytes of it are staged: whole groups of 1 MiB, or the whole file. At most
    /// [`MAX_STAGED_FILES`](super::MAX_STAGED_FILES), in the order in which their groups follow.
    pub files: Vec<(u32, u64)>,
}

impl Message for StagedFiles {
    const TYPE: u8 = 0x4e;
}

/// Behind the request: the next page of groups of a staged file. The files have the order of [`StagedFiles`]. The
/// receiver leaves out the rest of a file that the sender has started.
///
/// At most [`MAX_UNANSWERED_GROUPS`](super::MAX_UNANSWERED_GROUPS) are on their way. A [`GroupsEqual`] is an answer to
/// the groups that it counts, and a [`FileStart`] to all groups of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedGroups {
    /// The number of the entry.
    pub entry: u32,
    /// BLAKE3 chaining values of its next groups of 1 MiB; the BLAKE3 hash of a file of at most 1 MiB. Exactly
    /// [`GROUPS_PER_PAGE`](super::GROUPS_PER_PAGE), or the rest of what is staged of the file.
    pub groups: Vec<[u8; 32]>,
}

impl Message for StagedGroups {
    const TYPE: u8 = 0x4b;
}

/// The sender has the same content up to this group. It is still comparing, and starts the file later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsEqual {
    /// The number of the entry.
    pub entry: u32,
    /// The number of groups from the beginning of the file.
    pub groups: u64,
}

impl Message for GroupsEqual {
    const TYPE: u8 = 0x4f;
}

/// Flight 4: the receiver requests the files in these ranges of entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRequest {
    /// Half-open ranges of entry numbers, in order, neither overlapping nor adjacent.
    pub wanted: Vec<(u32, u32)>,
}

impl Message for FileRequest {
    const TYPE: u8 = 0x43;
}

/// The bytes of a file follow, in frames of type [`DATA`]. The sender chooses the order of the files: it sends a file
/// that is not staged while it compares those that are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStart {
    /// The number of the entry.
    pub entry: u32,
    /// The offset in the file at which the bytes begin: the first group that differs, or the end of what is staged.
    pub offset: u64,
}

impl Message for FileStart {
    const TYPE: u8 = 0x44;
}

/// The file is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEnd {
    /// The BLAKE3 hash of the whole file.
    pub hash: [u8; 32],
}

impl Message for FileEnd {
    const TYPE: u8 = 0x45;
}

/// The sender cannot send this file: instead of its [`FileStart`], or instead of its [`FileEnd`]. The download
/// continues with the other files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFailed {
    /// The number of the entry.
    pub entry: u32,
    /// The reason.
    pub reason: FileFailure,
}

impl Message for FileFailed {
    const TYPE: u8 = 0x50;
}

/// The receiver's credit for the sender, and its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The offset in the sender's sealed bytes up to which it may send. Never decreases.
    pub limit: u64,
    /// The offset below which all of the sender's sealed bytes have arrived.
    pub received: u64,
}

impl Message for Credit {
    const TYPE: u8 = 0x46;
}

/// The sender's acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The offset below which all of the receiver's sealed bytes have arrived.
    pub received: u64,
}

impl Message for Ack {
    const TYPE: u8 = 0x4c;
}

/// Flight 5: the receiver ends the download. Its last record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// How the download ended. Only [`DownloadOutcome::Ok`] counts as a download.
    pub outcome: DownloadOutcome,
    /// An error message for the user of the sender; empty if there was no error.
    pub message: String,
}

impl Message for Done {
    const TYPE: u8 = 0x47;
}

/// How a download ended at the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownloadOutcome {
    /// Every requested file is verified and has its final name.
    Ok,
    /// So has every requested file that the sender could send.
    Incomplete,
    /// The receiver only listed the content.
    Listed,
    /// The user declined.
    Declined,
    /// The receiver could not write: no space, no permission, or names that already exist.
    Disk,
    /// Content did not match its hash, or could not be unpacked.
    Corrupt,
    /// The user interrupted the receiver.
    Interrupted,
    /// Any other error.
    Failed,
    /// The receiver has opened another session at the same time, and uses that one.
    Redundant,
}

/// The sender acknowledges [`Done`]. Its last record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneAck {}

impl Message for DoneAck {
    const TYPE: u8 = 0x49;
}

/// The sender cannot continue. Its last record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The reason.
    pub reason: FailureReason,
    /// An error message for the user of the receiver.
    pub message: String,
}

impl Message for Failure {
    const TYPE: u8 = 0x4a;
}

/// Why a sender cannot continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureReason {
    /// The shared paths cannot be read.
    Source,
    /// All downloads that the share allows have been made or are running.
    DownloadLimitReached,
    /// The receiver violated the protocol, or requested entries that do not exist.
    Protocol,
    /// The receiver sent nothing for too long.
    ReceiverTimeout,
    /// The share is a pipe, which is read once, and another download has begun to read it.
    PipeTaken,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{golden::assert_golden, peer::limits::INITIAL_CREDIT};

    #[test]
    fn download_messages_have_their_golden_bytes() {
        assert_golden(&StagedFiles { files: vec![(1, 300)] }, "4e000000040101ac02");
        assert_golden(&StagedGroups { entry: 1, groups: vec![[8; 32]] }, &format!("4b000000220101{}", "08".repeat(32)));
        assert_golden(&GroupsEqual { entry: 1, groups: 128 }, "4f00000003018001");
        assert_golden(&FileRequest { wanted: vec![(0, 3)] }, "4300000003010003");
        assert_golden(&FileStart { entry: 200, offset: 0 }, "4400000003c80100");
        assert_golden(&FileEnd { hash: [9; 32] }, &format!("4500000020{}", "09".repeat(32)));
        assert_golden(&FileFailed { entry: 200, reason: FileFailure::Gone }, "5000000003c80102");
        assert_golden(&Credit { limit: INITIAL_CREDIT, received: 1 }, "460000000480801001");
        assert_golden(&Done { outcome: DownloadOutcome::Disk, message: "full".into() }, "4700000006040466756c6c");
        assert_golden(&DoneAck {}, "4900000000");
        assert_golden(&Ack { received: 300 }, "4c00000002ac02");
        assert_golden(&Failure { reason: FailureReason::Source, message: "gone".into() }, "4a000000060004676f6e65");
    }
}
