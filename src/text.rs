//! Text for people: escaped text from the other side, and readable counts and sizes.

/// Whether `c` has Unicode's `Bidi_Control` property (UAX #9). Such characters reorder the text around them.
pub(crate) const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether `c` is a mark that right-to-left text contains legitimately. Unlike the other bidirectional controls, it
/// reorders only the neutral characters beside it.
pub(crate) const fn is_directional_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
}

/// Whether a name or a link target must not contain `c`: a control character, or a bidirectional control that can
/// make a name look like another one.
pub(crate) fn is_forbidden_in_names(c: char) -> bool {
    c.is_control() || (is_bidi_control(c) && !is_directional_mark(c))
}

/// Returns `text` with control, bidi, line-separator and escape characters escaped (`\u{1b}`), truncated to 500
/// characters. Such text from the other side cannot move the cursor, hide parts of itself or flood the screen.
pub(crate) fn visible(text: &str) -> String {
    const MAX_CHARS: usize = 500;
    let mut shown = String::with_capacity(text.len().min(MAX_CHARS));
    for (count, c) in text.chars().enumerate() {
        if count == MAX_CHARS {
            shown.push('…');
            break;
        }
        if c.is_control() || is_bidi_control(c) || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Returns the system's message of an error, without its number.
pub(crate) fn system_message(e: &std::io::Error) -> String {
    let message = e.to_string();
    message.split(" (os error ").next().unwrap_or_default().to_owned()
}

/// Returns `heading` with the first `max` of `total` lines below it, and the number of those that are not shown. A
/// single line is beside the heading.
pub(crate) fn list(heading: &str, lines: impl IntoIterator<Item = String>, total: u64, max: usize) -> String {
    let mut lines = lines.into_iter();
    if total == 1 {
        return format!("{heading}: {}", lines.next().unwrap_or_default());
    }
    let mut list = format!("{heading}:");
    lines.take(max).for_each(|line| {
        list.push_str("\n  ");
        list.push_str(&line);
    });
    match total.saturating_sub(max as u64) {
        0 => {}
        more => list.push_str(&format!("\n  and {} more", grouped(more))),
    }
    list
}

/// Returns a count with its noun, in groups of three digits: `1 file`, `10,000 files`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(n))
}

/// Formats a number in groups of three digits: `10,000`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

/// Returns a size in powers of 1000, the units of disks and network rates: `999 B`, `1.5 kB`, `73.2 MB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_escaped() {
        assert_eq!(visible("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(visible("evil\u{202e}gpj.exe"), "evil\\u{202e}gpj.exe");
        assert_eq!(visible("👩‍👩‍👧 می‌خواهم.txt"), "👩‍👩‍👧 می‌خواهم.txt");
        assert_eq!(visible(&"x".repeat(9_000)).chars().count(), 501);
    }

    #[test]
    fn a_long_list_is_shortened() {
        let lines = |total: u64| (1..=total).map(|n| format!("line {n}"));
        assert_eq!(list("1 thing", lines(1), 1, 2), "1 thing: line 1");
        assert_eq!(list("2 things", lines(2), 2, 2), "2 things:\n  line 1\n  line 2");
        assert_eq!(list("2000 things", lines(2_000), 2_000, 1), "2000 things:\n  line 1\n  and 1,999 more");
    }

    #[test]
    fn counts_and_sizes_are_readable() {
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(10_000, "file"), "10,000 files");
        assert_eq!(count(0, "file"), "0 files");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }
}
