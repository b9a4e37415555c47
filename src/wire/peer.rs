//! What the two ends of a download say to each other, through whatever lies between them.
//!
//! | flight | from | in the clear | sealed |
//! |---|---|---|---|
//! | 1 | receiver | [`Hello`] | |
//! | 2 | sender | [`HelloReply`], [`Confirm`] | [`ManifestStart`], [`ManifestPart`] (64 KiB of them at most, padded) |
//! | 3 | receiver | [`Confirm`] | |
//! | 4 | receiver | | [`HashingStaged`] while it looks at what is there, [`StagedGroups`] for each file that is there in part, [`FileRequest`] |
//! | 5 | receiver | | [`Done`] |
//!
//! Instead of flight 1 a receiver may say [`AttachRequest`], and the sender [`AttachReply`]: then an older session goes on.
//!
//! The rest of a long manifest follows flight 3, and [`FileStart`], data and [`FileEnd`] follow flight 4. [`Credit`]
//! goes from receiver to sender all along, [`Ack`] the other way. The last record of the sender is its [`DoneAck`], or a [`Failure`]. Instead
//! of flight 2, or where flight 3 should come, an [`Alert`] in the clear may end it all: a hint and no more, since
//! anybody between the two ends can write one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::frame::{MAY_SKIP, Message};
use crate::manifest::{ManifestHeader, RawEntry};

/// The version of what the two ends say to each other.
pub const VERSION: u16 = 1;

/// SPAKE2 on edwards25519, HKDF-SHA-256, AES-256-GCM.
pub const SUITE_SPAKE2_AES256GCM: u16 = 1;

/// SPAKE2 on edwards25519, HKDF-SHA-256, ChaCha20-Poly1305.
pub const SUITE_SPAKE2_CHACHA20POLY1305: u16 = 2;

/// All suites of this version, the best first where AES is fast.
pub const SUITES: [u16; 2] = [SUITE_SPAKE2_AES256GCM, SUITE_SPAKE2_CHACHA20POLY1305];

/// The bit of `capabilities` that says that AES is slow at this end: where either end says so, the best suite is the
/// one without.
pub const AES_IS_SLOW: u64 = 1;

/// The bit of a receiver's `capabilities` that says that it comes back after a cut: its session is kept for that long.
pub const CAN_REATTACH: u64 = 2;

/// The longest body of a message in the clear.
pub const MAX_CLEAR_BODY: u32 = 4096;

/// How much of the manifest may go out before the receiver has proved that it knows the code.
pub const MAX_EARLY_MANIFEST: usize = 64 * 1024;

/// Bytes of the sealed stream that may be on their way before the first [`Credit`].
pub const INITIAL_CREDIT: u64 = 256 * 1024;

/// The last record of a direction may exceed the credit by this much: an end must not wait for it.
pub const LAST_RECORD_SLACK: u64 = 4096;

/// The longest text for people in a message.
pub const MAX_TEXT: usize = 1000;

/// The most groups in one [`StagedGroups`].
pub const MAX_GROUPS: usize = 1024;

/// The type of a frame that holds bytes of the file that was started last.
pub const DATA: u8 = 0x48;

/// The type of a frame that holds zeros, to hide how long something is.
pub const PAD: u8 = 0x7f | MAY_SKIP;

/// Flight 1: what the receiver can do, and its message of the key exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u16,
    /// All suites that the receiver has, the best first.
    pub suites: Vec<u16>,
    /// [`AES_IS_SLOW`], [`CAN_REATTACH`], and bits for what may come; unknown ones are ignored.
    pub capabilities: u64,
    /// Makes every session another one.
    pub random: [u8; 16],
    /// What the password is.
    pub mode: HelloMode,
    /// The messages of the key exchange, each for one suite.
    pub exchanges: Vec<PakeMessage>,
}

impl Message for Hello {
    const TYPE: u8 = 0x31;
}

/// What the password of a key exchange is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelloMode {
    /// The secret half of a code.
    Code,
    /// What the sender gave to this receiver: see [`ResumptionGrant`].
    Resume([u8; 16]),
}

/// A message of the key exchange of one suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PakeMessage {
    /// The suite.
    pub suite: u16,
    /// The suite's message.
    pub message: Vec<u8>,
}

/// Flight 2: the sender's choice and its message of the key exchange. A [`Confirm`] follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloReply {
    /// [`VERSION`].
    pub version: u16,
    /// All suites that the sender has, the best first: the receiver checks that the choice was the best.
    pub suites: Vec<u16>,
    /// [`AES_IS_SLOW`], and bits for what may come; unknown ones are ignored.
    pub capabilities: u64,
    /// Makes every session another one.
    pub random: [u8; 16],
    /// The message of the suite in use.
    pub exchange: PakeMessage,
}

impl Message for HelloReply {
    const TYPE: u8 = 0x32;
}

/// The proof that an end knows the password. Sealed records follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// The tag of the role that says it.
    pub tag: [u8; 32],
}

