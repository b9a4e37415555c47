//! A windowed maximum filter.

use std::collections::VecDeque;

/// The maximum of a value over the latest rounds.
#[derive(Debug, Clone, Default)]
pub(super) struct WindowedMax {
    /// Rounds and values. The values decrease: a value that is older than a larger one can never be the maximum.
    values: VecDeque<(u64, f64)>,
}

impl WindowedMax {
    /// Adds a value of `round`, and drops the values that are `window` rounds older or more.
    pub(super) fn update(&mut self, round: u64, value: f64, window: u64) {
        while self.values.back().is_some_and(|(_, smaller)| *smaller <= value) {
            self.values.pop_back();
        }
        self.values.push_back((round, value));
        while self.values.front().is_some_and(|(oldest, _)| oldest + window <= round) {
            self.values.pop_front();
        }
    }

    /// The maximum, or `None` before the first value.
    pub(super) fn max(&self) -> Option<f64> {
        self.values.front().map(|(_, value)| *value)
    }

    /// The maximum since `round`, inclusive.
    pub(super) fn max_since(&self, round: u64) -> Option<f64> {
        self.values.iter().find(|(at, _)| *at >= round).map(|(_, value)| *value)
    }

    /// Drops the values from before `round`, unless there are no newer ones.
    pub(super) fn forget_before(&mut self, round: u64) {
        if self.max_since(round).is_some() {
            self.values.retain(|(at, _)| *at >= round);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_covers_the_window_only() {
        let mut filter = WindowedMax::default();
        for (round, value) in [(0, 9.0), (1, 5.0), (2, 7.0), (3, 6.0)] {
            filter.update(round, value, 3);
        }
        assert_eq!((filter.max(), filter.max_since(2), filter.max_since(3)), (Some(7.0), Some(7.0), Some(6.0)));
    }

    #[test]
    fn older_values_are_dropped_only_if_newer_ones_exist() {
        let mut filter = WindowedMax::default();
        filter.update(2, 7.0, 3);
        filter.update(3, 6.0, 3);
        filter.forget_before(9);
        assert_eq!(filter.max(), Some(7.0));
        filter.forget_before(3);
        assert_eq!(filter.max(), Some(6.0));
    }
}
