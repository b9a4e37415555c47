//! Errors of the file system, with a hint for the user.

use std::{fmt, io, path::Path};

use cap_std::fs::Dir;

use super::free_space::FreeSpace;
use crate::{
    error::{Error, Kind},
    text::{system_message, visible},
};

/// Returns the error for an `action` ("write") that the receiver's file system refused. `subject` must be printable.
pub(super) fn disk_error(action: &str, subject: impl fmt::Display, e: &io::Error) -> Error {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let exhausted = |what| {
        Error::new(Kind::Disk, format!("cannot {action} {subject}: {what}"))
            .hint("free up space and run the same command again, or use --out DIR to save to another disk")
    };
    match e.kind() {
        StorageFull => exhausted("no space left on the disk"),
        QuotaExceeded => exhausted("your quota on the disk is used up"),
        FileTooLarge => {
            let message = format!("cannot {action} {subject}: the file is larger than the disk or this user may hold");
            Error::new(Kind::Disk, message)
                .hint("use --out DIR to save to another disk (FAT holds files of less than 4 GiB), or see ulimit -f")
        }
        _ if is_out_of_handles(e) => {
            let message = format!("cannot {action} {subject}: {}", system_message(e));
            Error::new(Kind::Disk, message)
                .hint("raise the limit of open files (ulimit -n), then run the command again")
        }
        PermissionDenied | ReadOnlyFilesystem => Error::new(Kind::Disk, format!("cannot {action} {subject}: {e}"))
            .hint("use --out DIR to save to a folder that you can write to"),
        _ => Error::new(Kind::Disk, format!("cannot {action} {subject}: {e}"))
            .hint("check the folder and its disk, or use --out DIR to save to another folder"),
    }
}

/// Whether this process, or the whole system, may open no more files.
fn is_out_of_handles(e: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        matches!(e.raw_os_error(), Some(code) if code == Errno::MFILE.raw_os_error() || code == Errno::NFILE.raw_os_error())
    }
    #[cfg(not(unix))]
    {
        let _ = e;
        false
    }
}

/// Returns the error for an entry that cannot be created in the staging folder, or in any folder on the disk of `disk`.
/// A name that exists in the staging folder belongs to another entry of this download, and stays.
pub(super) fn creation_error(action: &str, subject: impl fmt::Display, e: &io::Error, disk: &Dir) -> Error {
    let free = FreeSpace::of(disk);
    match e.kind() {
        io::ErrorKind::AlreadyExists => {
            let message = format!("cannot {action} {subject}: the disk treats its name as that of another entry");
            Error::new(Kind::Disk, message)
                .hint("use --out DIR to save to another disk, or ask the sender to rename it")
        }
        io::ErrorKind::StorageFull if free.inodes == Some(0) && free.bytes != Some(0) => {
            let message = format!("cannot {action} {subject}: the disk has no free inodes, so it holds no more files");
            Error::new(Kind::Disk, message).hint("remove files there, or use --out DIR to save to another disk")
        }
        _ => disk_error(action, subject, e),
    }
}

/// Returns the error for a path that cannot be shared because it cannot be read. `path` must be printable.
pub(super) fn unreadable(path: &str, e: &io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::Usage, format!("{path} does not exist")).hint("check the path"),
        _ if is_out_of_handles(e) => Error::new(Kind::Transfer, format!("cannot read {path}: {}", system_message(e)))
            .hint("raise the limit of open files (ulimit -n), then run the command again"),
        io::ErrorKind::PermissionDenied => Error::new(Kind::Usage, format!("cannot read {path}: {e}"))
            .hint("change its permissions, or do not share it"),
        _ => Error::new(Kind::Usage, format!("cannot read {path}: {e}")).hint("try again, or do not share it"),
    }
}

/// Whether a path has too many links, because one of them leads back to itself or is not to be followed.
pub(super) fn is_link_loop(e: &io::Error) -> bool {
    #[cfg(unix)]
    {
        e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
    }
    #[cfg(not(unix))]
    {
        let _ = e;
        false
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
