//! Pieces of sentences: amounts, durations, rates, and text from the other side.

use console::{Style, measure_text_width, truncate_str};

use crate::{
    route::Route,
    text::{self, visible},
};

/// The indentation of commands and paths. Two columns, so that the longest command, which contains a pin, fits 80
/// columns.
pub(super) const INDENT: &str = "  ";

/// Returns a summary such as `214 files, 1.3 GB`.
pub(super) fn files_and_bytes(files: u64, bytes: Option<u64>) -> String {
    let size = bytes.map_or_else(|| "unknown size".to_owned(), text::bytes);
    format!("{}, {size}", text::count(files, "file"))
}

/// Returns a duration such as `12.1 s`, `2 min 5 s` or `3 h 20 min`.
pub(super) fn duration(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        ..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// Returns an amount such as `1.3 GB in 12.1 s`.
pub(super) fn bytes_in(bytes: u64, seconds: f64) -> String {
    format!("{} in {}", text::bytes(bytes), duration(seconds))
}

/// Returns a rate such as `107.4 MB/s`; `None` if the time is too short for a rate.
pub(super) fn rate(bytes: u64, seconds: f64) -> Option<String> {
    (seconds >= 0.001).then(|| format!("{}/s", text::bytes((bytes as f64 / seconds) as u64)))
}

/// Returns the route as the end of a sentence.
pub(super) fn via(route: Route) -> &'static str {
    match route {
        Route::Relay => " via relay",
        Route::Direct => " directly",
        Route::Lan => " on this network",
        Route::Local => " on this machine",
    }
}

/// Returns all of `text`, with hostile characters escaped. [`visible`] truncates long text, but a list that the user
/// checks must be complete.
pub(super) fn visible_whole(text: &str) -> String {
    const CHUNK: usize = 500; // `visible` truncates longer text
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return text.to_owned(); // the fast path for long lists
    }
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(CHUNK).map(|chunk| visible(&chunk.iter().collect::<String>())).collect()
}

/// Returns `text` in at most `width` columns. Cuts the middle, because the end of a name shows the kind of file.
pub(super) fn fit(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let ends = text.char_indices().rev().map(|(at, _)| &text[at..]);
    let end = ends.take_while(|end| measure_text_width(end) <= width / 2).last().unwrap_or_default();
    format!("{}{end}", truncate_str(text, width - measure_text_width(end), "…"))
}

/// Returns a message of this program, which may have several lines, with hostile characters escaped.
pub(super) fn visible_lines(text: &str) -> String {
    text.lines().map(visible_whole).collect::<Vec<_>>().join("\n")
}

/// Returns a warning with its hint below.
pub(super) fn warning(message: &str, hint: Option<&str>, color: bool) -> String {
    labeled(&paint("warning:", Style::new().yellow().bold(), color), message, hint)
}

/// Returns an error with its hint below.
pub(super) fn error(message: &str, hint: Option<&str>, color: bool) -> String {
    labeled(&paint("error:", Style::new().red().bold(), color), message, hint)
}

fn labeled(label: &str, message: &str, hint: Option<&str>) -> String {
    let hint = hint.map(|hint| format!("hint: {}\n", visible_lines(hint))).unwrap_or_default();
    format!("{label} {}\n{hint}", visible_lines(message))
}

/// Wraps lines that exceed `width` columns between words. A word that is wider stays whole.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let mut shown = String::with_capacity(text.len() + text.len() / 40);
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            shown.push('\n');
        }
        let mut column = 0;
        for word in line.split_inclusive(' ') {
            if column > 0 && column + measure_text_width(word.trim_end()) > width {
                shown.truncate(shown.trim_end_matches(' ').len());
                shown.push('\n');
                column = 0;
            }
            shown.push_str(word);
            column += measure_text_width(word);
        }
    }
    shown
}

/// Returns `text`, in `style` if `color` is set.
pub(super) fn paint(text: &str, style: Style, color: bool) -> String {
    if color { style.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_durations_and_rates_are_readable() {
        assert_eq!(files_and_bytes(1, Some(12)), "1 file, 12 B");
        assert_eq!(files_and_bytes(1_214, None), "1,214 files, unknown size");
        assert_eq!(duration(12.06), "12.1 s");
        assert_eq!(duration(59.99), "1 min 0 s");
        assert_eq!(duration(125.0), "2 min 5 s");
        assert_eq!(duration(12_000.0), "3 h 20 min");
        assert_eq!(duration(f64::NAN), "0.0 s");
        assert_eq!(duration(-1.0), "0.0 s");
        assert_eq!(bytes_in(1_300_000_000, 12.1), "1.3 GB in 12.1 s");
        assert_eq!(rate(1_300_000_000, 12.1).as_deref(), Some("107.4 MB/s"));
        assert_eq!(rate(2_000, 0.0), None);
    }

    #[test]
    fn text_that_is_too_wide_loses_its_middle() {
        assert_eq!(fit("holiday.jpg", 11), "holiday.jpg");
        assert_eq!(fit("a long holiday.jpg", 12), "a lon…ay.jpg");
        assert_eq!(fit(&"宽".repeat(30), 12), "宽宽…宽宽宽");
    }

    #[test]
    fn messages_wrap_between_words() {
        let path = "/a/path/that/is/wider/than/the/terminal";
        let message =
            error(&format!("cannot write {path} now, because the disk\nis full"), Some("make room on it, then"), false);
        assert_eq!(
            wrapped(&message, 20),
            format!("error: cannot write\n{path}\nnow, because the\ndisk\nis full\nhint: make room on\nit, then\n")
        );
        assert_eq!(wrapped(&message, 200), message);
        let colored = error("a b c d", None, true);
        assert_eq!(wrapped(&colored, 14), colored, "escape sequences have no width");
    }

    #[test]
    fn long_text_is_shown_to_its_end() {
        let long = format!("{}\x1b[2J", "é".repeat(1_200));
        assert_eq!(visible_whole(&long), format!("{}\\u{{1b}}[2J", "é".repeat(1_200)));
        assert_eq!(visible_lines("one\ntwo\x07"), "one\ntwo\\u{7}");
    }
}
