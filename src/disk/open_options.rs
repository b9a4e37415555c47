//! Options for opening and creating files that another process may have replaced.
//!
//! These options do not follow symbolic links, and opening a FIFO with them never blocks.

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{DirBuilder, OpenOptions};

/// Returns the options for reading a file. A terminal does not become the controlling terminal of this process.
pub(super) fn for_reading() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    #[cfg(unix)]
    cap_std::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NOCTTY.bits().cast_signed());
    options
}

/// Returns the options for writing to an existing file.
pub(super) fn for_writing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).follow(FollowSymlinks::No).nonblock(true);
    options
}

/// Returns the options for writing a file that must not exist yet. It gets the permission bits of `mode` that the
/// user's umask allows.
pub(super) fn for_creating(mode: u32) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).follow(FollowSymlinks::No);
    set_mode(&mut options, mode);
    options
}

/// Returns the options for opening a file as a lock; it is created with mode 0600 if it does not exist.
pub(super) fn for_locking() -> OpenOptions {
    let mut options = for_writing();
    options.read(true).create(true);
    set_mode(&mut options, 0o600);
    options
}

/// Returns a builder of one folder. It gets the permission bits of `mode` that the user's umask allows.
#[cfg(unix)]
pub(super) fn folder_builder(mode: u32) -> DirBuilder {
    let mut builder = DirBuilder::new();
    cap_std::fs::DirBuilderExt::mode(&mut builder, mode);
    builder
}

#[cfg(not(unix))]
pub(super) fn folder_builder(_mode: u32) -> DirBuilder {
    DirBuilder::new()
}

#[cfg(unix)]
fn set_mode(options: &mut OpenOptions, mode: u32) {
    cap_std::fs::OpenOptionsExt::mode(options, mode);
}

#[cfg(not(unix))]
fn set_mode(_options: &mut OpenOptions, _mode: u32) {}
