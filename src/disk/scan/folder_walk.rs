//! The entries of the folders that a scan finds.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

use super::{
    super::{
        attributes::mode,
        errors::is_link_loop,
        fingerprint::DeviceAndInode,
        followed_link::{leads_to_folder, open_following},
        open_options,
        own_files::OwnFiles,
        scan_options::LinkPolicy,
    },
    Scan, cannot_be_read, kind_of, names_in, parse,
};
use crate::{
    error::Result,
    manifest::{EntryKind, LeftOutReason, LinkTargetError, SafePath, check_link_target, is_reserved},
    text::visible,
};

/// A folder that is being scanned.
struct OpenFolder<'a> {
    dir: &'a Dir,
    /// Its path in the share.
    path: &'a SafePath,
    /// Its path on this machine, safe to print on a terminal.
    local_path: &'a str,
}

/// A directory entry that the scan has found.
struct FoundEntry<'a> {
    folder: &'a OpenFolder<'a>,
    name: &'a OsStr,
    meta: Metadata,
}

impl OpenFolder<'_> {
    /// Returns the local path of `name` in this folder.
    fn local_path_of(&self, name: &OsStr) -> String {
        format!("{}/{}", self.local_path.trim_end_matches('/'), visible(&name.to_string_lossy()))
    }
}

impl FoundEntry<'_> {
    fn local_path(&self) -> String {
        self.folder.local_path_of(self.name)
    }
}

impl Scan {
    /// Adds the entries `names` of a folder, whose path in the share is `path`. [`SafePath`] limits the recursion to 64
    /// levels.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) if a manifest cannot contain them.
    pub(super) fn add_entries(
        &mut self,
        dir: &Dir,
        names: Vec<OsString>,
        path: &SafePath,
        local_path: &str,
    ) -> Result<()> {
        let folder = &OpenFolder { dir, path, local_path };
        self.filter.enter(dir, path.as_str(), local_path)?;
        for name in names {
            match folder.dir.symlink_metadata(&name) {
                Ok(meta) => self.add_found(&FoundEntry { folder, name: &name, meta })?,
                Err(e) => self.leave_out_entry(folder.local_path_of(&name), &e),
            }
        }
        self.filter.leave();
        Ok(())
    }

    fn add_found(&mut self, found: &FoundEntry<'_>) -> Result<()> {
        let FoundEntry { folder, name, meta } = found;
        let is_followed = meta.is_symlink() && self.filter.links() == LinkPolicy::Follow;
        let is_folder = meta.is_dir() || (is_followed && leads_to_folder(folder.dir, name));
        if self.filter.excludes(folder.path.as_str(), name, meta, is_folder) {
            return Ok(());
        }
        if self.is_own(found) {
            self.leave_out(found, LeftOutReason::OwnFile, "it is one of this tool's own files");
            return Ok(());
        }
        if !(meta.is_file() || meta.is_dir() || meta.is_symlink()) {
            self.leave_out(found, LeftOutReason::Special, format!("it is {}", kind_of(meta)));
            return Ok(());
        }
        let path = match parse(name, |name| folder.path.join(name)) {
            Ok(path) => path,
            Err((reason, detail)) => {
                self.leave_out(found, reason, detail);
                return Ok(());
            }
        };
        if meta.is_dir() {
            self.add_found_folder(found, path)
        } else if !meta.is_symlink() {
            self.add_found_file(found, path)
        } else if is_followed {
            self.add_followed(found, path)
        } else {
            self.add_link(found, path)
        }
    }

    /// Adds what a link leads to, in its place.
    fn add_followed(&mut self, found: &FoundEntry<'_>, path: SafePath) -> Result<()> {
        let FoundEntry { folder, name, .. } = found;
        let name_text = path.name().to_owned();
        let opened = open_following(folder.dir, &name_text).and_then(|file| Ok((Metadata::from_file(&file)?, file)));
        let (meta, file) = match opened {
            Ok(opened) => opened,
            Err(e) => {
                self.leave_out_link(found, &e);
                return Ok(());
            }
        };
        let target = &FoundEntry { folder, name, meta };
        if self.is_own(target) {
            self.leave_out(target, LeftOutReason::OwnFile, "it leads to one of this tool's own files");
            return Ok(());
        }
        if !target.meta.is_dir() {
            let open = || open_following(folder.dir, &name_text);
            return self.push_file(path, &target.meta, || found.local_path(), open).map(drop);
        }
        if self.open_folders.contains(&DeviceAndInode::of(&target.meta)) {
            self.leave_out(found, LeftOutReason::LinkLoop, "it is a link to a folder that holds it");
            return Ok(());
        }
        self.add_opened_folder(target, path, Dir::from_std_file(file))
    }

