//! An offer as events report it: a summary of the manifest, and its entries for `--list`.

use crate::{
    event::{ListedEntry, OfferSummary, SCHEMA},
    manifest::{Entry, EntryKind, Manifest},
};

/// Summarizes a manifest, without staged data.
pub(super) fn summarize(manifest: &Manifest) -> OfferSummary {
    let entries = manifest.entries();
    let hidden = entries.iter().filter(|e| e.path.name().starts_with('.')).count();
    let executables = entries.iter().filter(|e| e.is_file() && e.mode & 0o111 != 0).count();
    OfferSummary {
        schema: SCHEMA,
        share: manifest.share().to_string(),
        name: manifest.name().to_owned(),
        files: manifest.files(),
        bytes: manifest.bytes(),
        resumed_bytes: 0,
        hidden: hidden as u64,
        executables: executables as u64,
    }
}

/// Converts an entry for the list.
pub(super) fn list_entry(entry: &Entry) -> ListedEntry {
    let (kind, link) = match &entry.kind {
        EntryKind::File { .. } => ("file", None),
        EntryKind::Folder => ("folder", None),
        EntryKind::Link { target } => ("link", Some(target.clone())),
    };
    ListedEntry {
        path: entry.path.as_str().to_owned(),
        kind,
        size: entry.size(),
        mode: entry.mode,
        mtime: entry.mtime.map(|m| m.seconds),
        link,
    }
}
