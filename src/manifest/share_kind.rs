//! The kind of a share.

use serde::{Deserialize, Serialize};

/// The kind of a share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShareKind {
    /// Files, folders and links to save.
    #[default]
    Files,
    /// A text to show: a single file of at most [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES) bytes.
    Text,
}
