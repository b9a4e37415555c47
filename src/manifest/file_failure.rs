//! Why the content of a file did not arrive, although the sender offered it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why the sender cannot send a file that it offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFailure {
    /// Its content changed.
    Changed,
    /// It became shorter than it was announced.
    Shorter,
    /// It no longer exists.
    Gone,
    /// Something that is not a file has replaced it.
    Replaced,
    /// It can no longer be read.
    Unreadable,
}

impl fmt::Display for FileFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "changed while it was sent",
            Self::Shorter => "became shorter while it was sent",
            Self::Gone => "no longer exists",
            Self::Replaced => "is no longer a file",
            Self::Unreadable => "can no longer be read",
        })
    }
}
