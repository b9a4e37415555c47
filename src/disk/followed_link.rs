//! What a link leads to, wherever that is.

use std::{ffi::OsStr, fs, io};

use cap_std::fs::Dir;

/// Opens a file or folder at a path below `dir`, following every link. Opening a FIFO never blocks, and a device is not
/// opened.
///
/// # Errors
/// Any I/O error, and [`io::ErrorKind::Unsupported`] for anything but a file or a folder, and on other systems than
/// Unix.
#[cfg(unix)]
pub(super) fn open_following(dir: &Dir, path: &str) -> io::Result<fs::File> {
    use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
    match FileType::from_raw_mode(statat(dir, path, AtFlags::empty())?.st_mode) {
        FileType::RegularFile | FileType::Directory => {}
        _ => return Err(io::ErrorKind::Unsupported.into()),
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(openat(dir, path, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
pub(super) fn open_following(_dir: &Dir, _path: &str) -> io::Result<fs::File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether a link in `dir` leads to a folder.
#[cfg(unix)]
pub(super) fn leads_to_folder(dir: &Dir, name: &OsStr) -> bool {
    use rustix::fs::{AtFlags, FileType, statat};
    statat(dir, name, AtFlags::empty()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
}

#[cfg(not(unix))]
pub(super) fn leads_to_folder(_dir: &Dir, _name: &OsStr) -> bool {
    false
}
