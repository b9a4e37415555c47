//! The result of a finished download: the paths where it was saved.

use super::{
    appearance::Appearance,
    lines::Lines,
    phrase::{INDENT, bytes_in, rate, visible_whole},
};
use crate::{event::Finished, text};

/// Renders a finished download. A script gets the paths, one per line, or nothing if the content itself went to
/// standard output. `resumed_bytes` do not count for the rate.
pub(super) fn saved(finished: &Finished, resumed_bytes: u64, look: &Appearance) -> Lines {
    let Finished { bytes, seconds, saved, files, .. } = finished;
    let mut lines = Lines::default();
    let rate = rate(bytes.saturating_sub(resumed_bytes), *seconds);
    let amount = bytes_in(*bytes, *seconds) + &rate.map(|rate| format!(", {rate}")).unwrap_or_default();
    let left_out = left_out(finished);
    match saved.as_slice() {
        [] => {}
        [path] if path == "-" && *bytes == 0 && !finished.incomplete.is_empty() => {} // an error follows
        [path] if path == "-" => lines.err(format!("Written to standard output: {amount}\n")),
        _ if look.out_terminal && !look.quiet => lines.out(sentence(saved, *files, &amount)),
        _ => {
            let path_line =
                |path: &String| if look.out_terminal { visible_whole(path) + "\n" } else { format!("{path}\n") };
            lines.out(saved.iter().map(path_line).collect());
            lines.err(format!("Saved {}: {amount}\n", text::count(*files, "file")));
        }
    }
    lines.err(left_out);
    if look.quiet {
        lines.remove_err();
    }
    lines
}

/// Returns lines about what was not downloaded.
fn left_out(finished: &Finished) -> String {
    let existing = finished.skipped.saturating_sub(finished.unsupported + finished.unselected);
    let mut text = String::new();
    if existing > 0 {
        let exist = if existing == 1 { "already exists" } else { "already exist" };
        text.push_str(&format!("Skipped {} ({exist})\n", text::count(existing, "file")));
    }
    if finished.unsupported > 0 {
        let entries = if finished.unsupported == 1 { "entry" } else { "entries" };
        let number = text::grouped(finished.unsupported);
        text.push_str(&format!("Left out {number} {entries} (the disk cannot hold them)\n"));
    }
    // The error that follows names incomplete files.
    let is_empty = finished.saved.is_empty() && finished.incomplete.is_empty() && text.is_empty();
    if is_empty { "There was nothing to save.\n".to_owned() } else { text }
}

fn sentence(saved: &[String], files: u64, amount: &str) -> String {
    let files = text::count(files, "file");
    match saved {
        [path] => format!("Saved {} ({files}, {amount})\n", visible_whole(path)),
        paths => {
            let list: String = paths.iter().map(|path| format!("{INDENT}{}\n", visible_whole(path))).collect();
            format!("Saved {files}, {amount}:\n{list}")
        }
    }
}
