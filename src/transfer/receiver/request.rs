//! Flight 4: what is staged, and the request for entries.

use crate::{
    disk::StagedFile,
    manifest::Manifest,
    transfer::session::RecordBuilder,
    wire::{
        WireError,
        peer::{FileRequest, MAX_STAGED_FILES, StagedFiles},
    },
};

/// Encodes the list of staged files, and the request for the `wanted` ranges of entries, which have the numbers of the
/// sender's manifest.
///
/// # Errors
/// [`WireError`] if a message does not fit, which does not happen with a manifest that was accepted.
pub(super) fn encode_request(
    manifest: &Manifest,
    staged: &[StagedFile],
    wanted: Vec<(u32, u32)>,
) -> Result<Vec<RecordBuilder>, WireError> {
    let list = |files: &[StagedFile]| StagedFiles {
        files: files.iter().map(|StagedFile { index, bytes }| (manifest.number(*index), *bytes)).collect(),
    };
    let mut records = Vec::new();
    for files in staged.chunks(MAX_STAGED_FILES) {
        records.push(RecordBuilder::from_message(&list(files))?);
    }
    records.push(RecordBuilder::from_message(&FileRequest { wanted })?);
    Ok(records)
}

/// Merges ascending numbers into half-open ranges.
pub(super) fn ranges(numbers: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for n in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end == n => *end += 1,
            _ => ranges.push((n, n + 1)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_numbers_share_a_range() {
        assert_eq!(ranges([0, 1, 2, 5, 7, 8].into_iter()), [(0, 3), (5, 6), (7, 9)]);
        assert_eq!(ranges(std::iter::empty()), []);
    }
}
