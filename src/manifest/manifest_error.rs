//! The reasons to refuse a manifest.

use super::{
    limits::{MAX_ENTRIES, MAX_PATHS, MAX_TEXT, MAX_TEXT_BYTES},
    safe_path::{PathError, SafePath},
};

/// The reason why a manifest is refused. Each one refuses the whole share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It has more entries than [`MAX_ENTRIES`].
    #[error("it has {0} entries; the limit is {MAX_ENTRIES}")]
    TooManyEntries(u64),
    /// The names together exceed the limit for memory, or the paths exceed the limit for the wire.
    #[error("its names are longer than {MAX_TEXT} bytes in total, or its paths than {MAX_PATHS}")]
    NamesTooLong,
    /// Entries are missing, or there are more than the header announced.
    #[error("the number of entries differs from the announced one")]
    WrongCount,
    /// A part without entries. A sender could send such parts forever.
    #[error("a part of its list of files is empty")]
    EmptyPart,
    /// The name of the share is empty or has more than 255 bytes.
    #[error("the name of the share is empty or too long")]
    ShareName,
    /// A path that could lead out of the target folder, or that a terminal cannot show.
    #[error("the name “{0}” is not allowed: {1}")]
    Path(String, PathError),
    /// The modification time of this entry has more nanoseconds than a second.
    #[error("the time of “{0}” is invalid")]
    Time(SafePath),
    /// The parent of this entry is missing, follows it, or is not a folder.
    #[error("“{0}” is not in a folder of the share")]
    NoParent(SafePath),
    /// The path occurs twice.
    #[error("“{0}” is listed twice")]
    Duplicate(SafePath),
    /// The target of this link is outside the share.
    #[error("the link “{0}” points outside the share")]
    LinkTarget(SafePath),
    /// The size of this file is unknown, and it is not the only entry.
    #[error("the size of “{0}” is missing")]
    UnknownSize(SafePath),
    /// It claims to be a text, and is not a single file of at most [`MAX_TEXT_BYTES`] bytes.
    #[error("it is no text of at most {MAX_TEXT_BYTES} bytes")]
    NotAText,
    /// The sum of the sizes exceeds 64 bits.
    #[error("its total size exceeds 64 bits")]
    SizeOverflow,
}