    /// Leaves out a link that cannot be followed.
    fn leave_out_link(&mut self, found: &FoundEntry<'_>, e: &io::Error) {
        let is_loop = is_link_loop(e);
        let (reason, detail) = match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                (LeftOutReason::BrokenLink, "it is a link that leads nowhere".to_owned())
            }
            io::ErrorKind::Unsupported => (LeftOutReason::Special, "it is a link to a special file".to_owned()),
            _ if is_loop => (LeftOutReason::LinkLoop, "it is a link that leads back to itself".to_owned()),
            _ => (LeftOutReason::Unreadable, cannot_be_read(e)),
        };
        self.leave_out(found, reason, detail);
    }

    /// Adds a folder and its entries.
    fn add_opened_folder(&mut self, found: &FoundEntry<'_>, path: SafePath, dir: Dir) -> Result<()> {
        match names_in(&dir) {
            Ok(names) => {
                self.push(path.clone(), EntryKind::Folder, &found.meta)?;
                self.open_folders.push(DeviceAndInode::of(&found.meta));
                let added = self.add_entries(&dir, names, &path, &found.local_path());
                self.open_folders.pop();
                added
            }
            Err(e) => {
                self.leave_out_entry(found.local_path(), &e);
                Ok(())
            }
        }
    }

    fn is_own(&self, found: &FoundEntry<'_>) -> bool {
        self.own_files.contains(&found.meta)
            || found.name.to_str().is_some_and(|name| {
                is_reserved(name) || (name == "qshare" && OwnFiles::is_default_state_folder(&found.local_path()))
            })
    }

    fn add_found_folder(&mut self, found: &FoundEntry<'_>, path: SafePath) -> Result<()> {
        match found.folder.dir.open_dir_nofollow(found.name) {
            Ok(dir) => self.add_opened_folder(found, path, dir),
            Err(e) => {
                self.leave_out_entry(found.local_path(), &e);
                Ok(())
            }
        }
    }

    fn add_found_file(&mut self, found: &FoundEntry<'_>, path: SafePath) -> Result<()> {
        let FoundEntry { folder, name, meta } = found;
        let open = || Ok(folder.dir.open_with(name, &open_options::for_reading())?.into_std());
        if !self.sized_disks.must_read(meta)
            && let Err(e) = self.check_readable(found, open)
        {
            self.leave_out_entry(found.local_path(), &e);
            return Ok(());
        }
        self.push_file(path, meta, || found.local_path(), open).map(drop)
    }

    /// Adds a link as a link, unless it leads out of the share.
    fn add_link(&mut self, found: &FoundEntry<'_>, path: SafePath) -> Result<()> {
        let target = match found.folder.dir.read_link_contents(found.name) {
            Ok(target) => target.into_os_string(),
            Err(e) => {
                self.leave_out_entry(found.local_path(), &e);
                return Ok(());
            }
        };
        let error = match target.to_str().map(|target| (target, check_link_target(&path, target))) {
            Some((target, Ok(()))) => {
                let target = target.to_owned();
                return self.push(path, EntryKind::Link { target }, &found.meta);
            }
            Some((_, Err(e))) => e,
            None => LinkTargetError::Text,
        };
        let (reason, what) = match error {
            LinkTargetError::Text => (LeftOutReason::LinkTarget, "it is a link with a target that cannot be sent"),
            LinkTargetError::Absolute => (LeftOutReason::AbsoluteLink, "it is a link to an absolute path"),
            LinkTargetError::Outside => (LeftOutReason::OutsideLink, "it is a link that leads out of the share"),
        };
        self.leave_out(found, reason, format!("{what}: {}", visible(&target.to_string_lossy())));
        Ok(())
    }

    /// Checks that this process can read a file. For a file that belongs to the user, the permission bits are
    /// sufficient. For other files, `faccessat` decides; if it denies access or is not supported, the file is opened.
    fn check_readable(&self, found: &FoundEntry<'_>, open: impl FnOnce() -> io::Result<fs::File>) -> io::Result<()> {
        #[cfg(unix)]
        {
            use cap_std::fs::MetadataExt as _;
            use rustix::fs::{Access, AtFlags, accessat};
            let is_own = found.meta.uid() == self.user;
            if (is_own && mode(&found.meta) & 0o400 != 0)
                || accessat(found.folder.dir, found.name, Access::READ_OK, AtFlags::EACCESS).is_ok()
            {
                return Ok(());
            }
        }
        open().map(drop)
    }

    fn leave_out(&mut self, found: &FoundEntry<'_>, reason: LeftOutReason, detail: impl Into<String>) {
        self.left_out.add(found.local_path(), reason, detail);
    }

    /// Leaves out an entry that cannot be read. One that was removed since its folder was read does not count.
    pub(super) fn leave_out_entry(&mut self, path: String, e: &io::Error) {
        if e.kind() != io::ErrorKind::NotFound {
            self.left_out.add(path, LeftOutReason::Unreadable, cannot_be_read(e));
        }
    }
}
