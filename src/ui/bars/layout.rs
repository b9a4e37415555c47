//! The layout of a progress bar: its templates and the format of its numbers.

use std::fmt::Write;

use console::{Alignment, Term, measure_text_width, pad_str, truncate_str};
use indicatif::{ProgressState, ProgressStyle};

use crate::{
    text::{self, visible},
    ui::phrase::duration,
};

/// The width of a label in columns.
const LABEL_WIDTH: usize = 14;

/// The width in columns of the numbers and the shortest useful bar.
const MIN_WIDTH: usize = 62;

/// The template of a line that is only text.
pub(super) const TEXT: &str = "{msg}";

const WIDE: &str = "{prefix}[{wide_bar}] {amount}  {rate:>10}  {left:>12}";
const NARROW: &str = "{prefix}{percent:>3} %  {amount}  {rate:>10}";
const UNKNOWN_TOTAL: &str = "{prefix}{spinner} {amount}  {rate:>10}";

const WIDE_WAITING: &str = "{prefix}[{wide_bar}] {amount}  {waiting:>24}";
const NARROW_WAITING: &str = "{prefix}{percent:>3} %  {amount}  waiting";
const UNKNOWN_TOTAL_WAITING: &str = "{prefix}{spinner} {amount}  waiting";

/// The state of a transfer, which determines what its bar shows besides the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BarState {
    /// The rate and the time left.
    Moving,
    /// A note that the connection is lost. The rate and the time left are meaningless then.
    Waiting,
}

/// Returns the style of a bar with this label.
pub(super) fn bar_style(state: BarState, total: Option<u64>, label: &str) -> ProgressStyle {
    style(match (state, total) {
        (BarState::Moving, Some(_)) if is_narrow(label) => NARROW,
        (BarState::Moving, Some(_)) => WIDE,
        (BarState::Moving, None) => UNKNOWN_TOTAL,
        (BarState::Waiting, Some(_)) if is_narrow(label) => NARROW_WAITING,
        (BarState::Waiting, Some(_)) => WIDE_WAITING,
        (BarState::Waiting, None) => UNKNOWN_TOTAL_WAITING,
    })
}

/// Returns the style of a template. The writers are strings, so writing cannot fail.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar()) // a test shows that every template is valid
        .progress_chars("=> ")
        .with_key("amount", |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&amount(state.pos(), state.len()));
        })
        .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{}/s", text::bytes(state.per_sec() as u64));
        })
        .with_key("waiting", |_: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str("waiting to reconnect");
        })
        .with_key("left", |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&time_left(state.eta().as_secs_f64()));
        })
}

/// Whether the terminal has no room for a bar beside this label and the numbers.
pub(super) fn is_narrow(label: &str) -> bool {
    let columns = Term::stderr().size_checked().map_or(usize::MAX, |(_, columns)| usize::from(columns));
    columns < MIN_WIDTH + measure_text_width(label)
}

/// Returns a label of exactly [`LABEL_WIDTH`] columns.
pub(super) fn fixed_width_label(peer: &str) -> String {
    let shown = visible(peer);
    pad_str(&truncate_str(&shown, LABEL_WIDTH, "…"), LABEL_WIDTH, Alignment::Left, None).into_owned()
}

/// Returns the time left, such as `12 s left`; empty if the rate is unknown or too low to be meaningful.
fn time_left(seconds: f64) -> String {
    match seconds {
        ..=0.0 | 360_000.0.. => String::new(),
        ..60.0 => format!("{seconds:.0} s left"),
        _ => format!("{} left", duration(seconds)),
    }
}

fn amount(bytes: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} / {}", text::bytes(bytes), text::bytes(total)),
        None => text::bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_short() {
        assert_eq!(time_left(0.0), "");
        assert_eq!(time_left(12.4), "12 s left");
        assert_eq!(time_left(125.0), "2 min 5 s left");
        assert_eq!(time_left(1e12), "");
    }

    #[test]
    fn every_template_is_valid() {
        for template in [TEXT, WIDE, NARROW, UNKNOWN_TOTAL, WIDE_WAITING, NARROW_WAITING, UNKNOWN_TOTAL_WAITING] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
