//! The names that `--rename` tries.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

/// The longest name in bytes that common file systems hold.
const MAX_NAME: usize = 255;

/// Adds a number to a name: `notes.txt` becomes `notes (1).txt`, the folder `photos.old` becomes `photos.old (1)`.
pub(super) fn numbered(name: &OsStr, number: u32, is_folder: bool) -> OsString {
    let path = Path::new(name);
    let (stem, extension) = match path.extension() {
        Some(extension) if !is_folder => (path.file_stem().unwrap_or(name), Some(extension)),
        _ => (name, None),
    };
    let mut suffix = OsString::from(format!(" ({number})"));
    if let Some(extension) = extension {
        suffix.push(".");
        suffix.push(extension);
    }
    let mut numbered = match stem.to_str() {
        Some(text) => OsString::from(truncate(text, MAX_NAME.saturating_sub(suffix.len()))),
        None => stem.to_owned(),
    };
    numbered.push(suffix);
    numbered
}

/// Returns the longest prefix of whole characters that has at most `limit` bytes.
fn truncate(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