impl Message for Confirm {
    const TYPE: u8 = 0x33;
}

/// Instead of flight 1: a session that was proved goes on over this stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Which session.
    pub id: [u8; 16],
    /// Higher each time: nobody can play an old one again.
    pub number: u64,
    /// The offset in the sender's sealed bytes up to which all of them have arrived: it goes on from there.
    pub received: u64,
    /// Proves that it is the receiver of this session who says so.
    pub tag: [u8; 32],
}

impl Message for AttachRequest {
    const TYPE: u8 = 0x35;
}

/// The answer to [`AttachRequest`]: sealed bytes follow in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachReply {
    /// The offset in the receiver's sealed bytes up to which all of them have arrived.
    pub received: u64,
    /// Proves that it is the sender of this session who says so, and what it answers.
    pub tag: [u8; 32],
}

impl Message for AttachReply {
    const TYPE: u8 = 0x36;
}

/// Why there is no session. In the clear, so a hint and no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Why.
    pub reason: AlertReason,
    /// Seconds after which another try may do better; 0 where none will.
    pub retry_after: u32,
}

impl Message for Alert {
    const TYPE: u8 = 0x34;
}

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertReason {
    /// The sender speaks other versions only.
    Version,
    /// The two ends have no suite in common.
    Suite,
    /// Too many wrong codes were tried; no guess is left.
    GuessBudgetSpent,
    /// The sender serves as many receivers as it can.
    Busy,
    /// What arrived is no flight of this protocol.
    Malformed,
    /// The session that is to go on is not known here: this process never had it, or gave it up.
    UnknownSession,
    /// The sender has a trouble of its own, of which it tells its user.
    SenderError,
}

/// What stands before the entries of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestStart(pub ManifestHeader);

impl Message for ManifestStart {
    const TYPE: u8 = 0x41;
}

/// Some entries of the manifest, in order. It is whole when all that the head announced are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPart(pub Vec<RawEntry>);

impl Message for ManifestPart {
    const TYPE: u8 = 0x42;
}

/// Flight 4: the receiver wants the files in these ranges of entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRequest {
    /// Half-open ranges of entry numbers, in order, not touching.
    pub wanted: Vec<(u32, u32)>,
}

impl Message for FileRequest {
    const TYPE: u8 = 0x43;
}

/// Before flight 4: what the receiver has of a file, or the next part of that where it has a lot. The sender goes on at
/// the first group that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedGroups {
    /// The number of the entry.
    pub entry: u32,
    /// BLAKE3 chaining values of groups of 16 MiB, from the first on; that of a shorter one only where it is the last of
    /// the file.
    pub groups: Vec<[u8; 32]>,
}

impl Message for StagedGroups {
    const TYPE: u8 = 0x4b;
}

/// Before flight 4, now and then: the receiver has accepted, and looks at what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashingStaged {}

impl Message for HashingStaged {
    const TYPE: u8 = 0x4e;
}

/// The bytes of a file follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStart {
    /// The number of the entry.
    pub entry: u32,
    /// Where in the file they begin.
    pub offset: u64,
}

impl Message for FileStart {
    const TYPE: u8 = 0x44;
}

/// The file is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEnd {
    /// The BLAKE3 of the whole file.
    pub hash: [u8; 32],
}

impl Message for FileEnd {
    const TYPE: u8 = 0x45;
}

/// How far the sender may go, and how far the receiver is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The highest offset of the sealed stream that may be sent. Never falls.
    pub limit: u64,
    /// The offset up to which all of it has arrived in order: an acknowledgement.
    pub received: u64,
}

impl Message for Credit {
    const TYPE: u8 = 0x46;
}

/// How far the sender is with what the receiver sends: an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The offset up to which all of it has arrived in order.
    pub received: u64,
}

impl Message for Ack {
    const TYPE: u8 = 0x4c;
}

/// What the receiver proves itself with when it comes back as another process, or to another process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumptionGrant {
    /// What it is called by.
    pub id: [u8; 16],
    /// The password of the key exchange.
    pub key: [u8; 32],
}

impl Message for ResumptionGrant {
    const TYPE: u8 = 0x4d;
}

impl fmt::Debug for ResumptionGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Welcome(…)")
    }
}

/// Flight 5: how it went at the receiver. Its last record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// How it went. Only [`DownloadOutcome::Ok`] makes a download count.
    pub outcome: DownloadOutcome,
    /// What happened, for the person at the other end; empty where nothing did.
    pub message: String,
}

impl Message for Done {
    const TYPE: u8 = 0x47;
}

/// How a download went at the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownloadOutcome {
    /// Everything is verified and has its name.
    Ok,
    /// The receiver only wanted to see the list.
    Listed,
    /// The person there said no.
    Declined,
    /// No space, no permission, names that stand already.
    Disk,
    /// Content did not match its hash.
    Corrupt,
    /// The person there stopped it.
    Interrupted,
    /// Anything else.
    Failed,
}

