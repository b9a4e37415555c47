//! The paths that the user named, and where they led then.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use cap_std::fs::Dir;

use super::shown;
use crate::error::{Error, Kind, Result};

/// A path that the user named.
#[derive(Debug, Clone)]
pub(super) struct SharedRoot {
    /// As it was typed.
    pub(super) typed: PathBuf,
    /// Where it led when it was named. Later scans look there, and follow no link: whoever can write to the folder that holds
    /// it could make it lead to whatever the user may read.
    pub(super) real: PathBuf,
}

impl SharedRoot {
    /// Follows the links that were named, once.
    pub(super) fn find(typed: &Path) -> Result<Self> {
        let real = fs::canonicalize(typed).map_err(|e| unreadable(&shown(typed), &e))?;
        Ok(Self { typed: typed.to_owned(), real })
    }

    /// Whether it is where it was, and no link has come into its place or onto the way to it.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        Ok(fs::canonicalize(&self.real)? == self.real)
    }
}

/// Opens a file that the user named, where it really is: a link or a FIFO in its place is neither followed nor waited for.
pub(super) fn open_named(real: &Path) -> io::Result<fs::File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        open_real(real, OFlags::NONBLOCK | OFlags::NOCTTY)
    }
    #[cfg(not(unix))]
    fs::File::open(real)
}

/// Opens a folder that the user named, where it really is.
pub(super) fn open_named_dir(real: &Path) -> io::Result<Dir> {
    #[cfg(unix)]
    {
        Ok(Dir::from_std_file(open_real(real, rustix::fs::OFlags::DIRECTORY)?))
    }
    #[cfg(not(unix))]
    Dir::open_ambient_dir(real, cap_std::ambient_authority())
}

/// Opens a path for reading that had no link in it; where the kernel can, also not through one that is there now.
#[cfg(unix)]
fn open_real(real: &Path, flags: rustix::fs::OFlags) -> io::Result<fs::File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    {
        use rustix::{
            fs::{CWD, ResolveFlags, openat2},
            io::Errno,
        };
        match openat2(CWD, real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Err(Errno::NOSYS | Errno::PERM) => {} // not known to this kernel, or to a sandbox
            opened => return Ok(opened?.into()),
        }
    }
    Ok(open(real, flags, Mode::empty())?.into())
}

/// Something that cannot be shared, as the user knows it.
pub(super) fn unreadable(known_as: &str, e: &io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::Usage, format!("{known_as} does not exist")).hint("check the path"),
        io::ErrorKind::PermissionDenied => Error::new(Kind::Usage, format!("{known_as} cannot be read: {e}"))
            .hint("change its permissions, or leave it out"),
        _ => Error::new(Kind::Usage, format!("{known_as} cannot be read: {e}")).hint("leave it out, or try again"),
    }
}
