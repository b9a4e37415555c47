//! What a share is, as its receivers see it.

use serde::{Deserialize, Serialize};

/// What a share is, as its receivers see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShareKind {
    /// Files, folders and links to save.
    #[default]
    Files,
    /// A text to show: a single file of at most [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES) bytes.
    Text,
}
