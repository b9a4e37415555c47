//! The names that downloads in progress use on the receiver's disk.

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

/// The prefix of all temporary names that a download creates: the staging folder, which holds the journal and the lock,
/// and the files that probe a file system.
pub const RESERVED_PREFIX: &str = ".qshare-";

/// Returns whether a file system may treat `name` as a name that begins with [`RESERVED_PREFIX`].
///
/// Otherwise a share could contain the staging folder of another share, which a later download would trust. File
/// systems may ignore case, normalization, and characters that have no glyph.
pub fn is_reserved(name: &str) -> bool {
    if name.is_ascii() {
        return name.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX));
    }
    let seen = name.chars().filter(|c| !is_ignored(*c));
    let folded: String = seen.nfkd().default_case_fold().nfc().take(RESERVED_PREFIX.len()).collect();
    folded == RESERVED_PREFIX
}

/// Returns whether HFS+ ignores this character in names (Apple's technical note 1150).
fn is_ignored(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_reserved_name_is_recognized() {
        for reserved in [
            ".qshare-0123456789abcdef.part",
            ".QSHARE-0123456789ABCDEF.PART",
            ".qshare-0123456789abcdef.part.",
            ".qshare-0123456789abcdef.part::$DATA",
            ".qshare-probe-0-k",
            ".qshare-",
            ".q\u{17f}hare-0123456789abcdef.part",
            ".qsh\u{200d}are-0123456789abcdef.part",
            ".qshare-\u{e9}",
            ".\u{ff51}share-x",
        ] {
            assert!(is_reserved(reserved), "{reserved:?}");
        }
        for free in [".qshare", "qshare-x.part", ".qshar\u{e9}-x", ".qshare_x", "", "\u{200d}"] {
            assert!(!is_reserved(free), "{free:?}");
        }
    }
}
