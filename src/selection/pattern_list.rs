//! Several patterns, and which of them have matched.

use super::{nearest::nearest_entries, pattern::Pattern};
use crate::{
    error::{Error, Kind, Result},
    manifest::Manifest,
    text::visible,
};

/// Several patterns, and which of them have matched an entry.
#[derive(Debug, Clone, Default)]
pub struct PatternList(Vec<(Pattern, bool)>);

impl PatternList {
    /// Creates a list of patterns that have not matched.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns.into_iter().map(|pattern| (pattern, false)).collect())
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any pattern matches the entry at `path`. Notes which of them do.
    pub fn matches(&mut self, path: &str, is_folder: bool) -> bool {
        let mut is_match = false;
        for (pattern, has_matched) in &mut self.0 {
            if (!is_match || !*has_matched) && pattern.matches(path, is_folder) {
                (is_match, *has_matched) = (true, true);
            }
        }
        is_match
    }

    /// Checks that every pattern has matched an entry. `option` is the option that the patterns belong to.
    ///
    /// # Errors
    /// [`Kind::Usage`], with the entries of `manifest` that are most similar to the first pattern that has not.
    pub fn check_matched(&self, option: &str, manifest: &Manifest) -> Result<()> {
        let Some((pattern, _)) = self.0.iter().find(|(_, has_matched)| !has_matched) else { return Ok(()) };
        let nearest: Vec<_> = nearest_entries(pattern, manifest).iter().map(|path| visible(path)).collect();
        let nearest = match &nearest[..] {
            [] => String::new(),
            [only] => format!("; the nearest entry is {only}"),
            several => format!("; the nearest entries are {}", several.join(", ")),
        };
        let message = format!("{option}: “{}” matches nothing in this share{nearest}", visible(pattern.text()));
        Err(Error::new(Kind::Usage, message)
            .hint("case matters; a pattern with a slash is compared with the whole path, as recv --list shows it"))
    }
}
