//! What users take for a path to share.

use std::path::{Path, PathBuf};

use crate::{
    code::{Code, Link},
    error::{Error, Kind, Result},
    text::visible,
};

/// Checks that none of the paths to share is a web address, a link, or a code.
///
/// # Errors
/// [`Kind::Usage`], with the command that the user may have meant.
pub(super) fn check(paths: &[PathBuf]) -> Result<()> {
    paths.iter().filter(|path| path.symlink_metadata().is_err()).try_for_each(|path| check_missing(path))
}

/// Checks a path that does not exist. The errors do not repeat a code.
fn check_missing(path: &Path) -> Result<()> {
    let Some(text) = path.to_str() else { return Ok(()) };
    let error = |message: &str, hint: &str| Err(Error::new(Kind::Usage, message).hint(hint));
    if Link::has_scheme(text) {
        return error("this is the link of a share, not a path", "to download it, run qshare recv \"LINK\"");
    }
    if Code::parse(text).is_ok() {
        return error("this is the code of a share, not a path", "to download it, run qshare recv CODE");
    }
    if text.contains("://") && !text.starts_with("file:") {
        let message = format!("{} is a web address; qshare shares files and folders", visible(text));
        return error(&message, "download it first, then share the file");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(path: &str) -> Option<String> {
        check(&[path.into()]).err().map(|e| format!("{}: {}", e.message(), e.hint_text().unwrap_or_default()))
    }

    #[test]
    fn addresses_links_and_codes_are_no_paths() {
        let web = message("https://example.com/a.zip").unwrap();
        assert!(web.starts_with("https://example.com/a.zip is a web address"), "{web}");
        for secret in ["qshare://relay.example/XKY9-7HQ2ME", "XKY9-7HQ2ME"] {
            let message = message(secret).unwrap();
            assert!(message.contains("qshare recv") && !message.contains("7HQ2M"), "{message}");
        }
        for path in ["/no/such/file", "a:b", "."] {
            assert_eq!(message(path), None);
        }
    }
}
