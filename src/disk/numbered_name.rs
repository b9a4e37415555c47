//! The names that `--rename` tries.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

/// The longest name in bytes that common file systems hold.
pub(super) const MAX_NAME: usize = 255;

/// The shortest name in bytes to which a numbered one is cut.
pub(super) const MIN_NAME: usize = 48;

/// The longest extension in bytes. What is longer belongs to the stem.
const MAX_EXTENSION: usize = 16;

/// Adds a number to a name: `notes.txt` becomes `notes (1).txt`, the folder `photos.old` becomes `photos.old (1)`. The
/// stem is cut so that the name has at most `max_length` bytes.
pub(super) fn numbered(name: &OsStr, number: u32, is_folder: bool, max_length: usize) -> OsString {
    let path = Path::new(name);
    let (stem, extension) = match path.extension() {
        Some(extension) if !is_folder && extension.len() <= MAX_EXTENSION => {
            (path.file_stem().unwrap_or(name), Some(extension))
        }
        _ => (name, None),
    };
    let mut suffix = OsString::from(format!(" ({number})"));
    if let Some(extension) = extension {
        suffix.push(".");
        suffix.push(extension);
    }
    let mut numbered = match stem.to_str() {
        Some(text) => OsString::from(truncate(text, max_length.saturating_sub(suffix.len()))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_the_end_of_their_stem() {
        let numbered = |name: &str, max_length| numbered(name.as_ref(), 1, false, max_length).into_string().unwrap();
        assert_eq!(numbered("notes.txt", 255), "notes (1).txt");
        assert_eq!(numbered(&"x".repeat(255), 255), "x".repeat(251) + " (1)");
        let long_extension = format!("z.{}", "y".repeat(253));
        assert_eq!(numbered(&long_extension, 255), format!("z.{} (1)", "y".repeat(249)));
        assert_eq!(numbered(&format!("{}.txt", "ü".repeat(125)), 100), format!("{} (1).txt", "ü".repeat(46)));
        assert_eq!(numbered(&format!("z.{}", "👩".repeat(63)), 255), format!("z.{} (1)", "👩".repeat(62)));
    }
}
