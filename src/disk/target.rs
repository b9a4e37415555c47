//! The target of a download: the folder or the file name that `--out` gives.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf, absolute},
};

use cap_fs_ext::DirExt as _;
use cap_std::{ambient_authority, fs::Dir};

use super::{
    errors::{disk_error, printable},
    staging_layout::staging_name,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::Manifest,
};

/// The folder that will hold the top-level entries. It exists, or is created when the download starts.
#[derive(Debug)]
pub(super) struct Target {
    /// The folder as the user typed it; empty for the current folder.
    typed: PathBuf,
    /// The folder, or its parent if it does not exist yet.
    dir: Dir,
    /// The folder's name in `dir` if it does not exist yet.
    missing_folder: Option<OsString>,
    /// The name that `--out` gives to the only file of the share.
    file_name: Option<OsString>,
}

/// A folder that was created for a download. When this is dropped, the folder is removed if it is empty.
#[derive(Debug)]
pub(super) struct CreatedFolder {
    parent: Dir,
    name: OsString,
}

impl Target {
    /// Resolves `--out` for this share; `None` is the current folder.
    ///
    /// # Errors
    /// [`Kind::Disk`] if `out` can be neither a folder nor the name of the only file.
    pub(super) fn resolve(manifest: &Manifest, out: Option<&Path>) -> Result<Self> {
        let Some(out) = out else { return Self::existing(Path::new("")) };
        if fs::metadata(out).is_ok_and(|meta| meta.is_dir()) {
            return Self::existing(out);
        }
        let Some(name) = out.file_name() else { return Err(no_such_folder(out)) };
        let parent = out.parent().unwrap_or(Path::new(""));
        match fs::metadata(or_current(parent)) {
            Ok(meta) if meta.is_dir() => {}
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return Err(disk_error("open", printable(or_current(parent)), &e));
            }
            _ => return Err(no_such_folder(parent)),
        }
        let is_one_file = manifest.len() == 1 && manifest.files() == 1;
        if is_one_file && !ends_in_separator(out) {
            return Ok(Self { file_name: Some(name.to_owned()), ..Self::existing(parent)? });
        }
        if fs::symlink_metadata(parent.join(name)).is_ok() {
            return Err(Error::new(Kind::Disk, format!("{} already exists and is not a folder", printable(out)))
                .hint("use --out DIR with a folder"));
        }
        Ok(Self { missing_folder: Some(name.to_owned()), typed: out.to_owned(), ..Self::existing(parent)? })
    }

    fn existing(typed: &Path) -> Result<Self> {
        let dir = Dir::open_ambient_dir(or_current(typed), ambient_authority())
            .map_err(|e| disk_error("open", printable(or_current(typed)), &e))?;
        Ok(Self { typed: typed.to_owned(), dir, missing_folder: None, file_name: None })
    }

    /// Returns the folder that will hold the entries, if it exists.
    pub(super) fn folder(&self) -> Option<&Dir> {
        self.missing_folder.is_none().then_some(&self.dir)
    }

    /// Returns an existing folder on the file system that the entries will be on: the target folder or its parent.
    pub(super) fn existing_folder(&self) -> &Dir {
        &self.dir
    }

    /// Returns the name that the only file of the share gets, if `--out` names a file.
    pub(super) fn file_name(&self) -> Option<&OsStr> {
        self.file_name.as_deref()
    }

    /// Returns the name of the staging folder of `manifest` in the folder that will hold its entries.
    pub(super) fn staging_name(&self, manifest: &Manifest) -> String {
        staging_name(manifest, self.file_name())
    }

    /// Returns what the user calls the target, safe to print on a terminal: the file name, or the absolute folder.
    pub(super) fn printable_name(&self) -> String {
        match &self.file_name {
            Some(name) => printable(&self.path_of(name)),
            None => printable(&absolute(self.folder_path()).unwrap_or_else(|_| self.folder_path().to_owned())),
        }
    }

    /// Returns the folder's path as the user typed it.
    pub(super) fn folder_path(&self) -> &Path {
        or_current(&self.typed)
    }

    /// Returns the folder's path, safe to print on a terminal.
    pub(super) fn printable(&self) -> String {
        printable(self.folder_path())
    }

    /// Returns the final path of a top-level entry as the user would type it.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.typed.join(name)
    }

    /// Opens the folder that will hold the entries; creates it if it does not exist.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it cannot be created or opened.
    pub(super) fn create_folder(&self) -> Result<(Dir, Option<CreatedFolder>)> {
        let failed = |e: io::Error| disk_error("create the folder", self.printable(), &e);
        let parent = self.dir.try_clone().map_err(failed)?;
        let Some(name) = &self.missing_folder else { return Ok((parent, None)) };
        let created = match parent.create_dir(name) {
            Ok(()) => Some(CreatedFolder { parent: self.dir.try_clone().map_err(failed)?, name: name.clone() }),
            // Another process has created something; the open below fails if that is not a folder.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => None,
            Err(e) => return Err(failed(e)),
        };
        Ok((parent.open_dir_nofollow(name).map_err(failed)?, created))
    }
}

impl Drop for CreatedFolder {
    fn drop(&mut self) {
        // Fails if the folder is not empty, as intended.
        let _ = self.parent.remove_dir(&self.name);
    }
}

fn or_current(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn ends_in_separator(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|b| std::path::is_separator(char::from(*b)))
}

fn no_such_folder(path: &Path) -> Error {
    Error::new(Kind::Disk, format!("the folder {} does not exist", printable(or_current(path))))
        .hint("create it first, or use --out DIR to save to another folder")
}
