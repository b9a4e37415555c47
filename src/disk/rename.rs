//! Renames that never replace an existing target.

use std::{ffi::OsStr, io};

use cap_std::fs::Dir;

/// Moves `name` in `from` to `new_name` in `to`.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if `new_name` exists, and any other I/O error.
pub(super) fn rename_without_replacing(from: &Dir, name: &str, to: &Dir, new_name: &OsStr) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::{
            fs::{RenameFlags, renameat_with},
            io::Errno,
        };
        match renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {} // unknown to this kernel or this file system
            done => return Ok(done?),
        }
    }
    check_then_rename(from, name, to, new_name)
}

/// The fallback for file systems without such a rename. A file gets a hard link under its new name before the old name
/// is removed, which replaces nothing. For a folder, there is a race: another process can create the new name between
/// the check and the rename.
fn check_then_rename(from: &Dir, name: &str, to: &Dir, new_name: &OsStr) -> io::Result<()> {
    if from.symlink_metadata(name)?.is_file() {
        match from.hard_link(name, to, new_name) {
            Ok(()) => return from.remove_file(name),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(e),
            Err(_) => {} // this file system has no hard links
        }
    }
    match to.symlink_metadata(new_name) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => from.rename(name, to, new_name),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn neither_the_rename_nor_its_fallback_replaces_anything() {
        for rename in [rename_without_replacing, check_then_rename] {
            let home = tempfile::tempdir().unwrap();
            let at = |p: &str| home.path().join(p);
            fs::create_dir_all(at("from/folder")).unwrap();
            fs::create_dir_all(at("to/folder")).unwrap();
            fs::write(at("from/file"), "new").unwrap();
            fs::write(at("to/file"), "old").unwrap();
            let open = |p: &str| Dir::open_ambient_dir(at(p), cap_std::ambient_authority()).unwrap();
            let (from, to) = (open("from"), open("to"));
            for name in ["file", "folder"] {
                let e = rename(&from, name, &to, OsStr::new(name)).unwrap_err();
                assert_eq!(e.kind(), io::ErrorKind::AlreadyExists);
                rename(&from, name, &to, OsStr::new(&format!("{name} (1)"))).unwrap();
            }
            assert_eq!(fs::read(at("to/file")).unwrap(), b"old");
            assert_eq!(fs::read(at("to/file (1)")).unwrap(), b"new");
            assert!(at("to/folder (1)").is_dir());
            assert_eq!(fs::read_dir(at("from")).unwrap().count(), 0);
        }
    }
}
