//! A relative path that cannot leave the folder it is opened beneath.

use std::{borrow::Borrow, fmt};

use super::reserved_name::is_reserved;
use crate::text::{is_forbidden_in_names, visible};

/// The longest component in bytes, as on common file systems.
const MAX_COMPONENT: usize = 255;

/// The longest path in bytes. It is less than Linux's PATH_MAX, so that one call can open it.
const MAX_PATH: usize = 4_000;

/// The most components.
const MAX_DEPTH: usize = 64;

/// A relative path of one or more plain components joined by `/`.
///
/// A path that [`SafePath::parse`] accepts cannot name anything outside the folder it is opened beneath, and has no
/// characters that control a terminal. Names that only some disks cannot hold are accepted here; the receiver tries
/// them on its disk.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePath(Box<str>);

impl SafePath {
    /// Parses a path. It is accepted as it is or rejected, never repaired.
    ///
    /// # Errors
    /// A [`PathError`]: the rule that the path breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        if text.starts_with('/') || text.starts_with("\\\\") || has_drive(text) {
            return Err(PathError::Absolute);
        }
        if text.split('/').count() > MAX_DEPTH {
            return Err(PathError::TooDeep);
        }
        text.split('/').try_for_each(check_component)?;
        Ok(Self(text.into()))
    }

    /// Creates the path of a manifest's entry from `text`, whose components were checked before.
    pub(super) fn from_checked(text: String) -> Self {
        Self(text.into())
    }

    /// Returns the path with `/` between its components.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path as text.
    pub fn into_string(self) -> String {
        self.0.into()
    }

    /// Returns the components, first to last.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns the number of components.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// Returns the first component: the name of the top-level entry that the path belongs to.
    pub fn top(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(top, _)| top)
    }

    /// Returns the last component.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// Returns the path without its last component; `None` if there is no other.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// Returns this path with `name` appended as a component.
    ///
    /// # Errors
    /// The same as [`SafePath::parse`].
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        if name.contains('/') {
            return Self::parse(&format!("{}/{name}", self.0)); // `Display` escapes and truncates
        }
        check_component(name)?;
        if self.0.len() + 1 + name.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        if self.depth() == MAX_DEPTH {
            return Err(PathError::TooDeep);
        }
        Ok(Self([&*self.0, "/", name].concat().into()))
    }
}

/// Whether `text` begins with a Windows drive (`C:\`, `C:/`).
pub(super) fn has_drive(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic())
}

fn check_component(name: &str) -> Result<(), PathError> {
    match name {
        "" => return Err(PathError::EmptyComponent),
        "." | ".." => return Err(PathError::Dots),
        _ => {}
    }
    if name.len() > MAX_COMPONENT {
        return Err(PathError::TooLong);
    }
    // Most names are printable ASCII, which no character rule rejects.
    if !name.bytes().all(|b| matches!(b, b' '..=b'~'))
        && let Some(c) = name.chars().find(|c| is_forbidden_in_names(*c))
    {
        return Err(PathError::Character(c));
    }
    if is_reserved(name) { Err(PathError::Reserved) } else { Ok(()) }
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
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// There are two separators in a row, or one at the end.
    #[error("it has an empty component")]
    EmptyComponent,
    /// A component is `.` or `..`.
    #[error("it has a component “.” or “..”")]
    Dots,
    /// It begins with `/`, `\\` or a drive.
    #[error("it is absolute")]
    Absolute,
    /// A component has more than 255 bytes, or the path more than 4,000.
    #[error("it is too long")]
    TooLong,
    /// It has more than 64 components.
    #[error("it is nested too deeply")]
    TooDeep,
    /// It has a control character, or a bidirectional control that is not a mark.
    #[error("it has the character {}", .0.escape_unicode())]
    Character(char),
    /// A component has a name that is reserved for downloads.
    #[error("names that begin with .qshare- are reserved for downloads in progress")]
    Reserved,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn join_keeps_characters_that_are_escaped_or_truncated_for_display() {
        let folder = ["d".repeat(255), "line\u{2028}separator".to_owned(), "e".repeat(255)].join("/");
        let joined = SafePath::parse(&folder).unwrap().join("file").unwrap();
        assert_eq!(joined.as_str(), format!("{folder}/file"));
    }

    #[test]
    fn hostile_paths_are_rejected() {
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
            (".qshare-0123456789abcdef.part", PathError::Reserved),
            ("a/.Qshare-x/files/b", PathError::Reserved),
        ] {
            assert_eq!(SafePath::parse(bad), Err(why), "{bad:?}");
        }
        assert_eq!(SafePath::parse(&"x".repeat(256)), Err(PathError::TooLong));
        assert_eq!(SafePath::parse(&["d"; 65].join("/")), Err(PathError::TooDeep));
        assert!(SafePath::parse(&"x".repeat(255)).is_ok());
        assert!(SafePath::parse(&["d"; 64].join("/")).is_ok());
    }

    #[test]
    fn unusual_but_harmless_paths_are_accepted() {
        for good in [
            "linux/drivers/gpu/drm/nouveau/nvkm/subdev/i2c/aux.c",
            "net/netfilter/xt_CONNMARK.h",
            "cur/1700000000.M1P2.host:2,S",
            "12:30.png",
            "👩‍👩‍👧.jpg",
            "می‌خواهم.txt",
            "שלום\u{200f}.txt",
            "\u{200e}a\u{61c}",
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
    fn a_path_splits_into_its_parts() {
        let path = SafePath::parse("a/b/c.txt").unwrap();
        assert_eq!((path.top(), path.name(), path.depth()), ("a", "c.txt", 3));
        assert_eq!(path.parent().unwrap().as_str(), "a/b");
        assert_eq!(SafePath::parse("a").unwrap().parent(), None);
    }

    proptest! {
        /// An accepted path is relative, has only normal components and is unchanged.
        #[test]
        fn accepted_paths_are_relative_and_normal(text in "[a./\\\\:C\\PC\\x00-\\x1f]{0,40}") {
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
