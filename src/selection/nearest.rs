//! Finds the entries that a pattern without a match may have meant.

use super::pattern::Pattern;
use crate::manifest::Manifest;

/// The most entries that are named.
const MAX_NEAREST: usize = 3;

/// Returns the paths of the entries that are most similar to a pattern, ignoring case. Of several entries with the same
/// name, a pattern for names gets only the first.
pub(super) fn nearest_entries(pattern: &Pattern, manifest: &Manifest) -> Vec<String> {
    let wanted = pattern.text().trim_matches('/').to_lowercase();
    let mut nearest: Vec<(f64, String, String)> = Vec::new();
    for entry in manifest.entries() {
        let subject = pattern.subject_of(entry.path.as_str());
        let similarity = strsim::jaro_winkler(&wanted, &subject.to_lowercase());
        let is_full = nearest.len() == MAX_NEAREST;
        if (is_full && nearest.last().is_some_and(|(last, ..)| *last >= similarity))
            || nearest.iter().any(|(_, known, _)| known == subject)
        {
            continue;
        }
        nearest.truncate(MAX_NEAREST - 1);
        let at = nearest.partition_point(|(other, ..)| *other >= similarity);
        nearest.insert(at, (similarity, subject.to_owned(), entry.path.into_string()));
    }
    nearest.into_iter().map(|(.., path)| path).collect()
}
