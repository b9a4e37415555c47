//! The report of a download that is saved: to the user, and to the sender.

use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::session_download::SavedDownload;
use crate::{
    disk::{FailedFile, Plan},
    error::{Error, Kind, Result},
    event::{Event, Events, Finished},
    manifest::Manifest,
    route::Route,
    text::{count, list},
};

/// The most files that did not arrive that an error names.
const MAX_LISTED: usize = 10;

/// The bytes that are percent-encoded in a path.
const NOT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// The numbers of entries that a finished download reports.
pub(super) struct EntryCounts {
    files: u64,
    skipped: u64,
    unselected: u64,
    unsupported: u64,
}

impl EntryCounts {
    /// Counts the entries of a download to the disk.
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            files: plan.files(),
            skipped: plan.skipped_entries(),
            unselected: plan.manifest().unselected(),
            unsupported: plan.unsupported_entries(),
        }
    }

    /// Counts the entries of a download of everything that is selected.
    pub(super) fn of_all(manifest: &Manifest) -> Self {
        let unselected = manifest.unselected();
        Self { files: manifest.files(), skipped: unselected, unselected, unsupported: 0 }
    }
}

/// Reports a saved download to `events` and to the sender. `took` is its time in seconds, and its route.
///
/// # Errors
/// [`Kind::Transfer`] if the sender could not send some files.
pub(super) async fn finish(
    saved: SavedDownload,
    counts: &EntryCounts,
    (seconds, route): (f64, Route),
    events: &Events,
    interrupt: impl Future<Output = ()>,
) -> Result<Finished> {
    let SavedDownload { published, bytes, completion } = saved;
    let failed = published.failed;
    let shown = ShownPaths::of(&published.paths);
    let finished = Finished {
        paths: published.paths,
        bytes,
        seconds,
        saved: shown.plain,
        saved_encoded: shown.encoded,
        files: counts.files - failed.len() as u64,
        skipped: counts.skipped,
        unselected: counts.unselected,
        unsupported: counts.unsupported,
        incomplete: failed.iter().map(|file| file.path.as_str().to_owned()).collect(),
        route,
    };
    events.report(Event::Finished(finished.clone()));
    completion.send(events, interrupt).await;
    if failed.is_empty() { Ok(finished) } else { Err(incomplete_error(&failed)) }
}

/// The final paths in the form of events.
struct ShownPaths {
    plain: Vec<String>,
    /// Empty if all paths are Unicode.
    encoded: Vec<String>,
}

impl ShownPaths {
    fn of(paths: &[PathBuf]) -> Self {
        let plain = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let is_unicode = paths.iter().all(|path| path.to_str().is_some());
        let encode = |path: &PathBuf| percent_encode(path.as_os_str().as_encoded_bytes(), NOT_IN_PATHS).to_string();
        Self { plain, encoded: if is_unicode { Vec::new() } else { paths.iter().map(encode).collect() } }
    }
}

/// Returns the error for a download without these files.
fn incomplete_error(failed: &[FailedFile]) -> Error {
    let lines = failed.iter().map(|FailedFile { path, reason }| format!("“{path}” {reason}"));
    let total = failed.len() as u64;
    Error::new(Kind::Transfer, list(&format!("{} did not arrive", count(total, "file")), lines, total, MAX_LISTED))
        .hint("run the same command again to download what is missing")
}
