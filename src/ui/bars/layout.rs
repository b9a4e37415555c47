//! The layout of the line that shows a transfer.

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use tokio::time::Instant;

use super::transfer_bar::TransferBar;
use crate::{text, ui::phrase::duration};

/// The width in columns of the smallest bar, brackets included.
const MIN_BAR: usize = 12;

/// The width in columns of the percentage.
const PERCENT: usize = 5;

/// The width in columns of the amount.
const AMOUNT: usize = 19;

/// The width in columns of the rate and the time left.
const PACE: usize = RATE + GAP.len() + TIME_LEFT;
const RATE: usize = 10;
const TIME_LEFT: usize = 16;

const GAP: &str = "  ";

/// Returns the line of a transfer in at most `width` columns: a bar and all numbers, without the amount if there is no
/// room for it, or the most important numbers without a bar.
pub(super) fn line(label: &str, bar: &TransferBar, width: usize, now: Instant) -> String {
    let label = if label.is_empty() { String::new() } else { format!("{label} ") };
    let Some(total) = bar.total else {
        return truncated(&format!("{label}{}{GAP}{}", text::bytes(bar.bytes), pace(bar, now)), width);
    };
    let percent = format!("{:>3} %", percent(bar.bytes, total));
    let amount = format!("{} / {}", text::bytes(bar.bytes), text::bytes(total));
    let numbers = PERCENT + GAP.len() + PACE;
    let room = width.saturating_sub(measure_text_width(&label) + 1 + numbers);
    let (bar_width, amount) = match room.checked_sub(AMOUNT + GAP.len()) {
        Some(room) if room >= MIN_BAR => (room, format!("{amount:>AMOUNT$}{GAP}")),
        _ => (room, String::new()),
    };
    let drawn = if bar_width >= MIN_BAR { drawn(bar.bytes, total, bar_width) + " " } else { String::new() };
    truncated(&format!("{label}{drawn}{percent}{GAP}{amount}{}", pace(bar, now)), width)
}

/// Returns a label that takes the same width for every receiver, unless the terminal is too narrow for a bar beside it.
pub(super) fn label(peer: &str, width: usize) -> String {
    const WIDTH: usize = 14;
    let shown = truncate_str(&text::visible(peer), WIDTH, "…").into_owned();
    if width < WIDTH + 1 + MIN_BAR + 1 + PERCENT + GAP.len() + PACE {
        return shown;
    }
    pad_str(&shown, WIDTH, Alignment::Left, None).into_owned()
}

/// Returns the rate and the time left.
fn pace(bar: &TransferBar, now: Instant) -> String {
    if bar.waiting {
        return "waiting to reconnect".to_owned();
    }
    let rate = bar.rate(now);
    let shown = format!("{}/s", text::bytes(rate));
    match bar.total.map(|total| time_left(total.saturating_sub(bar.bytes), rate)) {
        Some(left) if !left.is_empty() => format!("{shown:>RATE$}{GAP}{left}"),
        _ => format!("{shown:>RATE$}"),
    }
}

/// Returns the time left, such as `12 s left`; empty if the rate is too low for a meaningful one.
fn time_left(bytes: u64, rate: u64) -> String {
    match bytes as f64 / rate as f64 {
        ..=0.0 => String::new(),
        seconds @ ..59.5 => format!("{:.0} s left", seconds.max(1.0)),
        seconds @ ..360_000.0 => format!("{} left", duration(seconds)),
        _ => String::new(), // also if both are 0
    }
}

/// Returns the percentage, rounded down: only a complete transfer has 100 %.
fn percent(bytes: u64, total: u64) -> u128 {
    if total == 0 { 100 } else { u128::from(bytes.min(total)) * 100 / u128::from(total) }
}

/// Draws the bar itself.
fn drawn(bytes: u64, total: u64, width: usize) -> String {
    let inside = width - 2;
    let done = (percent(bytes, total) * inside as u128 / 100) as usize;
    let head = if done > 0 && done < inside { ">" } else { "" };
    format!("[{:<inside$}]", "=".repeat(done - head.len()) + head)
}

fn truncated(line: &str, width: usize) -> String {
    truncate_str(line.trim_end(), width, "").into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MB: u64 = 1_000_000;

    /// A transfer of 1 GB that has transferred 300 MB, at 12 MB/s.
    fn bar() -> (TransferBar, Instant) {
        let start = Instant::now();
        let mut bar = TransferBar::new(240 * MB, Some(1_000 * MB), start);
        let now = start + Duration::from_secs(5);
        bar.advance(300 * MB, Some(1_000 * MB), now);
        (bar, now)
    }

    #[test]
    fn a_line_shows_what_fits() {
        let (bar, now) = bar();
        for (width, expected) in [
            (100, "[===========>                            ]  30 %  300.0 MB / 1.0 GB    12.0 MB/s  58 s left"),
            (79, "[=====>              ]  30 %  300.0 MB / 1.0 GB    12.0 MB/s  58 s left"),
            (49, "[==>       ]  30 %   12.0 MB/s  58 s left"),
            (40, " 30 %   12.0 MB/s  58 s left"),
            (18, " 30 %   12.0 MB/s"),
        ] {
            let line = line("", &bar, width, now);
            assert_eq!(line.split_whitespace().collect::<Vec<_>>(), expected.split_whitespace().collect::<Vec<_>>());
            assert!(measure_text_width(&line) <= width, "{line}");
        }
    }
}
