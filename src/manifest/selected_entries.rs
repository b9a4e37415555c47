//! How the selected part of a manifest relates to the whole one.

/// The entries of a selection, and the identity of the selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SelectedEntries {
    /// The number of each entry in the whole manifest, in ascending order.
    pub(super) numbers: Vec<u32>,
    /// The number of entries that are not selected.
    pub(super) others: u64,
    /// The identity of the selection.
    pub(super) digest: [u8; 32],
}
