//! The command `qshare parts`.

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{args::PartsArgs, console::Console, settings::Settings};
use crate::{
    error::Result,
    event::{Event, InterruptedDownload},
    transfer::StagedDownload,
};

/// Lists the interrupted downloads in a folder, or removes them.
pub(super) fn run(args: PartsArgs, console: &Console) -> Result<()> {
    let dir = match args.dir {
        Some(dir) => dir,
        None => Settings::read()?.out(None)?.value.unwrap_or_else(|| PathBuf::from(".")),
    };
    let found = StagedDownload::find_in(&dir)?;
    if !args.clear {
        console.show(Event::Parts { parts: found.iter().map(|staged| event_of(&dir, staged)).collect() });
        return Ok(());
    }
    StagedDownload::remove_leftovers(&dir)?;
    for staged in &found {
        if staged.running {
            let message = format!("skipping {}: its download is running", staged.name);
            console.show(Event::Warning { kind: "running", message, hint: None });
        } else {
            staged.remove(&dir)?;
            console.show(Event::Cleared(event_of(&dir, staged)));
        }
    }
    Ok(())
}

fn event_of(dir: &Path, staged: &StagedDownload) -> InterruptedDownload {
    let StagedDownload { name, first, others, total_files, total, bytes, files, running, modified } = staged;
    let modified = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
    let path = if dir == Path::new(".") { PathBuf::from(name) } else { dir.join(name) };
    InterruptedDownload {
        path: path.to_string_lossy().into_owned(),
        name: first.clone(),
        more: *others,
        total_files: *total_files,
        total: *total,
        bytes: *bytes,
        files: *files,
        running: *running,
        modified,
    }
}
