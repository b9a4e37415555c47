//! The form of an offer in events: a summary of the manifest or of its plan, and its entries for `--list`.

use std::ffi::OsStr;

use super::unsupported::limits_of;
use crate::{
    disk::{EarlierDownload, Plan},
    event::{LeftOutCount, ListedEntry, NameAction, OfferSummary, OfferedName, SCHEMA},
    manifest::{Entry, EntryKind, EntryRow, Manifest, ShareKind, runs_automatically},
};

/// The most top-level names, and the most paths below them, that a summary contains.
const MAX_NAMES: usize = 10;

/// Summarizes a manifest that is not planned.
pub(super) fn summarize(manifest: &Manifest, earlier: EarlierDownload) -> OfferSummary {
    let mut names = NameList::default();
    manifest.top_level().for_each(|entry| names.add(entry, OsStr::new(entry.name()), NameAction::Create));
    let mut hidden = 0;
    let mut executables = 0;
    let mut auto_run = 0;
    let mut auto_run_paths = Vec::new();
    for entry in manifest.rows().filter(|entry| !entry.is_folder()) {
        hidden += u64::from(entry.names_upwards().any(is_hidden));
        executables += u64::from(is_executable(entry));
        if runs_automatically(entry.names_upwards()) {
            auto_run += 1;
            if entry.parent().is_some() && auto_run_paths.len() < MAX_NAMES {
                auto_run_paths.push(entry.path().as_str().to_owned());
            }
        }
    }
    let (names, more) = names.into_parts();
    OfferSummary {
        schema: SCHEMA,
        share: manifest.share().to_string(),
        name: manifest.name().to_owned(),
        files: manifest.files(),
        bytes: manifest.bytes(),
        text: manifest.kind() == ShareKind::Text,
        resumed_bytes: earlier.bytes,
        left_out: LeftOutCount::all_of(manifest.left_out()),
        unselected: manifest.unselected(),
        changed: earlier.differs,
        unsupported: 0,
        limits: Vec::new(),
        target: None,
        more,
        names,
        hidden,
        executables,
        auto_run,
        auto_run_paths,
    }
}

/// Adds the target folder and the names in it to a summary.
pub(super) fn with_plan(summary: OfferSummary, plan: &Plan) -> OfferSummary {
    let mut names = NameList::default();
    plan.top_level().for_each(|(entry, name, action)| names.add(entry, name, action));
    let (names, more) = names.into_parts();
    OfferSummary {
        unsupported: plan.unsupported_entries(),
        limits: limits_of(plan),
        target: Some(plan.target_folder().to_string_lossy().into_owned()),
        more,
        names,
        ..summary
    }
}

/// The first ten top-level names. Hidden, executable and auto-run names precede the others.
#[derive(Default)]
struct NameList {
    marked: Vec<OfferedName>,
    others: Vec<OfferedName>,
    total: u64,
}

impl NameList {
    fn add(&mut self, entry: EntryRow<'_>, name: &OsStr, action: NameAction) {
        self.total += 1;
        let name = name.to_string_lossy();
        let is_folder = entry.is_folder();
        let hidden = is_hidden(&name);
        let executable = is_executable(entry);
        let auto_run = !is_folder && runs_automatically(std::iter::once(&*name));
        let is_marked = hidden || executable || auto_run;
        let list = if is_marked { &mut self.marked } else { &mut self.others };
        if list.len() < MAX_NAMES {
            let kind = if is_folder { "folder" } else { "file" };
            list.push(OfferedName { name: name.into_owned(), kind, action, hidden, executable, auto_run });
        }
    }

    /// Returns the names, and the number of those left out.
    fn into_parts(self) -> (Vec<OfferedName>, u64) {
        let names: Vec<OfferedName> = self.marked.into_iter().chain(self.others).take(MAX_NAMES).collect();
        let more = self.total - names.len() as u64;
        (names, more)
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

fn is_executable(entry: EntryRow<'_>) -> bool {
    entry.is_file() && entry.mode() & 0o111 != 0
}

/// Converts an entry for the list.
pub(super) fn list_entry(entry: Entry) -> ListedEntry {
    let size = entry.size();
    let (kind, link) = match entry.kind {
        EntryKind::File { .. } => ("file", None),
        EntryKind::Folder => ("folder", None),
        EntryKind::Link { target } => ("link", Some(target)),
    };
    let mtime = entry.mtime.map(|m| m.seconds);
    ListedEntry { path: entry.path.into_string(), kind, size, mode: entry.mode, mtime, link }
}
