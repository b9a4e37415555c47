//! `qshare parts`.

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{args::PartsArgs, console::Console};
use crate::{
    error::Result,
    event::{Event, InterruptedDownload},
    transfer::StagedDownload,
};

/// Lists what downloads have left in a folder, or removes it.
pub(super) fn run(args: PartsArgs, console: &mut Console) -> Result<()> {
    let dir = args.dir.unwrap_or_else(|| PathBuf::from("."));
    let found = StagedDownload::find_in(&dir)?;
    if !args.clear {
        return console.show(&Event::Parts { parts: found.iter().map(|leftover| part(&dir, leftover)).collect() });
    }
    for leftover in &found {
        if leftover.running {
            let message = format!("{} stays: a download is writing there", leftover.name);
            console.show(&Event::Warning { kind: "running", message, hint: None })?;
        } else {
            leftover.remove(&dir)?;
            console.show(&Event::Cleared(part(&dir, leftover)))?;
        }
    }
    Ok(())
}

fn part(dir: &Path, leftover: &StagedDownload) -> InterruptedDownload {
    let StagedDownload { name, bytes, files, running, modified } = leftover;
    let modified = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
    let path = if dir == Path::new(".") { PathBuf::from(name) } else { dir.join(name) };
    InterruptedDownload {
        path: path.to_string_lossy().into_owned(),
        bytes: *bytes,
        files: *files,
        running: *running,
        modified,
    }
}
