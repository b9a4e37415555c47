//! Flight 4: the hashes of the staged data, and the request for entries.

use crate::{
    disk::GroupHash,
    transfer::session::RecordBuilder,
    wire::{
        WireError,
        peer::{FileRequest, MAX_GROUPS, StagedGroups},
    },
};

/// Encodes the hashes of the staged groups of each entry, and the request for the `wanted` ranges of entries.
///
/// # Errors
/// [`WireError`] if a message does not fit, which does not happen with a manifest that was accepted.
pub(super) fn encode_request(
    staged: &[(usize, Vec<GroupHash>)],
    wanted: Vec<(u32, u32)>,
) -> Result<Vec<RecordBuilder>, WireError> {
    /// The room for a frame of [`MAX_GROUPS`] groups.
    const FRAME: usize = 64 * 1024;
    let mut records = vec![RecordBuilder::new()];
    for (entry, groups) in staged {
        for groups in groups.chunks(MAX_GROUPS) {
            if records.last().is_none_or(|record| record.remaining() < FRAME) {
                records.push(RecordBuilder::new());
            }
            if let Some(record) = records.last_mut() {
                record.push(&StagedGroups { entry: *entry as u32, groups: groups.to_vec() })?;
            }
        }
    }
    records.push(RecordBuilder::from_message(&FileRequest { wanted })?);
    records.retain(|record| !record.is_empty());
    Ok(records)
}

/// Merges ascending numbers into half-open ranges.
pub(super) fn ranges(numbers: impl Iterator<Item = usize>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for n in numbers.map(|n| n as u32) {
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
