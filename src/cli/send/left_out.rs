//! What a share leaves out: the question to the user, and the report.

use crate::{
    cli::console::Console,
    error::{Error, Kind, Result},
    event::{Event, Events, LeftOutEntry},
    manifest::LeftOutReason,
    text::{count, list},
    transfer::{LeftOutPath, Source},
};

/// The most paths that are listed, unless the user asks for all.
const MAX_LISTED: usize = 10;

/// The most paths in one event for scripts.
const ENTRIES_PER_EVENT: usize = 100;

/// Asks whether to leave out what cannot be shared, if anything needs the user's consent.
///
/// # Errors
/// [`Kind::Usage`], with the list, if nobody can be asked; [`Kind::Refused`] if the user declines.
pub(super) async fn confirm(source: &Source, console: &Console) -> Result<()> {
    if !source.left_out().iter().any(|path| path.reason.needs_consent()) {
        return Ok(());
    }
    let total = number_of_others(source);
    let mut paths: Vec<_> = others(source).collect();
    paths.sort_by_key(|path| !path.reason.needs_consent());
    let heading = format!("cannot share {}", count(total, "item"));
    let list = list(&heading, paths.into_iter().map(ToString::to_string), total, max_listed(console));
    if !console.can_ask() {
        return Err(Error::new(Kind::Usage, list)
            .hint("rename, move or repair what is listed, or pass --skip-unsendable to leave it out"));
    }
    let question = match total {
        1 => "Leave it out?".to_owned(),
        total => format!("Leave these {total} out?"),
    };
    if console.confirm(format!("{list}\n{question}")).await? {
        Ok(())
    } else {
        Err(Error::new(Kind::Refused, "declined; nothing was shared"))
    }
}

/// Returns the most paths to list.
pub(super) fn max_listed(console: &Console) -> usize {
    if console.is_verbose() { usize::MAX } else { MAX_LISTED }
}

/// Reports what is left out: a summary for people, and all paths for scripts.
pub(super) async fn report(source: &Source, max_listed: usize, events: &Events) {
    for entries in source.left_out().chunks(ENTRIES_PER_EVENT) {
        let entry = |LeftOutPath { path, reason, detail }: &LeftOutPath| LeftOutEntry {
            path: path.clone(),
            reason: *reason,
            detail: detail.clone(),
        };
        events.report_result(Event::LeftOut { entries: entries.iter().map(entry).collect() }).await;
    }
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
