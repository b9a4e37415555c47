//! The progress bar of one transfer.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::layout::{BarState, bar_style};

/// The progress bar of one transfer.
#[derive(Debug)]
pub(super) struct TransferBar {
    bar: ProgressBar,
    state: BarState,
}

impl TransferBar {
    /// Adds a bar to `group`, at `index` or at the end. Bytes before `bytes` do not count for its rate.
    pub(super) fn add_to(
        group: &MultiProgress,
        index: Option<usize>,
        label: &str,
        bytes: u64,
        total: Option<u64>,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_position(bytes);
        bar.set_prefix(if label.is_empty() { String::new() } else { format!("{label} ") });
        bar.set_style(bar_style(BarState::Moving, total, label));
        restart_rate(&bar);
        let bar = match index {
            Some(index) => group.insert(index, bar),
            None => group.add(bar),
        };
        Self { bar, state: BarState::Moving }
    }

    /// Moves the bar to `bytes`.
    pub(super) fn advance(&mut self, bytes: u64, total: Option<u64>) {
        if let Some(total) = total
            && self.bar.length() != Some(total)
        {
            self.bar.set_length(total);
        }
        self.bar.set_position(bytes);
        if self.state == BarState::Waiting {
            self.set_state(BarState::Moving, total);
            restart_rate(&self.bar);
        }
    }

    /// Shows that the transfer waits for a connection.
    pub(super) fn show_waiting(&mut self) {
        self.set_state(BarState::Waiting, self.bar.length());
    }

    pub(super) fn draw(&self) {
        self.bar.tick();
    }

    pub(super) fn remove_from(self, group: &MultiProgress) {
        self.bar.finish_and_clear();
        group.remove(&self.bar);
    }

    fn set_state(&mut self, state: BarState, total: Option<u64>) {
        self.state = state;
        self.bar.set_style(bar_style(state, total, &self.bar.prefix()));
    }
}

/// Restarts the measurement of the rate at the current position.
fn restart_rate(bar: &ProgressBar) {
    bar.tick();
    bar.reset_eta();
}
