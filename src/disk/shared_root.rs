//! The paths that the user shares, resolved when the share is created.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

use cap_std::fs::Dir;

use super::{
    errors::{printable, unreadable},
    input_pipe::InputPipe,
};
use crate::error::{Error, Kind, Result};

/// A path that the user named on the command line.
#[derive(Debug, Clone)]
pub(super) struct SharedRoot {
    /// The path as the user typed it.
    typed: PathBuf,
    /// The path without links, resolved once. Later scans use it and follow no link: otherwise anyone who can write to
    /// its parent folder could redirect it to any file that the user can read.
    real: PathBuf,
    /// The name that the user chose instead of its own.
    new_name: Option<String>,
}

impl SharedRoot {
    /// Resolves the links in `typed`.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it does not exist, cannot be read, or is a pipe.
    pub(super) fn resolve(typed: &Path) -> Result<Self> {
        // The link of a process substitution, such as `/dev/fd/63`, has no path that could be resolved.
        if InputPipe::pipe(typed).is_some() {
            let message = format!("cannot share the pipe {} together with other paths", printable(typed));
            return Err(Error::new(Kind::Usage, message).hint("share it alone, or write it to a file first"));
        }
        let real = fs::canonicalize(typed).map_err(|e| unreadable(&printable(typed), &e))?;
        Ok(Self { typed: typed.to_owned(), real, new_name: None })
    }

    /// Returns this path with another name, under which it is saved.
    pub(super) fn renamed(self, name: &str) -> Self {
        Self { new_name: Some(name.to_owned()), ..self }
    }

    /// Returns the path without links.
    pub(super) fn real(&self) -> &Path {
        &self.real
    }

    /// Returns the path as the user typed it, safe to print on a terminal.
    pub(super) fn printable(&self) -> String {
        printable(&self.typed)
    }

    /// Returns the name to share it under: the name that the user chose, otherwise the last component that the user
    /// typed, or the real name of `.` and `..`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for the root folder, which has no name.
    pub(super) fn name(&self) -> Result<OsString> {
        let chosen = self.new_name.as_deref().map(OsStr::new);
        match chosen.or_else(|| self.typed.file_name()).or_else(|| self.real.file_name()) {
            Some(name) => Ok(name.to_owned()),
            None => Err(Error::new(Kind::Usage, format!("cannot share {}: it has no name", self.printable()))
                .hint("share the files and folders in it instead")),
        }
    }

    /// Returns the metadata, without following a link.
    pub(super) fn metadata(&self) -> io::Result<fs::Metadata> {
        fs::symlink_metadata(&self.real)
    }

    /// Whether no component of the path has been replaced by a link since it was resolved.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        Ok(fs::canonicalize(&self.real)? == self.real)
    }

    /// Opens it as a file. A link in its place is not followed, and opening a FIFO does not block.
    pub(super) fn open_file(&self) -> io::Result<fs::File> {
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            open_without_links(&self.real, OFlags::NONBLOCK | OFlags::NOCTTY)
        }
        #[cfg(not(unix))]
        fs::File::open(&self.real)
    }

    /// Opens it as a folder. A link in its place is not followed.
    pub(super) fn open_dir(&self) -> io::Result<Dir> {
        #[cfg(unix)]
        {
            Ok(Dir::from_std_file(open_without_links(&self.real, rustix::fs::OFlags::DIRECTORY)?))
        }
        #[cfg(not(unix))]
        Dir::open_ambient_dir(&self.real, cap_std::ambient_authority())
    }
}

/// Opens `path` for reading if its last component is not a link. Kernels with `openat2` refuse links in every
/// component.
#[cfg(unix)]
fn open_without_links(path: &Path, flags: rustix::fs::OFlags) -> io::Result<fs::File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    {
        use rustix::{
            fs::{CWD, ResolveFlags, openat2},
            io::Errno,
        };
        match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Err(Errno::NOSYS | Errno::PERM) => {} // unknown to this kernel, or forbidden by a sandbox
            opened => return Ok(opened?.into()),
        }
    }
    Ok(open(path, flags, Mode::empty())?.into())
}
