//! Text for people: escaped text from the other side, and readable counts and sizes.

/// Whether `c` has Unicode's `Bidi_Control` property (UAX #9). Such characters reorder the text around them.
pub const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns `text` with control, bidi, line-separator and escape characters escaped (`\u{1b}`), truncated to 500
/// characters. Such text from the other side cannot move the cursor, hide parts of itself or flood the screen.
pub fn visible(text: &str) -> String {
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
pub fn system_message(e: &std::io::Error) -> String {
    let message = e.to_string();
    message.split(" (os error ").next().unwrap_or_default().to_owned()
}

/// Returns a count with its noun, in groups of three digits: `1 file`, `10,000 files`.
pub fn count(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(n))
}

/// Formats a number in groups of three digits: `10,000`.
pub fn grouped(n: u64) -> String {
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
pub fn bytes(n: u64) -> String {
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
