//! What a share leaves out: the list of what cannot be shared, and the report.

use crate::{
    event::{Event, Events, LeftOutEntry},
    manifest::LeftOutReason,
    text::{count, list},
    transfer::{LeftOutPath, Source},
};

/// The most paths that are listed, unless the user asks for all.
pub(crate) const MAX_LISTED: usize = 10;

/// The most paths in one event for scripts.
const ENTRIES_PER_EVENT: usize = 100;

/// What is left out of a share and needs the consent of its user.
pub(crate) struct Unsendable {
    /// The list of everything that is left out, what needs consent first.
    pub(crate) list: String,
    /// The number of paths, listed or not.
    pub(crate) total: u64,
}

impl Unsendable {
    /// Finds what needs consent, and lists at most `max_listed` paths. Returns `None` if nothing needs it.
    pub(crate) fn find(source: &Source, max_listed: usize) -> Option<Self> {
        if !source.left_out().iter().any(|path| path.reason.needs_consent()) {
            return None;
        }
        let total = number_of_others(source);
        let mut paths: Vec<_> = others(source).collect();
        paths.sort_by_key(|path| !path.reason.needs_consent());
        let heading = format!("cannot share {}", count(total, "item"));
        Some(Self { list: list(&heading, paths.into_iter().map(ToString::to_string), total, max_listed), total })
    }
}

/// Reports all paths that are left out, for scripts.
pub(crate) async fn report_left_out_paths(source: &Source, events: &Events) {
    for entries in source.left_out().chunks(ENTRIES_PER_EVENT) {
        let entry = |LeftOutPath { path, reason, detail }: &LeftOutPath| LeftOutEntry {
            path: path.clone(),
            reason: *reason,
            detail: detail.clone(),
        };
        events.report_result(Event::LeftOut { entries: entries.iter().map(entry).collect() }).await;
    }
}

/// Warns of what is left out, and lists at most `max_listed` paths.
pub(crate) fn warn_of_left_out(source: &Source, max_listed: usize, events: &Events) {
    if source.left_out().iter().any(|path| path.reason == LeftOutReason::OwnFile) {
        events.report(warning("left out: this tool's own files".to_owned()));
    }
    let total = number_of_others(source);
    if total > 0 {
        let heading = format!("left out {}", count(total, "item"));
        events.report(warning(list(&heading, others(source).map(ToString::to_string), total, max_listed)));
    }
}

/// Returns the paths that are left out and not this tool's own.
fn others(source: &Source) -> impl Iterator<Item = &LeftOutPath> {
    source.left_out().iter().filter(|path| path.reason != LeftOutReason::OwnFile)
}

fn number_of_others(source: &Source) -> u64 {
    let counts = source.manifest().left_out().counts();
    counts.filter(|(reason, _)| *reason != LeftOutReason::OwnFile).map(|(_, count)| count).sum()
}

fn warning(message: String) -> Event {
    Event::Warning { kind: "left_out", message, hint: None }
}
