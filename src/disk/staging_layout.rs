//! The layout of a staging folder, and the only ways to open its parts.
//!
//! ```text
//! .qshare-0123456789abcdef.part/   mode 0700, beside the final names; the digits are half of the share id, or a hash
//! ├── lock                         locked by the process that downloads
//! ├── accepted                     the offer that the user has accepted
//! ├── files/                       the entries of the share under their manifest paths, complete or in part
//! ├── names.new                    the journal while it is written
//! ├── names                        the journal of the renames, written before the first of them
//! └── saved                        instead of content and journal: what an incomplete download has saved
//!
//! .qshare-removed-0123456789abcdef/   a staging folder that is being removed
//! .qshare-trial-0123456789abcdef/     a folder in which a plan tries what the disk can hold
//! .qshare-copy-0123456789abcdef       an entry that is being copied to another disk
//! ```

use std::{ffi::OsStr, fs::File, io, path::Path};

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::open_options;
use crate::manifest::{Manifest, RESERVED_PREFIX};

/// The lock file in a staging folder.
pub(super) const LOCK: &str = "lock";

/// The accepted offer in a staging folder.
pub(super) const ACCEPTED: &str = "accepted";

/// The folder in a staging folder that holds the content.
pub(super) const FILES: &str = "files";

/// The journal in a staging folder.
pub(super) const JOURNAL: &str = "names";

/// The journal while it is written.
pub(super) const JOURNAL_TEMP: &str = "names.new";

/// The record of saved entries in a staging folder.
pub(super) const SAVED: &str = "saved";

/// Returns the name of the staging folder of a manifest. A share whose only file gets a name of its own has one for
/// each of these names, so that two downloads to two names do not lock each other out. So has each selection from a
/// share.
pub(super) fn staging_name(manifest: &Manifest, file_name: Option<&OsStr>) -> String {
    let mut id = manifest.staging_id();
    if let Some(name) = file_name {
        let mut hasher = blake3::Hasher::new();
        id = hasher.update(id.as_bytes()).update(name.as_encoded_bytes()).finalize().to_hex().to_string();
    }
    format!("{RESERVED_PREFIX}{}.part", id.get(..16).unwrap_or(&id))
}

/// Returns a new name for a staging folder that is about to be removed.
pub(super) fn removed_name() -> String {
    format!("{RESERVED_PREFIX}removed-{:016x}", rand::random::<u64>())
}

/// Returns a new name for a folder in which a plan tries what the disk can hold.
pub(super) fn trial_name() -> String {
    format!("{RESERVED_PREFIX}trial-{:016x}", rand::random::<u64>())
}

/// Returns a new name for an entry while it is copied to another disk.
pub(super) fn copy_name() -> String {
    format!("{RESERVED_PREFIX}copy-{:016x}", rand::random::<u64>())
}

/// Whether `name` is a name of [`removed_name`], [`trial_name`] or [`copy_name`]. What has it was left over by a
/// process that was killed, or will be gone in a moment.
pub(super) fn is_short_lived_name(name: &str) -> bool {
    let rest = name.strip_prefix(RESERVED_PREFIX);
    rest.is_some_and(|rest| ["removed-", "trial-", "copy-"].iter().any(|kind| rest.starts_with(kind)))
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
