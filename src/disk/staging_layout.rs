//! The layout of a staging folder, and the only ways to open its parts.
//!
//! ```text
//! .qshare-0123456789abcdef.part/   mode 0700, beside the final names; the digits are the first half of the share id
//! ├── lock                         locked by the process that downloads
//! ├── accepted                     the digest of the offer that the user has accepted
//! ├── files/                       the entries of the share under their manifest paths, complete or in part
//! ├── names.new                    the journal while it is written
//! └── names                        the journal of the renames, written before the first of them
//! ```

use std::{fs::File, io, path::Path};

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::open_options;
use crate::manifest::{RESERVED_PREFIX, ShareId};

/// The lock file in a staging folder.
pub(super) const LOCK: &str = "lock";

/// The digest of the accepted offer in a staging folder.
pub(super) const ACCEPTED: &str = "accepted";

/// The folder in a staging folder that holds the content.
pub(super) const FILES: &str = "files";

/// The journal in a staging folder.
pub(super) const JOURNAL: &str = "names";

/// The journal while it is written.
pub(super) const JOURNAL_TEMP: &str = "names.new";

/// Returns the name of the staging folder of a share.
pub(super) fn staging_name(share: ShareId) -> String {
    let id = share.to_string();
    format!("{RESERVED_PREFIX}{}.part", id.get(..16).unwrap_or(&id))
}

/// Whether `name` is the name of a staging folder.
pub(super) fn is_staging_name(name: &str) -> bool {
    let id = name.strip_prefix(RESERVED_PREFIX).and_then(|rest| rest.strip_suffix(".part"));
    id.is_some_and(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()))
}

/// Creates a staging folder if it does not exist.
pub(super) fn create_staging_folder(base: &Dir, name: &str) -> io::Result<()> {
    match base.create_dir_with(name, &open_options::folder_builder(0o700)) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Opens the staging folder of a share.
///
/// # Errors
/// The same as [`open_by_name`].
pub(super) fn open_staging_folder(base: &Dir, share: ShareId) -> io::Result<Dir> {
    open_by_name(base, &staging_name(share))
}

/// Opens a staging folder, and makes it private if it is not.
///
/// # Errors
/// Any I/O error, and [`io::ErrorKind::PermissionDenied`] if it belongs to another user: in a folder that others can
/// write to, another user could have created it to read the staged data.
pub(super) fn open_by_name(base: &Dir, name: &str) -> io::Result<Dir> {
    let folder = base.open_dir_nofollow(name)?;
    #[cfg(unix)]
    {
        use cap_std::fs::MetadataExt as _;
        let meta = folder.dir_metadata()?;
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
        }
        if meta.mode() & 0o077 != 0 {
            rustix::fs::chmodat(&folder, ".", rustix::fs::Mode::RWXU, rustix::fs::AtFlags::empty())?;
        }
    }
    Ok(folder)
}

/// Opens the lock file of a staging folder; creates it if it does not exist.
pub(super) fn open_lock(folder: &Dir) -> io::Result<File> {
    Ok(folder.open_with(LOCK, &open_options::for_locking())?.into_std())
}

/// Removes a file, a link, or a folder with everything in it.
pub(super) fn remove_tree(dir: &Dir, name: impl AsRef<Path>) -> io::Result<()> {
    let name = name.as_ref();
    if dir.symlink_metadata(name)?.is_dir() { dir.remove_dir_all(name) } else { dir.remove_file_or_symlink(name) }
}
