//! What `--out` means: the folder that will hold the top-level entries, and how its paths are shown.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

use cap_fs_ext::DirExt as _;
use cap_std::{ambient_authority, fs::Dir};

use super::{refused_by_disk, shown};
use crate::{
    error::{Error, Kind, Result},
    manifest::Manifest,
};

/// The folder that will hold the top-level entries. It exists, or is made when the download begins.
#[derive(Debug)]
pub(super) struct Target {
    /// The folder as the user typed it; empty for the current one.
    typed: PathBuf,
    /// The folder, or the one above where it is still to be made.
    dir: Dir,
    /// Its name in `dir` where it is still to be made.
    to_make: Option<OsString>,
}

/// Removes a folder that was made for a download, unless something has come into it.
#[derive(Debug)]
pub(super) struct Made {
    above: Dir,
    name: OsString,
}

impl Target {
    /// Finds out where `out` leads. The second part of the result is the name that it gives to the only file.
    pub(super) fn find(manifest: &Manifest, out: Option<&Path>) -> Result<(Self, Option<OsString>)> {
        let Some(out) = out else { return Ok((Self::existing(Path::new(""))?, None)) };
        if fs::metadata(out).is_ok_and(|m| m.is_dir()) {
            return Ok((Self::existing(out)?, None));
        }
        let Some(name) = out.file_name() else { return Err(no_folder(out)) };
        let above = out.parent().unwrap_or(Path::new(""));
        match fs::metadata(or_here(above)) {
            Ok(meta) if meta.is_dir() => {}
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return Err(refused_by_disk("open", shown(or_here(above)), &e));
            }
            _ => return Err(no_folder(above)),
        }
        let is_one_file = matches!(manifest.entries(), [only] if only.is_file());
        if is_one_file && !ends_in_separator(out) {
            return Ok((Self::existing(above)?, Some(name.to_owned())));
        }
        if fs::symlink_metadata(above.join(name)).is_ok() {
            return Err(Error::new(Kind::Disk, format!("{} stands there already and is not a folder", shown(out)))
                .hint("choose a folder with --out DIR"));
        }
        Ok((Self { to_make: Some(name.to_owned()), typed: out.to_owned(), ..Self::existing(above)? }, None))
    }

    fn existing(typed: &Path) -> Result<Self> {
        let dir = Dir::open_ambient_dir(or_here(typed), ambient_authority())
            .map_err(|e| refused_by_disk("open", shown(or_here(typed)), &e))?;
        Ok(Self { typed: typed.to_owned(), dir, to_make: None })
    }

    /// The folder that will hold the entries, if it exists.
    pub(super) fn folder(&self) -> Option<&Dir> {
        self.to_make.is_none().then_some(&self.dir)
    }

    /// A folder that exists on the file system that the entries will be on.
    pub(super) fn on_its_disk(&self) -> &Dir {
        &self.dir
    }

    /// The folder, fit for a terminal.
    pub(super) fn shown(&self) -> String {
        shown(or_here(&self.typed))
    }

    /// A final path as the user would type it.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.typed.join(name)
    }

    /// The folder that will hold the entries, made where it is missing.
    pub(super) fn make(&self) -> Result<(Dir, Option<Made>)> {
        let failed = |e: io::Error| refused_by_disk("make the folder", self.shown(), &e);
        let above = self.dir.try_clone().map_err(failed)?;
        let Some(name) = &self.to_make else { return Ok((above, None)) };
        let made = match above.create_dir(name) {
            Ok(()) => Some(Made { above: self.dir.try_clone().map_err(failed)?, name: name.clone() }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => None, // made since; it is checked by opening it
            Err(e) => return Err(failed(e)),
        };
        Ok((above.open_dir_nofollow(name).map_err(failed)?, made))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // Fails where the folder holds something, and that is meant.
        let _ = self.above.remove_dir(&self.name);
    }
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn ends_in_separator(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|b| std::path::is_separator(char::from(*b)))
}

fn no_folder(path: &Path) -> Error {
    Error::new(Kind::Disk, format!("there is no folder {}", shown(or_here(path))))
        .hint("make it first, or choose another with --out DIR")
}
