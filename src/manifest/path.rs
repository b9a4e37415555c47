//! Paths from the other side that cannot leave the target folder.

use std::{borrow::Borrow, fmt};

use crate::text::{is_bidi_control, visible};

/// The longest component in bytes: what common file systems hold.
const LONGEST_COMPONENT: usize = 255;

/// The longest path in bytes: below Linux's PATH_MAX, so that it can be opened in one call.
const LONGEST_PATH: usize = 4_000;

/// The deepest nesting.
const DEEPEST: usize = 64;

/// A relative path of one or more plain components joined by `/`.
///
/// What [`SafePath::parse`] lets pass cannot name anything outside the folder it is opened beneath, and can be printed
/// without touching a terminal. Names that only some systems cannot hold pass here and are checked against the real
/// target by [`SafePath::windows_restriction`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePath(Box<str>);

impl SafePath {
    /// Checks a path. Nothing is ever repaired.
    ///
    /// # Errors
    /// A [`PathError`] that names the rule it breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > LONGEST_PATH {
            return Err(PathError::TooLong);
        }
        if text.starts_with('/') || text.starts_with("\\\\") || has_drive(text) {
            return Err(PathError::Absolute);
        }
        if text.split('/').count() > DEEPEST {
            return Err(PathError::TooDeep);
        }
        text.split('/').try_for_each(check_component)?;
        Ok(Self(text.into()))
    }

    /// The path with `/` between its components.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, first to last.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// How many components it has.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The first component: the top-level entry it belongs to.
    pub fn top(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(top, _)| top)
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The path without its last component.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// This path with `name` below it.
    ///
    /// # Errors
    /// As [`SafePath::parse`].
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        Self::parse(&format!("{self}/{name}"))
    }

    /// Why Windows could not hold this path, where it could not: device names with any extension, trailing dots and
    /// blanks, and the characters its file systems keep for themselves.
    pub fn windows_restriction(&self) -> Option<&'static str> {
        self.components().find_map(windows_trouble)
    }
}

/// Whether `text` begins with a drive (`C:\`, `C:/`).
pub(super) fn has_drive(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic())
}

fn check_component(name: &str) -> Result<(), PathError> {
    match name {
        "" => return Err(PathError::EmptyComponent),
        "." | ".." => return Err(PathError::Dots),
        _ => {}
    }
    if name.len() > LONGEST_COMPONENT {
        return Err(PathError::TooLong);
    }
    match name.chars().find(|c| c.is_control() || is_bidi_control(*c)) {
        Some(c) => Err(PathError::Character(c)),
        None => Ok(()),
    }
}

fn windows_trouble(name: &str) -> Option<&'static str> {
    if name.ends_with(['.', ' ']) {
        return Some("it ends with a dot or a blank");
    }
    if name.contains([':', '\\', '<', '>', '"', '|', '?', '*']) {
        return Some("it has a character that is reserved there");
    }
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let is_device = match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        _ => match stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")) {
            Some(n) => matches!(n, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"),
            None => false,
        },
    };
    is_device.then_some("it is the name of a device there")
}

impl Borrow<str> for SafePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.0))
    }
}

impl fmt::Debug for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// The rule that a path breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No path at all.
    #[error("it is empty")]
    Empty,
    /// Two separators in a row, or one at the end.
    #[error("it has an empty component")]
    EmptyComponent,
    /// A component that is `.` or `..`.
    #[error("it has “.” or “..” as a component")]
    Dots,
    /// It begins with `/`, `\\` or a drive.
    #[error("it is absolute")]
    Absolute,
    /// A component of more than 255 bytes, or more than 4,000 in all.
    #[error("it is too long")]
    TooLong,
    /// More than 64 components.
    #[error("it is nested too deep")]
    TooDeep,
    /// A control character, an escape or a bidi control.
    #[error("it has the character {}", .0.escape_unicode())]
    Character(char),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for (bad, why) in [
            ("../x", PathError::Dots),
            ("a/../../b", PathError::Dots),
            ("a/.", PathError::Dots),
            ("/abs", PathError::Absolute),
            ("C:\\x", PathError::Absolute),
            ("c:/x", PathError::Absolute),
            ("\\\\srv\\x", PathError::Absolute),
            ("", PathError::Empty),
            ("a//b", PathError::EmptyComponent),
            ("a/", PathError::EmptyComponent),
            ("a\0b", PathError::Character('\0')),
            ("\x1b[1A\r", PathError::Character('\x1b')),
            ("a\nb", PathError::Character('\n')),
            ("a\u{9d}b", PathError::Character('\u{9d}')),
            ("evil\u{202e}gpj.exe", PathError::Character('\u{202e}')),
            ("a\u{2066}b", PathError::Character('\u{2066}')),
        ] {
            assert_eq!(SafePath::parse(bad), Err(why), "{bad:?}");
        }
        assert_eq!(SafePath::parse(&"x".repeat(256)), Err(PathError::TooLong));
        assert_eq!(SafePath::parse(&["d"; 65].join("/")), Err(PathError::TooDeep));
        assert!(SafePath::parse(&"x".repeat(255)).is_ok());
        assert!(SafePath::parse(&["d"; 64].join("/")).is_ok());
    }

    #[test]
    fn honest_names_pass() {
        for good in [
            "linux/drivers/gpu/drm/nouveau/nvkm/subdev/i2c/aux.c",
            "net/netfilter/xt_CONNMARK.h",
            "cur/1700000000.M1P2.host:2,S",
            "12:30.png",
            "👩‍👩‍👧.jpg",
            "می‌خواهم.txt",
            "dev-disk-by\\x2duuid.swap",
            "...",
            " leading and trailing ",
            "-rf",
            "~",
        ] {
            assert_eq!(SafePath::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_windows_cannot_hold_is_known() {
        let trouble = |p: &str| SafePath::parse(p).unwrap().windows_restriction().is_some();
        for bad in ["a/aux.c", "NUL", "com1.txt", "LPT9", "a.", "b ", "12:30.png", "a\\b", "what?", "CON .txt"] {
            assert!(trouble(bad), "{bad}");
        }
        for good in ["auxiliary.c", "com10", "a/b.txt", "console"] {
            assert!(!trouble(good), "{good}");
        }
    }

    #[test]
    fn the_parts_of_a_path() {
        let path = SafePath::parse("a/b/c.txt").unwrap();
        assert_eq!((path.top(), path.name(), path.depth()), ("a", "c.txt", 3));
        assert_eq!(path.parent().unwrap().as_str(), "a/b");
        assert_eq!(SafePath::parse("a").unwrap().parent(), None);
    }

    proptest! {
        /// Whatever passes is relative, has only normal components and survives a round trip.
        #[test]
        fn what_passes_is_safe(text in "[a./\\\\:C\\PC\\x00-\\x1f]{0,40}") {
            if let Ok(path) = SafePath::parse(&text) {
                prop_assert_eq!(path.as_str(), &text);
                let as_path = std::path::Path::new(path.as_str());
                prop_assert!(as_path.is_relative());
                prop_assert!(as_path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
                prop_assert_eq!(as_path.components().count(), path.depth());
            }
        }
    }
}
