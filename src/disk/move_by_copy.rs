//! Moves an entry to another disk: copies it beside its target, then renames the copy.

use std::{
    ffi::OsStr,
    io::{self, Read as _},
    path::Path,
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::{
    attributes::{copy_attributes_to_file, copy_attributes_to_folder, make_removable},
    disk_usage::hole_bytes,
    durability::{sync_folder, sync_whole_file},
    open_options,
    sparse_file::SparseFile,
    staging_layout::{copy_name, remove_tree},
    trial_disk::{TrialDisk as _, TrialFolder},
};

/// The size of the buffer for copies in bytes.
const BUFFER: usize = 256 * 1024;

/// Copies `name` in `from` to the disk of `to`, with everything below it, and gives the copy its final name by `place`,
/// which takes the temporary name of the copy in `to`. Then removes the original.
///
/// # Errors
/// Any I/O error; then neither a copy nor its final name remains.
pub(super) fn move_by_copy(
    from: &Dir,
    name: &str,
    to: &Dir,
    place: impl FnOnce(&str) -> io::Result<()>,
) -> io::Result<()> {
    let copy = copy_name();
    let copied = copy_entry(from, name.as_ref(), to, copy.as_ref());
    copied.and_then(|()| place(&copy)).inspect_err(|_| drop(remove_tree(to, &copy)))?;
    sync_folder(to);
    let _ = remove_tree(from, name); // the staging folder is removed anyway
    Ok(())
}

fn copy_entry(from: &Dir, name: &OsStr, to: &Dir, copy: &OsStr) -> io::Result<()> {
    let (name, copy) = (Path::new(name), Path::new(copy));
    let meta = from.symlink_metadata(name)?;
    if meta.is_symlink() {
        return to.symlink(from.read_link(name)?, copy);
    }
    if meta.is_dir() {
        make_removable(from, name);
        to.create_dir_with(copy, &open_options::folder_builder(0o700))?;
        let (original, copied) = (from.open_dir_nofollow(name)?, to.open_dir_nofollow(copy)?);
        for entry in original.entries()? {
            let name = entry?.file_name();
            copy_entry(&original, &name, &copied, &name)?;
        }
        copy_attributes_to_folder(&meta, to, copy);
        return Ok(());
    }
    let mut original = from.open_with(name, &open_options::for_reading())?.into_std();
    let copied = to.open_with(copy, &open_options::for_creating(0o600))?.into_std();
    let keeps_holes = hole_bytes(&meta) > 0 && TrialFolder::create(to).is_ok_and(|mut disk| disk.keeps_holes());
    let mut copied = SparseFile::new(copied, 0, keeps_holes);
    let mut buffer = vec![0; BUFFER];
    loop {
        match original.read(&mut buffer)? {
            0 => break,
            read => copied.write(&buffer[..read])?,
        }
    }
    let copied = copied.finish()?;
    copy_attributes_to_file(&meta, &copied);
    sync_whole_file(&copied)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    };

    use super::*;

    #[test]
    fn a_folder_arrives_with_its_content_and_attributes_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let at = |p: &str| home.path().join(p);
        let fill = || {
            fs::create_dir_all(at("from/d/e")).unwrap();
            fs::write(at("from/d/e/f"), "content").unwrap();
            fs::File::create(at("from/d/sparse")).unwrap().set_len(1 << 20).unwrap();
            symlink("e/f", at("from/d/l")).unwrap();
            fs::set_permissions(at("from/d/e"), fs::Permissions::from_mode(0o555)).unwrap();
            let time = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
            fs::File::open(at("from/d/e/f")).unwrap().set_times(time).unwrap();
        };
        fill();
        fs::create_dir(at("to")).unwrap();
        let open = |p: &str| Dir::open_ambient_dir(at(p), cap_std::ambient_authority()).unwrap();
        let (from, to) = (open("from"), open("to"));
        move_by_copy(&from, "d", &to, |_| Err(io::ErrorKind::AlreadyExists.into())).unwrap_err();
        assert!(at("from/d/e/f").exists() && fs::read_dir(at("to")).unwrap().next().is_none());
        move_by_copy(&from, "d", &to, |copy| to.rename(copy, &to, "d")).unwrap();
        assert_eq!(fs::read_dir(at("from")).unwrap().count(), 0);
        assert_eq!(fs::read(at("to/d/l")).unwrap(), b"content");
        assert_eq!(fs::metadata(at("to/d/e/f")).unwrap().mtime(), 0);
        let sparse = fs::metadata(at("to/d/sparse")).unwrap();
        assert!(sparse.len() == 1 << 20 && sparse.blocks() < 1 << 10);
        fs::set_permissions(at("to/d/e"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}
