//! The listings of `recv --list`, `shares` and `parts`.

use super::{
    appearance::Appearance,
    date::{date_and_minute, date_with_zone},
    phrase::{INDENT, visible_whole},
};
use crate::{
    code::Revealed,
    event::{InterruptedDownload, InterruptedShare, ListedEntry},
    text,
};

/// Renders entries, one per line: mode, size, modification time, path, and the target of a link.
pub(super) fn entries(entries: &[ListedEntry], look: &Appearance) -> String {
    entries.iter().map(|entry| entry_line(entry, look)).collect()
}

fn entry_line(entry: &ListedEntry, look: &Appearance) -> String {
    let size = match (entry.kind, entry.size) {
        ("file", Some(size)) => text::bytes(size),
        ("file", None) => "?".to_owned(),
        _ => "-".to_owned(),
    };
    let time = entry.mtime.and_then(|time| date_and_minute(time, &look.zone)).unwrap_or_else(|| "-".to_owned());
    let mode = mode(entry);
    let path = visible_whole(&entry.path);
    let folder = if entry.kind == "folder" { "/" } else { "" };
    let target = entry.link.as_deref().map(|to| format!(" -> {}", visible_whole(to))).unwrap_or_default();
    format!("{mode} {size:>8} {time:>16} {path}{folder}{target}\n")
}

/// Renders the mode as `ls -l` does: `-rwxr-x---`.
fn mode(entry: &ListedEntry) -> String {
    let kind = match entry.kind {
        "folder" => 'd',
        "link" => 'l',
        _ => '-',
    };
    let bits = (0..9).map(|i| if entry.mode & (0o400 >> i) == 0 { '-' } else { ['r', 'w', 'x'][i % 3] });
    std::iter::once(kind).chain(bits).collect()
}

/// Renders a share of the share store: code, name, state, relay and id, then its paths.
pub(super) fn share(share: &InterruptedShare, look: &Appearance) -> String {
    let code = share.code.as_ref().map_or("-", Revealed::as_str);
    let state = match date_with_zone(share.expires, &look.zone) {
        _ if share.running => "running".to_owned(),
        Some(expires) => format!("expires {expires}"),
        None => "interrupted".to_owned(),
    };
    let relay = match share.relay.as_deref() {
        Some(relay) => format!("relay {}", visible_whole(relay)),
        None => "embedded relay".to_owned(),
    };
    let id = share.share.get(..8).unwrap_or(&share.share);
    let paths: String = share.paths.iter().map(|path| format!("{INDENT}{}\n", visible_whole(path))).collect();
    format!("{code}  {}, {state}, {relay}, id {id}\n{paths}", visible_whole(&share.name))
}

/// Renders an interrupted download: the name of what it will save, its progress and its state, then the path of its
/// staging folder.
pub(super) fn interrupted_download(part: &InterruptedDownload, look: &Appearance) -> String {
    let state = match part.modified.and_then(|at| date_with_zone(at, &look.zone)) {
        _ if part.running => "running".to_owned(),
        Some(modified) => format!("last written {modified}"),
        None => "interrupted".to_owned(),
    };
    let path = visible_whole(&part.path);
    let Some(name) = &part.name else {
        return format!("{path}  {} in {}, {state}\n", text::bytes(part.bytes), text::count(part.files, "file"));
    };
    let more = if part.more == 0 { String::new() } else { format!(" and {} more", text::grouped(part.more)) };
    let bytes = match part.total {
        Some(total) => format!("{} of {}", text::bytes(part.bytes.min(total)), text::bytes(total)),
        None => text::bytes(part.bytes),
    };
    let files = match part.total_files {
        0 | 1 => String::new(),
        total => format!(", {} of {}", text::grouped(part.files), text::count(total, "file")),
    };
    format!("{}{more}  {bytes}{files}, {state}\n{INDENT}{path}\n", visible_whole(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: &'static str, size: Option<u64>, mtime: Option<i64>) -> ListedEntry {
        let link = (kind == "link").then(|| "../to".to_owned());
        ListedEntry { path: path.into(), kind, size, mode: 0o754, mtime, link }
    }

    #[test]
    fn the_columns_of_entries_line_up() {
        let listed = [
            entry("trip", "folder", Some(0), Some(0)),
            entry("trip/a.jpg", "file", Some(1_234_567), Some(1_767_225_599)),
            entry("trip/l", "link", Some(0), None),
            entry("-", "file", None, None),
        ];
        assert_eq!(
            entries(&listed, &Appearance::terminal()),
            "drwxr-xr--        - 1970-01-01 00:00 trip/\n\
             -rwxr-xr--   1.2 MB 2025-12-31 23:59 trip/a.jpg\n\
             lrwxr-xr--        -                - trip/l -> ../to\n\
             -rwxr-xr--        ?                - -\n"
        );
    }

    #[test]
    fn hostile_paths_are_escaped_and_not_truncated() {
        let path = format!("{}\x1b]52;\u{202e}", "a/".repeat(600));
        let shown = entries(&[entry(&path, "file", Some(0), None)], &Appearance::terminal());
        assert!(shown.ends_with("a/\\u{1b}]52;\\u{202e}\n"), "{shown}");
        assert_eq!(shown.matches("a/").count(), 600);
    }

    #[test]
    fn an_interrupted_download_shows_its_name_and_progress() {
        let part = InterruptedDownload {
            path: "in/.qshare-0123456789abcdef.part".into(),
            name: Some("holi\x1bday".into()),
            more: 2,
            total_files: 10,
            total: Some(40_000_000),
            bytes: 12_300_000,
            files: 3,
            running: false,
            modified: Some(1_767_225_599),
        };
        let shown = |part: &InterruptedDownload| interrupted_download(part, &Appearance::terminal());
        assert_eq!(
            shown(&part),
            "holi\\u{1b}day and 2 more  12.3 MB of 40.0 MB, 3 of 10 files, last written 2025-12-31 23:59 UTC\n  \
             in/.qshare-0123456789abcdef.part\n"
        );
        let single = InterruptedDownload { more: 0, total_files: 1, total: None, running: true, ..part.clone() };
        assert!(shown(&single).starts_with("holi\\u{1b}day  12.3 MB, running\n"), "{}", shown(&single));
        let unknown = InterruptedDownload { name: None, ..part };
        assert!(shown(&unknown).starts_with("in/.qshare-0123456789abcdef.part  12.3 MB in 3 files, last"));
    }
}
