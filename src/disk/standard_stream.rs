//! The standard streams of this process as plain files, without the buffers and locks of [`std::io`].

use std::{fs, io};

/// Returns another handle to a standard stream.
///
/// # Errors
/// Any I/O error.
#[cfg(unix)]
pub(super) fn duplicate(stream: &impl std::os::fd::AsFd) -> io::Result<fs::File> {
    stream.as_fd().try_clone_to_owned().map(fs::File::from)
}

/// Returns another handle to a standard stream.
///
/// # Errors
/// Any I/O error.
#[cfg(windows)]
pub(super) fn duplicate(stream: &impl std::os::windows::io::AsHandle) -> io::Result<fs::File> {
    stream.as_handle().try_clone_to_owned().map(fs::File::from)
}

/// Enlarges the buffer of a pipe, so that one read or write moves more of it. Anything else stays as it is.
pub(super) fn enlarge_pipe(file: &fs::File) {
    /// In bytes. An unprivileged process may ask for as much (`/proc/sys/fs/pipe-max-size`).
    #[cfg(target_os = "linux")]
    const PIPE_SIZE: usize = 1024 * 1024;
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(file, PIPE_SIZE); // else it keeps its size, or it is no pipe
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}
