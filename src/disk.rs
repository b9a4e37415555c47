//! The file system at both ends: what is shared, and where a download goes.
//!
//! ```text
//! paths ─▶ Source ─▶ Manifest ─▶ (wire) ─▶ Manifest ─▶ Plan ─▶ Sink ─▶ final names
//!             └─ SourceFile: bytes, then their BLAKE3 ───────────┘
//! ```
//!
//! A [`Source`] is the scan of the sender's paths; a [`SourceFile`] reads one file of it and notices when it is no longer
//! the one that was scanned, and downloads that read the same file at the same time read and hash it once ([`SharedReads`]). A [`Plan`] checks everything that can be checked before the first byte: names that the target
//! cannot hold, names that stand there already, free space. A [`Sink`] writes into a staging folder beside the final
//! names, verifies, and gives names at the very end. What it leaves there when it is dropped before, or killed, the next one
//! of the same share goes on with: complete files, and whole groups of 16 MiB ([`GroupHash`]) that the sender finds equal;
//! and it knows what has its name already.
//!
//! Below a handle nothing is ever opened through a link, at either end: neither a tree that changes while it is read
//! nor one that changes while it is written can lead out of its top folder.
//!
//! Every call blocks; asynchronous callers move it to a thread for blocking work.

mod beneath;
mod case_collision;
mod conflict;
mod fingerprint;
mod groups;
mod hash_progress;
mod journal;
mod naming;
mod plan;
mod scan;
mod shared_read;
mod shared_root;
mod sink;
mod source;
mod space;
mod staged_downloads;
mod staged_files;
mod staging;
mod target;

use std::{fmt, io, path::Path};

pub use self::{
    conflict::ConflictPolicy,
    groups::{GROUP_SIZE, GroupHash, count as group_count},
    hash_progress::{CancelOnDrop, HashProgress},
    plan::Plan,
    scan::SkippedPath,
    shared_read::SharedReads,
    sink::Sink,
    source::{Source, SourceFile},
    staged_downloads::StagedDownload,
};
use crate::{
    error::{Error, Kind},
    text::visible,
};

/// A step that the disk refused. `what` is the step ("write"), `subject` what it was done to, fit for a terminal.
fn refused_by_disk(what: &str, subject: impl fmt::Display, e: &io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match e.kind() {
        StorageFull | QuotaExceeded => {
            Error::new(Kind::Disk, format!("cannot {what} “{subject}”: no space left on that disk"))
                .hint("make space and run the same command again, or choose another disk with --out DIR")
        }
        PermissionDenied | ReadOnlyFilesystem => Error::new(Kind::Disk, format!("cannot {what} “{subject}”: {e}"))
            .hint("choose a folder that you may write to with --out DIR"),
        _ => Error::new(Kind::Disk, format!("cannot {what} “{subject}”: {e}"))
            .hint("look at that folder and its disk, or choose another with --out DIR"),
    }
}

/// A path of this machine, fit for a terminal.
fn shown(path: &Path) -> String {
    visible(&path.to_string_lossy())
}

#[cfg(all(test, unix))]
mod tests;
