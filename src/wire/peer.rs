//! The messages between sender and receiver.
//!
//! A download is a sequence of flights over one bridged stream:
//!
//! | flight | from | in the clear | sealed |
//! |---|---|---|---|
//! | 1 | receiver | [`Hello`] | |
//! | 2 | sender | [`HelloReply`], [`Confirm`] | [`ResumptionGrant`], [`ManifestStart`], [`LeftOutEntries`], [`ManifestPart`]; padded |
//! | 3 | receiver | [`Confirm`] | |
//! | | sender | | [`ManifestPart`] until a long manifest is complete |
//! | 4 | receiver | | [`StagedFiles`], [`FileRequest`], then [`StagedGroups`] in pages |
//! | | sender | | [`FileStart`], data and [`FileEnd`] for each file, or [`FileFailed`]; [`GroupsEqual`] between any two of these |
//! | 5 | receiver | | [`Done`] |
//! | | sender | | [`DoneAck`] |
//!
//! - The sealed messages of flight 2 take at most [`MAX_EARLY_MANIFEST`] bytes and are padded to a power of two.
//! - [`Processing`] in the clear may precede flight 2: the sender is at work on it.
//! - [`Credit`] flows from receiver to sender during the whole session, [`Ack`] from sender to receiver.
//! - The sender may compress the frames of a record with content: the record then consists of one [`COMPRESSED`] frame.
//! - A sender that cannot continue ends its direction with a [`Failure`] instead of a [`DoneAck`].
//! - An [`Alert`] in the clear, instead of flight 2 or in the place of flight 3, ends the handshake. It is only a hint:
//!   anyone between the two ends can write one.
//! - Instead of flight 1, the receiver may send an [`AttachRequest`] and the sender an [`AttachReply`]: the stream then
//!   continues an established session.
//!
//! Frame types: 0x31 to 0x37 in the clear; 0x41 to 0x52 and [`PAD`] sealed. The messages are grouped by file:
//! `handshake` (flights 1 to 3), `attach`, `manifest`, `download` (flights 4 and 5), and the `limits` of all.

mod attach;
mod download;
mod handshake;
mod limits;
mod manifest;

pub use self::{
    attach::{AttachReply, AttachRequest},
    download::{
        Ack, COMPRESSED, Credit, DATA, Done, DoneAck, DownloadOutcome, Failure, FailureReason, FileEnd, FileFailed,
        FileRequest, FileStart, GroupsEqual, PAD, StagedFiles, StagedGroups,
    },
    handshake::{
        AES_IS_SLOW, Alert, AlertReason, CAN_REATTACH, Confirm, Hello, HelloMode, HelloReply, PakeMessage, Processing,
        ResumptionId, SUITE_SPAKE2_AES256GCM, SUITE_SPAKE2_CHACHA20POLY1305, SUITES, VERSION,
    },
    limits::{
        GROUPS_PER_PAGE, INITIAL_CREDIT, LAST_RECORD_SLACK, MAX_CLEAR_BODY, MAX_EARLY_MANIFEST, MAX_EXPANSION,
        MAX_STAGED_FILES, MAX_TEXT, MAX_UNANSWERED_GROUPS, MAX_UNPACKED,
    },
    manifest::{LeftOutEntries, ManifestPart, ManifestStart, ResumptionGrant},
};
