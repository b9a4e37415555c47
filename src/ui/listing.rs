//! The tables of `recv --list`, `shares` and `parts`.

use super::phrase::{INDENT, visible_whole};
use crate::{
    code::Revealed,
    event::{InterruptedDownload, InterruptedShare, ListedEntry},
    text,
};

/// One line per entry: mode, size, time of modification (UTC), path, and where a link points.
pub(super) fn table(entries: &[ListedEntry]) -> String {
    entries.iter().map(row).collect()
}

fn row(entry: &ListedEntry) -> String {
    let size = match (entry.kind, entry.size) {
        ("file", Some(size)) => text::bytes(size),
        ("file", None) => "?".to_owned(),
        _ => "-".to_owned(),
    };
    let time = entry.mtime.and_then(minute).unwrap_or_else(|| "-".to_owned());
    let mode = mode(entry);
    let path = visible_whole(&entry.path);
    let folder = if entry.kind == "folder" { "/" } else { "" };
    let target = entry.link.as_deref().map(|to| format!(" -> {}", visible_whole(to))).unwrap_or_default();
    format!("{mode} {size:>8} {time:>16} {path}{folder}{target}\n")
}

/// A share that is kept: its code and name, until when, and what it shares.
pub(super) fn kept(share: &InterruptedShare) -> String {
    let code = share.code.as_ref().map_or("-", Revealed::as_str);
    let until = i64::try_from(share.expires).ok().and_then(minute);
    let state = match until {
        _ if share.running => "shared now".to_owned(),
        Some(until) => format!("kept until {until} UTC"),
        None => "kept".to_owned(),
    };
    let relay = share.relay.as_deref().map_or_else(|| "its own relay".to_owned(), visible_whole);
    let id = share.share.get(..8).unwrap_or(&share.share);
    let paths: String = share.paths.iter().map(|path| format!("{INDENT}{}\n", visible_whole(path))).collect();
    format!("{code}  {}, {state}, {relay}, id {id}\n{paths}", visible_whole(&share.name))
}

/// What a download has left: where, how much, and since when nobody goes on with it.
pub(super) fn part(part: &InterruptedDownload) -> String {
    let last = part.modified.and_then(|at| i64::try_from(at).ok()).and_then(minute);
    let state = match last {
        _ if part.running => "being written now".to_owned(),
        Some(last) => format!("last written {last} UTC"),
        None => "left behind".to_owned(),
    };
    let (bytes, files) = (text::bytes(part.bytes), text::count(part.files, "file"));
    format!("{}  {bytes} in {files}, {state}\n", visible_whole(&part.path))
}

/// As `ls -l` writes it: `-rwxr-x---`.
fn mode(entry: &ListedEntry) -> String {
    let kind = match entry.kind {
        "folder" => 'd',
        "link" => 'l',
        _ => '-',
    };
    let bits = (0..9).map(|i| if entry.mode & (0o400 >> i) == 0 { '-' } else { ['r', 'w', 'x'][i % 3] });
    std::iter::once(kind).chain(bits).collect()
}

/// `2026-01-31 23:59` in UTC; none outside the years 0 to 9999.
pub(super) fn minute(seconds: i64) -> Option<String> {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    (0..=9_999).contains(&year).then(|| {
        let (hour, minute) = (of_day / 3_600, of_day % 3_600 / 60);
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
    })
}

/// The Gregorian date of a day counted from 1970-01-01: Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>). Years begin in March, so that the leap day comes last.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468; // days from 0000-03-01
    let era = z.div_euclid(146_097); // 400 years
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153; // March is 0
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: &'static str, size: Option<u64>, mtime: Option<i64>) -> ListedEntry {
        let link = (kind == "link").then(|| "../to".to_owned());
        ListedEntry { path: path.into(), kind, size, mode: 0o754, mtime, link }
    }

    #[test]
    fn the_table_lines_up() {
        let entries = [
            entry("trip", "folder", Some(0), Some(0)),
            entry("trip/a.jpg", "file", Some(1_234_567), Some(1_767_225_599)),
            entry("trip/l", "link", Some(0), None),
            entry("-", "file", None, None),
        ];
        assert_eq!(
            table(&entries),
            "drwxr-xr--        - 1970-01-01 00:00 trip/\n\
             -rwxr-xr--   1.2 MB 2025-12-31 23:59 trip/a.jpg\n\
             lrwxr-xr--        -                - trip/l -> ../to\n\
             -rwxr-xr--        ?                - -\n"
        );
    }

    #[test]
    fn hostile_paths_are_shown_whole_and_harmless() {
        let path = format!("{}\x1b]52;\u{202e}", "a/".repeat(600));
        let shown = table(&[entry(&path, "file", Some(0), None)]);
        assert!(shown.ends_with("a/\\u{1b}]52;\\u{202e}\n"), "{shown}");
        assert_eq!(shown.matches("a/").count(), 600);
    }

    #[test]
    fn dates_are_gregorian() {
        for (seconds, expected) in [
            (0, Some("1970-01-01 00:00")),
            (-1, Some("1969-12-31 23:59")),
            (951_782_400, Some("2000-02-29 00:00")),
            (4_107_542_400, Some("2100-03-01 00:00")),
            (253_402_300_799, Some("9999-12-31 23:59")),
            (253_402_300_800, None),
            (i64::MAX, None),
            (i64::MIN, None),
        ] {
            assert_eq!(minute(seconds).as_deref(), expected, "{seconds}");
        }
    }
}