/// The sender has heard [`Done`]. Its last record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneAck {}

impl Message for DoneAck {
    const TYPE: u8 = 0x49;
}

/// The sender cannot go on. Its last record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub reason: FailureReason,
    /// What happened to what, for the person at the other end.
    pub message: String,
}

impl Message for Failure {
    const TYPE: u8 = 0x4a;
}

/// Why a sender cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureReason {
    /// A file changed, vanished or cannot be read.
    Source,
    /// All downloads that the share allows are taken.
    DownloadLimitReached,
    /// The share was ended.
    ShareEnded,
    /// The receiver asked for what is not there.
    Protocol,
    /// The receiver let the sender wait for too long.
    ReceiverTimeout,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        manifest::{ContentCoding, EntryKind, Mtime, ShareId},
        wire::frame::tests::check,
    };

    fn share() -> ShareId {
        postcard::from_bytes(&[7; 16]).unwrap()
    }

    #[test]
    fn the_bytes_of_the_flights_are_fixed() {
        let exchange = |suite| PakeMessage { suite, message: vec![0x41, 2] };
        let hello = |capabilities| Hello {
            version: VERSION,
            suites: SUITES.to_vec(),
            capabilities,
            random: [3; 16],
            mode: HelloMode::Code,
            exchanges: SUITES.map(exchange).to_vec(),
        };
        check(&hello(0), "310000001f01020102000303030303030303030303030303030300020102410202024102");
        let resuming = Hello { mode: HelloMode::Resume([7; 16]), exchanges: Vec::new(), ..hello(CAN_REATTACH) };
        check(&resuming, &format!("31000000270102010202{}01{}00", "03".repeat(16), "07".repeat(16)));
        check(&hello(AES_IS_SLOW), "310000001f01020102010303030303030303030303030303030300020102410202024102");
        let reply = |suite, capabilities| {
            let (suites, exchange) = (SUITES.to_vec(), exchange(suite));
            HelloReply { version: VERSION, suites, capabilities, random: [4; 16], exchange }
        };
        check(&reply(SUITE_SPAKE2_AES256GCM, 0), "320000001901020102000404040404040404040404040404040401024102");
        check(
            &reply(SUITE_SPAKE2_CHACHA20POLY1305, AES_IS_SLOW),
            "320000001901020102010404040404040404040404040404040402024102",
        );
        check(&Confirm { tag: [6; 32] }, "33000000200606060606060606060606060606060606060606060606060606060606060606");
        check(&Alert { reason: AlertReason::GuessBudgetSpent, retry_after: 600 }, "340000000302d804");
        check(
            &AttachRequest { id: [1; 16], number: 2, received: 300, tag: [6; 32] },
            &format!("3500000033{}02ac02{}", "01".repeat(16), "06".repeat(32)),
        );
        check(&AttachReply { received: 300, tag: [6; 32] }, &format!("3600000022ac02{}", "06".repeat(32)));
    }

    #[test]
    fn the_bytes_of_the_manifest_are_fixed() {
        check(
            &ManifestStart(ManifestHeader { share: share(), name: "holiday".into(), entries: 300 }),
            "410000001a0707070707070707070707070707070707686f6c69646179ac02",
        );
        let entry = |path: &str, kind| RawEntry {
            path: path.into(),
            kind,
            mode: 0o755,
            mtime: Some(Mtime { seconds: -1, nanos: 5 }),
        };
        let part = ManifestPart(vec![
            entry("a", EntryKind::Folder),
            entry("a/f", EntryKind::File { size: Some(300), coding: ContentCoding::Identity }),
            entry("a/l", EntryKind::Link { target: "f".into() }),
        ]);
        check(&part, "420000002303016101ed0301010503612f660001ac0200ed0301010503612f6c020166ed03010105");
    }

    #[test]
    fn the_bytes_of_a_download_are_fixed() {
        check(&StagedGroups { entry: 1, groups: vec![[8; 32]] }, &format!("4b000000220101{}", "08".repeat(32)));
        check(&FileRequest { wanted: vec![(0, 3)] }, "4300000003010003");
        check(&FileStart { entry: 200, offset: 0 }, "4400000003c80100");
        check(&FileEnd { hash: [9; 32] }, "45000000200909090909090909090909090909090909090909090909090909090909090909");
        check(&Credit { limit: INITIAL_CREDIT, received: 1 }, "460000000480801001");
        check(&Done { outcome: DownloadOutcome::Disk, message: "full".into() }, "4700000006030466756c6c");
        check(&DoneAck {}, "4900000000");
        check(&Ack { received: 300 }, "4c00000002ac02");
        check(
            &ResumptionGrant { id: [1; 16], key: [2; 32] },
            &format!("4d00000030{}{}", "01".repeat(16), "02".repeat(32)),
        );
        check(&Failure { reason: FailureReason::Source, message: "gone".into() }, "4a000000060004676f6e65");
    }
}
