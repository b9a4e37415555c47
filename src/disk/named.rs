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
pub(super) struct Named {
    /// As it was typed.
    pub(super) typed: PathBuf,
    /// Where it led when it was named. Later scans look there, and follow no link: whoever can write to the folder that holds
    /// it could make it lead to whatever the user may read.
    pub(super) real: PathBuf,
}

impl Named {
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
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    options.open(real)
}

/// Opens a folder that the user named, where it really is.
pub(super) fn open_named_dir(real: &Path) -> io::Result<Dir> {
    #[cfg(unix)]
    {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Dir::from_std_file(fs::File::from(open(real, flags, Mode::empty())?)))
    }
    #[cfg(not(unix))]
    Dir::open_ambient_dir(real, cap_std::ambient_authority())
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
