//! Entries that the target's disk cannot hold: what the user learns of them before the first byte.

use std::collections::BTreeMap;

use crate::{
    disk::{DiskLimit, Plan},
    error::{Error, Kind},
    event::{Event, Events, OfferLimit, UnsupportedEntry},
    text::{count, grouped, visible},
};

/// The most paths of a limit in a summary.
const MAX_PATHS: usize = 10;

/// The maximum number of entries in one event.
const ENTRIES_PER_EVENT: usize = 100;

/// Returns the limits of the disk that a plan meets.
pub(super) fn limits_of(plan: &Plan) -> Vec<OfferLimit> {
    let mut limits = BTreeMap::<DiskLimit, (u64, Vec<String>)>::new();
    for (row, limit) in plan.unsupported() {
        let (entries, paths) = limits.entry(limit).or_default();
        *entries += 1;
        if paths.len() < MAX_PATHS {
            paths.push(row.path().into_string());
        }
    }
    let limits = limits.into_iter().map(|(limit, (entries, paths))| OfferLimit {
        limit: limit.word(),
        description: limit.phrase(entries),
        entries,
        paths,
    });
    limits.collect()
}

/// Reports all entries that the disk cannot hold, without those below them.
pub(super) async fn report(plan: &Plan, events: &Events) {
    let mut entries =
        plan.unsupported().map(|(row, limit)| UnsupportedEntry { path: row.path().into_string(), limit: limit.word() });
    loop {
        let entries: Vec<_> = entries.by_ref().take(ENTRIES_PER_EVENT).collect();
        if entries.is_empty() {
            return;
        }
        events.report_result(Event::Unsupported { entries }).await;
    }
}

/// Returns the error for a plan that the user has not allowed to leave anything out.
pub(super) fn refused(plan: &Plan) -> Error {
    let limits = limits_of(plan).into_iter().map(|limit| {
        let first = limit.paths.first().map(|path| visible(path)).unwrap_or_default();
        let more = if limit.entries > 1 { ", …" } else { "" };
        format!("{} {} ({first}{more})", grouped(limit.entries), limit.description)
    });
    let limits = limits.collect::<Vec<_>>().join("; ");
    let entries = count(plan.unsupported_entries(), "item");
    let target = visible(&plan.target_folder().to_string_lossy());
    Error::new(Kind::Disk, format!("the disk of {target} cannot hold {entries} of this share: {limits}"))
        .hint("pass --skip-unsupported to download the rest, or use --out DIR to save to another disk")
}
