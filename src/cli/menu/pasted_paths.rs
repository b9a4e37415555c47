//! Parses paths as terminals paste them when files are dragged in.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use percent_encoding::percent_decode_str;

/// Returns the paths in a pasted line.
///
/// Terminals quote in different ways: `'it'\''s here'`, `"a b"`, `a\ b`, `file:///a%20b`, and on Windows `& 'C:\a b'`.
/// A line that is an existing path, or whose quotes do not close, is one path without quotes.
pub(crate) fn parse_pasted_paths(text: &str) -> Vec<PathBuf> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    let whole = expand_home(text);
    if whole.symlink_metadata().is_ok() {
        return vec![whole];
    }
    if text.split_whitespace().all(is_uri) {
        return text.split_whitespace().map(to_path).collect(); // quotation marks in a URI are ordinary characters
    }
    // PowerShell pastes its call operator before a quoted path.
    let text = text.strip_prefix("& ").filter(|rest| rest.starts_with(['\'', '"'])).unwrap_or(text);
    let words = split_words(text, cfg!(windows)).unwrap_or_else(|| vec![text.to_owned()]);
    words.iter().map(|word| to_path(word)).collect()
}

/// Splits a line with quotes into words; returns `None` if a quote does not close.
///
/// The rules differ from a shell's: `#` begins no comment, because file names may begin with it. On Windows the
/// backslash separates folders, and a doubled quotation mark is a literal one (PowerShell).
fn split_words(text: &str, windows: bool) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), _) if c == q && windows && chars.peek() == Some(&q) => {
                chars.next();
                word.get_or_insert_default().push(q);
            }
            (Some(q), _) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') if !windows => word.get_or_insert_default().push(chars.next()?),
            (Some('"'), '\\') if !windows && chars.peek().is_some_and(|c| matches!(c, '"' | '\\' | '$' | '`')) => {
                word.get_or_insert_default().extend(chars.next());
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn is_uri(word: &str) -> bool {
    word.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("file://"))
}

fn to_path(word: &str) -> PathBuf {
    if is_uri(word) { path_of_uri(word).unwrap_or_else(|| PathBuf::from(word)) } else { expand_home(word) }
}

/// Returns the path of a `file:` URI (RFC 8089) that has no host or the host `localhost`.
fn path_of_uri(uri: &str) -> Option<PathBuf> {
    let (host, path) = uri[7..].split_at(uri[7..].find('/')?);
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        return None;
    }
    let path: Vec<u8> = percent_decode_str(path).collect();
    // `/C:/x` means `C:/x`
    let drive = cfg!(windows) && matches!(path.as_slice(), [b'/', letter, b':', ..] if letter.is_ascii_alphabetic());
    os_string(if drive { path[1..].to_vec() } else { path }).map(PathBuf::from)
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

/// Expands `~` and `~/x` to the home folder, unless the current folder contains such a path.
fn expand_home(word: &str) -> PathBuf {
    let rest = match word {
        "~" => Some(""),
        _ => word.strip_prefix("~/"),
    };
    match rest.zip(std::env::home_dir()) {
        Some((rest, home)) if !Path::new(word).exists() => home.join(rest),
        _ => PathBuf::from(word),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(text: &str) -> Vec<String> {
        parse_pasted_paths(text).into_iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[cfg(unix)]
    #[test]
    fn unix_quoting_is_understood() {
        for (pasted, expected) in [
            ("", &[][..]),
            (" \n", &[]),
            ("/tmp/no \n", &["/tmp/no"]),
            ("'/tmp/n o' ", &["/tmp/n o"]),
            ("\"/tmp/n o\"", &["/tmp/n o"]),
            ("\"/no/\\\"x\\\" \\y\"", &["/no/\"x\" \\y"]),
            (r"/tmp/n\ o\ \(1\)\&\'\#.txt ", &["/tmp/n o (1)&'#.txt"]),
            (r"'/no/it'\''s here'", &["/no/it's here"]),
            ("/no/a /no/b", &["/no/a", "/no/b"]),
            (r"'/no/a b' /no/c\ d", &["/no/a b", "/no/c d"]),
            ("/no/a #1.txt", &["/no/a", "#1.txt"]),
            ("it's.txt", &["it's.txt"]),
            ("/no/ends with\\", &["/no/ends with\\"]),
            ("''", &[""]),
        ] {
            assert_eq!(paths(pasted), expected, "{pasted}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn uris_are_decoded() {
        for (pasted, expected) in [
            ("file:///no/a%20b%C3%A9", &["/no/a bé"][..]),
            ("file://localhost/no/a", &["/no/a"]),
            ("FILE:///no/it's", &["/no/it's"]),
            ("file:///no/a file:///no/b\r\n", &["/no/a", "/no/b"]),
            ("'file:///no/a%20b' /no/c", &["/no/a b", "/no/c"]),
            ("file://elsewhere/no/a", &["file://elsewhere/no/a"]),
            ("file://", &["file://"]),
        ] {
            assert_eq!(paths(pasted), expected, "{pasted}");
        }
        let raw = parse_pasted_paths("file:///no/%ff");
        assert_eq!(std::os::unix::ffi::OsStrExt::as_bytes(raw[0].as_os_str()), b"/no/\xff");
    }

    #[test]
    fn existing_paths_are_not_unquoted() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a b.txt", "it's 'odd\".txt", "#1 & $2", "-"] {
            let path = folder.path().join(name);
            if std::fs::write(&path, "").is_ok() {
                assert_eq!(parse_pasted_paths(&format!(" {} ", path.display())), [path]);
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_home_folder_is_expanded() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(parse_pasted_paths("~/no\\ such"), [home.join("no such")]);
        assert_eq!(parse_pasted_paths("~"), [home]);
        assert_eq!(paths("~other/x"), ["~other/x"]);
    }

    #[test]
    fn windows_quoting_is_understood() {
        let words = |text| split_words(text, true);
        assert_eq!(words(r"C:\a\b.txt").unwrap(), [r"C:\a\b.txt"]);
        assert_eq!(words(r#""C:\a b\" C:\c"#).unwrap(), [r"C:\a b\", r"C:\c"]);
        assert_eq!(words(r"'C:\it''s here'").unwrap(), [r"C:\it's here"]);
        assert_eq!(words(r"'C:\open"), None);
        assert_eq!(paths("& '/no/x y'"), ["/no/x y"]);
        assert_eq!(paths("& x"), ["&", "x"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(file://)?\\PC{0,60}") {
            let _ = parse_pasted_paths(&text);
            let _ = split_words(&text, true);
        }

        #[test]
        fn quoted_names_are_restored(name in "[a-z '\"\\\\#$é]{1,20}") {
            let quoted = format!("'{}'", name.replace('\'', r"'\''"));
            prop_assert_eq!(split_words(&quoted, false), Some(vec![name]));
        }
    }
}
