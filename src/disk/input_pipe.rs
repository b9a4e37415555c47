//! A pipe that a sender shares: standard input, or a FIFO. It can be read once.

use std::{
    fs,
    io::{self, IsTerminal, Read as _},
    path::{Path, PathBuf},
};

use cap_std::fs::Metadata;

use super::{
    errors::unreadable,
    fingerprint::DeviceAndInode,
    source_file::SourceError,
    standard_stream::{duplicate, enlarge_pipe},
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{FileFailure, SafePath},
};

/// A pipe that is not read yet.
#[derive(Debug)]
pub struct InputPipe(Origin);

#[derive(Debug)]
enum Origin {
    StandardInput(fs::File),
    /// The path of a pipe, and what was found there. Opening it waits for the program that writes to it.
    Pipe(PathBuf, DeviceAndInode),
}

/// A pipe that is being read.
#[derive(Debug)]
pub struct OpenPipe {
    path: SafePath,
    file: fs::File,
    hasher: blake3::Hasher,
}

impl InputPipe {
    /// Takes the standard input of this process.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it is a terminal or a folder.
    pub fn standard_input() -> Result<Self> {
        let file = duplicate(&io::stdin()).map_err(|e| unreadable("standard input", &e))?;
        if file.is_terminal() {
            return Err(Error::new(Kind::Usage, "standard input is a terminal")
                .hint("pipe the output of a program into qshare, or type a text with --text -"));
        }
        if file.metadata().is_ok_and(|meta| meta.is_dir()) {
            return Err(Error::new(Kind::Usage, "standard input is a folder").hint("pass the folder as PATH"));
        }
        Ok(Self(Origin::StandardInput(file)))
    }

    /// Takes the pipe at `path`; returns `None` if that is something else.
    pub fn pipe(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok().filter(is_fifo)?;
        Some(Self(Origin::Pipe(path.to_owned(), DeviceAndInode::of(&Metadata::from_just_metadata(meta)))))
    }

    /// Returns the name under which it is shared unless the user chooses another one.
    pub fn default_name(&self) -> String {
        let name = match &self.0 {
            Origin::StandardInput(_) => None,
            // The file name of a process substitution, such as `/dev/fd/63`, is the number of a descriptor.
            Origin::Pipe(path, _) if path.starts_with("/dev/fd") || path.starts_with("/proc") => None,
            Origin::Pipe(path, _) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
        };
        name.unwrap_or_else(|| "stdin".to_owned())
    }

    /// Opens the pipe, whose path in the share is `path`. Waits for the program that writes to a pipe.
    ///
    /// # Errors
    /// [`SourceError`] if the pipe cannot be opened, or something else has replaced it.
    pub fn open(self, path: SafePath) -> std::result::Result<OpenPipe, SourceError> {
        let file = match self.0 {
            Origin::StandardInput(file) => file,
            Origin::Pipe(pipe, found) => {
                let unavailable = |e: io::Error| SourceError::unavailable(&path, &e);
                let file = fs::File::open(pipe).map_err(unavailable)?;
                // Another user may have replaced it by a link to a private file.
                let meta = file.metadata().map_err(unavailable)?;
                if !is_fifo(&meta) || DeviceAndInode::of(&Metadata::from_just_metadata(meta)) != found {
                    return Err(SourceError::new(&path, FileFailure::Replaced));
                }
                file
            }
        };
        enlarge_pipe(&file);
        Ok(OpenPipe { path, file, hasher: blake3::Hasher::new() })
    }
}

impl OpenPipe {
    /// Waits for the next bytes and reads them into `buf`. Returns 0 only at the end of the pipe.
    ///
    /// # Errors
    /// [`SourceError`] if the pipe cannot be read.
    pub fn read(&mut self, buf: &mut [u8]) -> std::result::Result<usize, SourceError> {
        loop {
            match self.file.read(buf) {
                Ok(read) => {
                    self.hasher.update(&buf[..read]);
                    return Ok(read);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => wait_until_readable(&self.file),
                Err(e) => return Err(SourceError::unavailable(&self.path, &e)),
            }
        }
    }

    /// Returns the BLAKE3 hash of everything that was read.
    pub fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

#[cfg(unix)]
fn is_fifo(meta: &fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type())
}

#[cfg(not(unix))]
fn is_fifo(_meta: &fs::Metadata) -> bool {
    false
}

/// Waits until a pipe that another process has made non-blocking has data.
#[cfg(unix)]
fn wait_until_readable(file: &fs::File) {
    use rustix::event::{PollFd, PollFlags, poll};
    let _ = poll(&mut [PollFd::new(file, PollFlags::IN)], None); // the next read returns any error
}

#[cfg(not(unix))]
fn wait_until_readable(_file: &fs::File) {
    std::thread::yield_now();
}
