//! The summary of an offer: the new names, their folder, and the files that deserve attention.

use console::measure_text_width;

use super::phrase::{INDENT, files_and_bytes, fit, visible_whole};
use crate::{
    event::{LeftOutCount, NameAction, OfferSummary, OfferedName},
    text::{self, visible},
};

/// Renders an offer in lines of at most `width` columns. The share's name, which the sender chooses freely, appears
/// only with `--list`, which creates nothing.
pub(super) fn summary(offer: &OfferSummary, width: usize) -> String {
    let mut lines = vec![heading(offer, width)];
    lines.extend(offer.names.iter().map(|name| name_line(name, width)));
    if offer.more > 0 {
        lines.push(format!("{INDENT}and {} more", text::grouped(offer.more)));
    }
    lines.extend(counts(offer, width));
    if !offer.auto_run_paths.is_empty() {
        lines.push("may run automatically:".to_owned());
        lines.extend(offer.auto_run_paths.iter().map(|path| indented(&visible_whole(path), "", width)));
        let listed = offer.auto_run_paths.len() as u64 + offer.names.iter().filter(|name| name.auto_run).count() as u64;
        if offer.auto_run > listed {
            lines.push(format!("{INDENT}and {} more", text::grouped(offer.auto_run - listed)));
        }
    }
    for limit in &offer.limits {
        lines.push(format!("cannot be saved: {} {}", text::grouped(limit.entries), limit.description));
        lines.extend(limit.paths.iter().map(|path| indented(&visible_whole(path), "", width)));
        let more = limit.entries.saturating_sub(limit.paths.len() as u64);
        if more > 0 {
            lines.push(format!("{INDENT}and {} more", text::grouped(more)));
        }
    }
    if offer.unselected > 0 {
        lines.push(format!("not selected: {}", text::count(offer.unselected, "item")));
    }
    if !offer.left_out.is_empty() {
        lines.push("left out by the sender:".to_owned());
        let counts = offer.left_out.iter();
        lines.extend(
            counts.map(|LeftOutCount { reason, count }| format!("{INDENT}{reason} ({})", text::grouped(*count))),
        );
    }
    if offer.changed {
        lines.push("The files have changed since you accepted them.".to_owned());
    }
    lines.extend(resumed(offer));
    lines.join("\n") + "\n"
}

fn heading(offer: &OfferSummary, width: usize) -> String {
    let amount = files_and_bytes(offer.files, offer.bytes);
    match &offer.target {
        Some(target) => {
            let (line, target) = (format!("{amount}, to be saved in"), visible_whole(target));
            if line.len() + 2 + measure_text_width(&target) <= width {
                format!("{line} {target}:")
            } else {
                format!("{line}\n{}", indented(&target, ":", width))
            }
        }
        None => format!("{}: {amount}", visible(&offer.name)),
    }
}

fn name_line(name: &OfferedName, width: usize) -> String {
    let action = match name.action {
        NameAction::Create => None,
        NameAction::Replace => Some("replaced"),
        NameAction::Merge => Some("exists, merged"),
        NameAction::Skip => Some("exists, skipped"),
        NameAction::LeaveOut => Some("left out"),
        NameAction::Saved => Some("saved already"),
    };
    let marks = [(name.hidden, "hidden"), (name.executable, "executable"), (name.auto_run, "auto-run")];
    let notes: Vec<_> =
        action.into_iter().chain(marks.into_iter().filter(|(is_set, _)| *is_set).map(|(_, mark)| mark)).collect();
    let slash = if name.kind == "folder" { "/" } else { "" };
    let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
    indented(&visible_whole(&name.name), &format!("{slash}{notes}"), width)
}

/// Returns an indented line with the printable `name`, shortened to fit, and `suffix`.
fn indented(name: &str, suffix: &str, width: usize) -> String {
    let room = width.saturating_sub(INDENT.len() + suffix.len()).max(16);
    format!("{INDENT}{}{suffix}", fit(name, room))
}

