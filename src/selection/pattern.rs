//! A pattern that selects entries by their path within the share.

use globset::{GlobBuilder, GlobMatcher};

use crate::{
    error::{Error, Kind, Result},
    text::visible,
};

/// The longest pattern in bytes, like the longest path.
const MAX_LENGTH: usize = 4_000;

/// A pattern for paths within a share, whose components are joined by `/`.
///
/// - `*` and `?` match any characters but `/`, `[…]` a set of characters, and `{…,…}` one of several texts. `**/`
///   matches any number of folders, and `/**` everything below. `\` removes the meaning of the next character.
/// - Without a slash, the pattern is compared with names, at any depth. With one it is compared with whole paths; a
///   slash at the beginning has no other meaning than that.
/// - With a slash at the end, it matches folders only.
/// - Case matters, and so does the composition of characters. Hidden names need no special pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
    subject: Subject,
    is_for_folders: bool,
}

/// The text that a pattern is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Name,
    Path,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`Kind::Usage`], with the number of the first character at which the pattern cannot be completed.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid =
            |reason: String| Error::new(Kind::Usage, format!("invalid pattern “{}”: {reason}", visible(text)));
        let (inner, is_for_folders) = match text.strip_suffix('/') {
            Some(inner) => (inner, true),
            None => (text, false),
        };
        let subject = if inner.contains('/') { Subject::Path } else { Subject::Name };
        let (inner, skipped) = match inner.strip_prefix('/') {
            Some(inner) => (inner, 1),
            None => (inner, 0),
        };
        if inner.is_empty() {
            return Err(invalid("it is empty".to_owned()).hint("use * for everything"));
        }
        if text.len() > MAX_LENGTH {
            return Err(invalid(format!("it is longer than {MAX_LENGTH} bytes")));
        }
        match compile(inner) {
            Ok(matcher) => Ok(Self { text: text.to_owned(), matcher, subject, is_for_folders }),
            Err(e) => {
                let position = skipped + valid_characters(inner) + 1;
                Err(invalid(format!("{} (at character {position})", e.kind()))
                    .hint("put a \\ before a character that has no special meaning"))
            }
        }
    }

    /// Whether the pattern matches the entry at `path`.
    pub fn matches(&self, path: &str, is_folder: bool) -> bool {
        (is_folder || !self.is_for_folders) && self.matcher.is_match(self.subject_of(path))
    }

    /// Returns the pattern as it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the part of `path` with which the pattern is compared.
    pub(super) fn subject_of<'a>(&self, path: &'a str) -> &'a str {
        match self.subject {
            Subject::Path => path,
            Subject::Name => path.rsplit_once('/').map_or(path, |(_, name)| name),
        }
    }
}

fn compile(text: &str) -> Result<GlobMatcher, globset::Error> {
    let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build()?;
    Ok(glob.compile_matcher())
}

/// Returns the number of characters of the longest beginning of `text` that is a pattern. The next character begins
/// what is wrong.
fn valid_characters(text: &str) -> usize {
    let ends = text.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
    ends.iter().rposition(|end| compile(&text[..*end]).is_ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_pattern_is_refused_with_its_position() {
        for (text, position) in
            [("[z-a]", 1), ("a[bc", 2), ("/a[bc", 3), ("ü/{a,b", 3), ("a[b]}c", 5), ("{a,b}\\", 6), ("{a}/[", 5)]
        {
            let e = Pattern::parse(text).unwrap_err();
            assert!(e.kind() == Kind::Usage && e.message().contains(&format!("“{text}”")), "{e}");
            assert!(e.message().ends_with(&format!("(at character {position})")), "{text}: {e}");
        }
        for text in ["", "/", "//"] {
            assert!(Pattern::parse(text).unwrap_err().message().ends_with("it is empty"), "{text}");
        }
        assert!(Pattern::parse(&"x".repeat(MAX_LENGTH + 1)).is_err());
    }

    #[test]
    fn escaped_and_unusual_characters_match_themselves() {
        for (pattern, name) in [("\\[1\\]", "[1]"), ("[[]1]", "[1]"), ("ü*", "über"), ("\\*", "*"), ("-rf", "-rf")] {
            assert!(Pattern::parse(pattern).unwrap().matches(name, false), "{pattern}");
        }
        let star = Pattern::parse("*").unwrap();
        assert!(star.matches(".hidden", false) && star.matches("a/b", true));
        assert!(!Pattern::parse("A").unwrap().matches("a", false));
    }
}
