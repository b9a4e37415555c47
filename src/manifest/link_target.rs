//! The rule for the targets of symbolic links.

use super::{
    limits::MAX_LINK_TARGET,
    safe_path::{SafePath, has_drive},
};
use crate::text::is_bidi_control;

/// Whether a link at `path` with this target stays within the top-level folder that holds it.
///
/// `..` is allowed only before the first name: a name before it could be a link itself, and then `..` would lead
/// elsewhere than the text says. So every link ends below its top-level folder, and by induction every chain of links
/// does.
pub fn link_stays_inside(path: &SafePath, target: &str) -> bool {
    if target.is_empty()
        || target.len() > MAX_LINK_TARGET
        || target.starts_with(['/', '\\'])
        || target.chars().any(|c| c.is_control() || is_bidi_control(c))
        || has_drive(target)
    {
        return false;
    }
    let folders_above = path.depth() - 1;
    let mut climbed = 0;
    let mut has_name = false;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if has_name => return false,
            ".." => climbed += 1,
            _ => has_name = true,
        }
    }
    climbed < folders_above
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_targets_within_the_top_level_folder_are_allowed() {
        let is_inside = |path: &str, target| link_stays_inside(&SafePath::parse(path).unwrap(), target);
        assert!(is_inside("a/l", "b"));
        assert!(is_inside("a/b/l", "./../c/d"));
        for outside in ["..", "../b", "/etc/shadow", "b/../..", "c/..", "\\\\srv\\x", "C:\\x", "", "a\nb"] {
            assert!(!is_inside("a/l", outside), "{outside}");
        }
        assert!(!is_inside("a/b/l", "../../x"));
        assert!(!is_inside("l", "x"));
    }
}
