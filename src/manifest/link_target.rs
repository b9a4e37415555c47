//! The rule for the targets of symbolic links.

use super::{
    limits::MAX_LINK_TARGET,
    safe_path::{SafePath, has_drive},
};
use crate::text::is_forbidden_in_names;

/// Why a link cannot be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkTargetError {
    /// The target is empty, too long, or has a character that names must not have.
    Text,
    /// The target is absolute.
    Absolute,
    /// The target is not in the top-level folder that holds the link, or the text does not show that it is.
    Outside,
}

/// Checks that a link at `path` with this target stays within the top-level folder that holds it.
///
/// `..` is allowed only before the first name: a name before it could be a link itself, and then `..` would lead
/// elsewhere than the text says. So every link ends below its top-level folder, and by induction every chain of links
/// does.
///
/// # Errors
/// The rule that the target breaks.
pub fn check_link_target(path: &SafePath, target: &str) -> Result<(), LinkTargetError> {
    if target.is_empty() || target.len() > MAX_LINK_TARGET || target.chars().any(is_forbidden_in_names) {
        return Err(LinkTargetError::Text);
    }
    if target.starts_with(['/', '\\']) || has_drive(target) {
        return Err(LinkTargetError::Absolute);
    }
    let folders_above = path.depth() - 1;
    let mut climbed = 0;
    let mut has_name = false;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if has_name => return Err(LinkTargetError::Outside),
            ".." => climbed += 1,
            _ => has_name = true,
        }
    }
    if climbed < folders_above { Ok(()) } else { Err(LinkTargetError::Outside) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_targets_within_the_top_level_folder_are_allowed() {
        let is_inside = |path: &str, target| check_link_target(&SafePath::parse(path).unwrap(), target).is_ok();
        assert!(is_inside("a/l", "b"));
        assert!(is_inside("a/b/l", "./../c/d"));
        for outside in ["..", "../b", "/etc/shadow", "b/../..", "c/..", "\\\\srv\\x", "C:\\x", "", "a\nb"] {
            assert!(!is_inside("a/l", outside), "{outside}");
        }
        assert!(!is_inside("a/b/l", "../../x"));
        assert!(!is_inside("l", "x"));
        let error = |target| check_link_target(&SafePath::parse("a/l").unwrap(), target).unwrap_err();
        assert_eq!(
            ["..", "/a", "a\u{202e}"].map(error),
            [LinkTargetError::Outside, LinkTargetError::Absolute, LinkTargetError::Text,]
        );
        assert!(is_inside("a/l", "a\u{200f}"));
    }
}
