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
    if saved.is_empty() && !finished.incomplete.is_empty() {
        return lines; // the error that follows names everything
    }
    if saved.iter().all(|path| path == "-") {
        if !look.quiet {
            lines.err(format!("Written to standard output: {amount}\n"));
        }
        return lines;
    }
    if look.out_terminal && !look.quiet {
        lines.out(sentence(saved, *files, &amount));
        return lines;
    }
    let path_line = |path: &String| if look.out_terminal { visible_whole(path) + "\n" } else { format!("{path}\n") };
    lines.out(saved.iter().map(path_line).collect());
    if !look.quiet {
        lines.err(format!("Saved {}: {amount}\n", text::count(*files, "file")));
    }
    lines
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
