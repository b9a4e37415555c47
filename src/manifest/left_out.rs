//! The entries of shared folders that are not part of the share.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Why an entry of a shared folder is not part of the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOutReason {
    /// It belongs to this tool: its state, or the data that a download has staged.
    OwnFile,
    /// It is a socket, a pipe or a device.
    Special,
    /// It is a link that leads out of its top-level folder.
    OutsideLink,
    /// It is a link with an absolute target, which would lead elsewhere on another machine.
    AbsoluteLink,
    /// It is a link whose target has a character that cannot be sent, or is too long.
    LinkTarget,
    /// Its name has a character that cannot be sent.
    Name,
    /// Its name is not valid UTF-8.
    NotUnicode,
    /// Its name or its path is too long.
    TooLong,
    /// It is nested too deeply.
    TooDeep,
    /// The sender cannot read it.
    Unreadable,
    /// It has no size, and too much content to read ahead.
    Unsized,
    /// It is a link to be followed that leads nowhere.
    BrokenLink,
    /// It is a link to be followed that leads to a folder which holds it, or back to itself.
    LinkLoop,
}

impl LeftOutReason {
    /// Whether the sender's user has to agree that such an entry is left out. The others have no content that could be
    /// sent, or none that may be.
    pub fn needs_consent(self) -> bool {
        !matches!(
            self,
            Self::OwnFile | Self::Special | Self::OutsideLink | Self::AbsoluteLink | Self::BrokenLink | Self::LinkLoop
        )
    }
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnFile => "this tool's own files",
            Self::Special => "sockets, pipes and devices",
            Self::OutsideLink => "links that lead out of the share",
            Self::AbsoluteLink => "links with an absolute target",
            Self::LinkTarget => "links with a target that cannot be sent",
            Self::Name => "names that cannot be sent",
            Self::NotUnicode => "names that are not UTF-8",
            Self::TooLong => "names that are too long",
            Self::TooDeep => "nested too deeply",
            Self::Unreadable => "not readable",
            Self::Unsized => "files without a size",
            Self::BrokenLink => "links that lead nowhere",
            Self::LinkLoop => "links that lead in a circle",
        })
    }
}

/// The number of entries that are left out, for each reason. It has at most one number per reason, so it is bounded on
/// the wire and in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut(BTreeMap<LeftOutReason, u64>);

impl LeftOut {
    /// Counts another entry.
    pub fn add(&mut self, reason: LeftOutReason) {
        let count = self.0.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the reasons, each with its number of entries.
    pub fn counts(&self) -> impl Iterator<Item = (LeftOutReason, u64)> {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }
}
