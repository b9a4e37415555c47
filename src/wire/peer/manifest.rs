//! The sealed messages of flight 2: the manifest, and the key with which the receiver resumes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::handshake::ResumptionId;
use crate::{
    manifest::{LeftOut, ManifestHeader, RawEntry},
    wire::frame::Message,
};

/// The id and key with which the receiver resumes the download later, in another process or with a restarted sender.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumptionGrant {
    /// The id that the receiver sends in [`HelloMode::Resume`](super::HelloMode::Resume).
    pub id: ResumptionId,
    /// The password of the key exchange with this id.
    pub key: [u8; 32],
}

impl Message for ResumptionGrant {
    const TYPE: u8 = 0x4d;
}

impl fmt::Debug for ResumptionGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumptionGrant(…)")
    }
}

/// The header of the manifest, before its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestStart(pub ManifestHeader);

impl Message for ManifestStart {
    const TYPE: u8 = 0x41;
}

/// How many entries the sender has left out of its folders, and why. Follows the header in the same record, unless
/// there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutEntries(pub LeftOut);

impl Message for LeftOutEntries {
    const TYPE: u8 = 0x51;
}

/// The next entries of the manifest. It is complete when it has as many entries as its header announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPart(pub Vec<RawEntry>);

impl Message for ManifestPart {
    const TYPE: u8 = 0x42;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        manifest::{EntryKind, LeftOutReason, Mtime, ShareId, ShareKind},
        wire::golden::assert_golden,
    };

    #[test]
    fn manifest_messages_have_their_golden_bytes() {
        assert_golden(
            &ResumptionGrant { id: ResumptionId { receiver: [1; 16], tag: [3; 32] }, key: [2; 32] },
            &format!("4d00000050{}{}{}", "01".repeat(16), "03".repeat(32), "02".repeat(32)),
        );
        let share: ShareId = postcard::from_bytes(&[7; 16]).unwrap();
        assert_golden(
            &ManifestStart(ManifestHeader {
                share,
                name: "holiday".into(),
                entries: 300,
                holes: 0,
                kind: ShareKind::Files,
            }),
            "410000001c0707070707070707070707070707070707686f6c69646179ac020000",
        );
        let mut left_out = LeftOut::default();
        [LeftOutReason::Name, LeftOutReason::OwnFile, LeftOutReason::Name].into_iter().for_each(|r| left_out.add(r));
        assert_golden(&LeftOutEntries(left_out), "51000000050200010502");
        let entry = |path: &str, kind| RawEntry {
            path: path.into(),
            kind,
            mode: 0o755,
            mtime: Some(Mtime { seconds: -1, nanos: 5 }),
        };
        let part = ManifestPart(vec![
            entry("a", EntryKind::Folder),
            entry("a/f", EntryKind::File { size: Some(300) }),
            entry("a/l", EntryKind::Link { target: "f".into() }),
        ]);
        assert_golden(&part, "420000002203016101ed0301010503612f660001ac02ed0301010503612f6c020166ed03010105");
    }
}