/// Returns a line such as `including 3 hidden and 2 executable files`, or a line for each kind if that is too wide.
fn counts(offer: &OfferSummary, width: usize) -> Vec<String> {
    let kinds = [(offer.hidden, "hidden"), (offer.executables, "executable"), (offer.auto_run, "auto-run")];
    let kinds: Vec<_> = kinds.into_iter().filter(|(count, _)| *count > 0).collect();
    let phrase = |(count, kind): &(u64, &str)| text::count(*count, &format!("{kind} file"));
    let Some((last, others)) = kinds.split_last() else { return Vec::new() };
    let others: Vec<_> = others.iter().map(|(count, kind)| format!("{} {kind}", text::grouped(*count))).collect();
    let line = match others.join(", ") {
        others if others.is_empty() => format!("including {}", phrase(last)),
        others => format!("including {others} and {}", phrase(last)),
    };
    if line.len() <= width {
        vec![line]
    } else {
        kinds.iter().map(|kind| format!("including {}", phrase(kind))).collect()
    }
}

fn resumed(offer: &OfferSummary) -> Option<String> {
    let staged = (offer.resumed_bytes > 0).then(|| text::bytes(offer.resumed_bytes))?;
    Some(match offer.bytes.filter(|bytes| *bytes > 0) {
        Some(bytes) => {
            let percent = u128::from(offer.resumed_bytes) * 100 / u128::from(bytes);
            format!("resuming at {percent} %: {staged} already downloaded")
        }
        None => format!("resuming: {staged} already downloaded"),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{event::OfferLimit, manifest::LeftOutReason};

    /// Returns an offer with these numbers of hidden and executable files.
    pub(in crate::ui) fn offer(hidden: u64, executables: u64) -> OfferSummary {
        OfferSummary {
            schema: 1,
            share: "00ff".into(),
            name: "a free-form name".into(),
            files: 214,
            bytes: Some(1_300_000_000),
            text: false,
            resumed_bytes: 0,
            left_out: Vec::new(),
            unselected: 0,
            changed: false,
            unsupported: 0,
            limits: Vec::new(),
            target: Some("/home/ann".into()),
            names: vec![name("holiday", "folder")],
            more: 0,
            hidden,
            executables,
            auto_run: 0,
            auto_run_paths: Vec::new(),
        }
    }

    fn name(name: &str, kind: &'static str) -> OfferedName {
        let action = NameAction::Create;
        OfferedName { name: name.into(), kind, action, hidden: false, executable: false, auto_run: false }
    }

    const HEAD: &str = "214 files, 1.3 GB, to be saved in /home/ann:\n  holiday/\n";

    #[test]
    fn the_reasons_for_what_is_left_out_are_counted() {
        let left_out = [(LeftOutReason::Special, 1), (LeftOutReason::OutsideLink, 1_002)];
        let left_out = left_out.map(|(reason, count)| LeftOutCount { reason, count }).to_vec();
        let shown = summary(&OfferSummary { left_out, ..offer(0, 0) }, 50);
        let expected =
            "left out by the sender:\n  sockets, pipes and devices (1)\n  links that lead out of the share (1,002)\n";
        assert!(shown.ends_with(expected), "{shown}");
    }

    #[test]
    fn hidden_and_executable_files_are_counted() {
        assert_eq!(summary(&offer(0, 0), 80), HEAD);
        assert_eq!(summary(&offer(1, 0), 80), format!("{HEAD}including 1 hidden file\n"));
        assert_eq!(summary(&offer(0, 2), 80), format!("{HEAD}including 2 executable files\n"));
        assert_eq!(summary(&offer(3_000, 2), 80), format!("{HEAD}including 3,000 hidden and 2 executable files\n"));
        let all = OfferSummary { auto_run: 1, ..offer(3, 2) };
        assert_eq!(summary(&all, 80), format!("{HEAD}including 3 hidden, 2 executable and 1 auto-run file\n"));
        let lines = "including 3 hidden files\nincluding 2 executable files\nincluding 1 auto-run file\n";
        assert_eq!(summary(&all, 49), format!("{HEAD}{lines}"));
    }

    #[test]
    fn names_have_marks_and_show_what_happens_to_them() {
        let names = vec![
            OfferedName { hidden: true, auto_run: true, ..name(".bashrc", "file") },
            OfferedName { executable: true, ..name("tool", "file") },
            OfferedName { action: NameAction::Merge, ..name("photos", "folder") },
            OfferedName { action: NameAction::Skip, ..name("a.txt", "file") },
            name("b (1).txt", "file"),
        ];
        let paths = vec!["photos/.git/hooks/pre-commit".to_owned()];
        let shown = OfferSummary { names, more: 1_200, auto_run: 3, auto_run_paths: paths, ..offer(0, 0) };
        assert_eq!(
            summary(&shown, 80),
            "214 files, 1.3 GB, to be saved in /home/ann:\n  .bashrc  (hidden, auto-run)\n  tool  (executable)\n  \
             photos/  (exists, merged)\n  a.txt  (exists, skipped)\n  b (1).txt\n  and 1,200 more\nincluding 3 auto-run \
             files\nmay run automatically:\n  photos/.git/hooks/pre-commit\n  and 1 more\n"
        );
    }

    #[test]
    fn lines_fit_the_terminal_and_hostile_names_are_escaped() {
        let long = |end: &str| format!("{}{end}", "宽\u{2028}".repeat(300));
        let names = vec![
            OfferedName { hidden: true, executable: true, auto_run: true, ..name(&long(".desktop"), "file") },
            name(&format!("photo.jpg{}.exe", " ".repeat(200)), "file"),
        ];
        let target = Some(long("/in"));
        let shown = OfferSummary { names, target, auto_run: 2, auto_run_paths: vec![long("/x.lnk")], ..offer(0, 0) };
        for width in [50, 80] {
            let text = summary(&shown, width);
            assert!(text.lines().all(|line| measure_text_width(line) <= width), "{text}");
            assert!(text.contains(".exe\n") && text.contains(".desktop  (") && text.contains("/x.lnk\n"), "{text}");
            assert!(text.contains("/in:\n") && text.contains("\\u{2028}") && !text.contains('\u{2028}'), "{text}");
        }
    }

    #[test]
    fn what_the_disk_cannot_hold_is_listed() {
        let limit = |entries, paths: &[&str]| OfferLimit {
            limit: "links",
            description: "symbolic links, which the disk does not have",
            entries,
            paths: paths.iter().map(ToString::to_string).collect(),
        };
        let limits = vec![limit(2, &["a/l", "b\u{1b}"]), limit(1_200, &["c"])];
        let shown = OfferSummary { unsupported: 1_202, limits, ..offer(0, 0) };
        assert_eq!(
            summary(&shown, 80),
            format!(
                "{HEAD}cannot be saved: 2 symbolic links, which the disk does not have\n  a/l\n  b\\u{{1b}}\ncannot be \
                 saved: 1,200 symbolic links, which the disk does not have\n  c\n  and 1,199 more\n"
            )
        );
    }

    #[test]
    fn a_changed_offer_and_staged_bytes_are_shown() {
        let resumed = OfferSummary { resumed_bytes: 5_000, changed: true, ..offer(0, 0) };
        let text = summary(&resumed, 80);
        assert!(
            text.contains("have changed since") && text.ends_with("\nresuming at 0 %: 5.0 kB already downloaded\n")
        );
    }

    #[test]
    fn a_list_shows_the_name_of_the_share() {
        let listed = OfferSummary { target: None, ..offer(0, 0) };
        assert_eq!(summary(&listed, 80), "a free-form name: 214 files, 1.3 GB\n  holiday/\n");
    }
}
