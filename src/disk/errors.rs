//! Errors of the file system, with a hint for the user.

use std::{fmt, io, path::Path};

use crate::{
    error::{Error, Kind},
    text::visible,
};

/// Returns the error for an `action` ("write") that the receiver's file system refused. `subject` must be printable.
pub(super) fn disk_error(action: &str, subject: impl fmt::Display, e: &io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match e.kind() {
        StorageFull | QuotaExceeded => {
            Error::new(Kind::Disk, format!("cannot {action} {subject}: no space left on the disk"))
                .hint("free up space and run the same command again, or use --out DIR to save to another disk")
        }
        PermissionDenied | ReadOnlyFilesystem => Error::new(Kind::Disk, format!("cannot {action} {subject}: {e}"))
            .hint("use --out DIR to save to a folder that you can write to"),
        _ => Error::new(Kind::Disk, format!("cannot {action} {subject}: {e}"))
            .hint("check the folder and its disk, or use --out DIR to save to another folder"),
    }
}

/// Returns the error for a path that cannot be shared because it cannot be read. `path` must be printable.
pub(super) fn unreadable(path: &str, e: &io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::Usage, format!("{path} does not exist")).hint("check the path"),
        io::ErrorKind::PermissionDenied => Error::new(Kind::Usage, format!("cannot read {path}: {e}"))
            .hint("change its permissions, or do not share it"),
        _ => Error::new(Kind::Usage, format!("cannot read {path}: {e}")).hint("try again, or do not share it"),
    }
}

/// Returns the error for a sender that breaks the protocol by sending `what`.
pub(super) fn protocol_violation(what: impl fmt::Display) -> Error {
    Error::new(Kind::Transfer, format!("the sender sent {what}")).hint("ask the sender to share it again")
}

/// Makes a local path safe to print on a terminal.
pub(super) fn printable(path: &Path) -> String {
    visible(&path.to_string_lossy())
}
