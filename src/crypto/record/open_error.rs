//! The error of a record that does not open.

/// A record that was changed, reordered, or sealed by another session. The causes cannot be distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record was changed in transit")]
pub struct OpenError;
