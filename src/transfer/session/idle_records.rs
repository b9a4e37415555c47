//! Bounds the records that change no state.
//!
//! Otherwise a peer could keep this end busy, and a download alive, indefinitely.

use crate::wire::WireError;

/// The most such records in a row. An honest end sends one every few seconds while both ends hash staged data.
const MAX_IN_A_ROW: u32 = 1024;

/// Counts consecutive records that change no state.
#[derive(Debug, Default)]
pub(crate) struct IdleRecords(u32);

impl IdleRecords {
    /// Counts a record, or resets the count if the record changed any state.
    ///
    /// # Errors
    /// [`WireError::OutOfTurn`] if too many consecutive records changed no state.
    pub(crate) fn note(&mut self, has_changed_something: bool) -> Result<(), WireError> {
        self.0 = if has_changed_something { 0 } else { self.0 + 1 };
        if self.0 > MAX_IN_A_ROW { Err(WireError::OutOfTurn) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idle_records_in_a_row_count() {
        let mut idle = IdleRecords::default();
        for _ in 0..3 {
            assert!((0..MAX_IN_A_ROW).all(|_| idle.note(false).is_ok()));
            assert!(idle.note(true).is_ok());
        }
        assert!((0..MAX_IN_A_ROW).all(|_| idle.note(false).is_ok()));
        assert_eq!(idle.note(false), Err(WireError::OutOfTurn));
    }
}
