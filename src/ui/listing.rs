//! The listings of `recv --list`, `shares` and `parts`.

use super::{
    date::date_and_minute,
    phrase::{INDENT, visible_whole},
};
use crate::{
    code::Revealed,
    event::{InterruptedDownload, InterruptedShare, ListedEntry},
    text,
};

/// Renders entries, one per line: mode, size, modification time in UTC, path, and the target of a link.
pub(super) fn entries(entries: &[ListedEntry]) -> String {
    entries.iter().map(entry_line).collect()
}

fn entry_line(entry: &ListedEntry) -> String {
    let size = match (entry.kind, entry.size) {
        ("file", Some(size)) => text::bytes(size),
        ("file", None) => "?".to_owned(),
        _ => "-".to_owned(),
    };
    let time = entry.mtime.and_then(date_and_minute).unwrap_or_else(|| "-".to_owned());
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
pub(super) fn share(share: &InterruptedShare) -> String {
    let code = share.code.as_ref().map_or("-", Revealed::as_str);
    let expires = i64::try_from(share.expires).ok().and_then(date_and_minute);
    let state = match expires {
        _ if share.running => "running".to_owned(),
        Some(expires) => format!("expires {expires} UTC"),
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

/// Renders an interrupted download: path, size, and state.
pub(super) fn interrupted_download(part: &InterruptedDownload) -> String {
    let modified = part.modified.and_then(|at| i64::try_from(at).ok()).and_then(date_and_minute);
    let state = match modified {
        _ if part.running => "running".to_owned(),
        Some(modified) => format!("last written {modified} UTC"),
        None => "interrupted".to_owned(),
    };
    let (bytes, files) = (text::bytes(part.bytes), text::count(part.files, "file"));
    format!("{}  {bytes} in {files}, {state}\n", visible_whole(&part.path))
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
            entries(&listed),
            "drwxr-xr--        - 1970-01-01 00:00 trip/\n\
             -rwxr-xr--   1.2 MB 2025-12-31 23:59 trip/a.jpg\n\
             lrwxr-xr--        -                - trip/l -> ../to\n\
             -rwxr-xr--        ?                - -\n"
        );
    }

    #[test]
    fn hostile_paths_are_escaped_and_not_truncated() {
        let path = format!("{}\x1b]52;\u{202e}", "a/".repeat(600));
        let shown = entries(&[entry(&path, "file", Some(0), None)]);
        assert!(shown.ends_with("a/\\u{1b}]52;\\u{202e}\n"), "{shown}");
        assert_eq!(shown.matches("a/").count(), 600);
    }
}
