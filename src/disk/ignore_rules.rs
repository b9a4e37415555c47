//! Git's rules for files that it ignores: `.gitignore`, `.git/info/exclude`, and the user's own file.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use cap_std::fs::Dir;
use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::{
    errors::{is_link_loop, printable},
    open_options,
};
use crate::error::{Error, Kind, Result};

/// The file with the rules of a folder.
const FILE_NAME: &str = ".gitignore";

/// The largest file with rules, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Git's rules for the folder that is being scanned, and for those above it. As in git, the rules of an inner folder
/// precede those of an outer one, and nothing below an ignored folder is shared.
///
/// The rules between a path that the user named and the root of its repository count, too.
#[derive(Debug)]
pub(super) struct IgnoreRules {
    /// The rules of the user, which apply everywhere.
    global: Gitignore,
    /// The rules above the path that the user named, outermost first. Their paths begin at the root of its repository.
    above: Vec<FolderRules>,
    /// The path of this path from the root of its repository, and its name in the share.
    root: (PathBuf, PathBuf),
    /// The rules of the folders that were entered and not left. Their paths are those in the share.
    entered: Vec<FolderRules>,
}

/// The rules of one folder.
#[derive(Debug)]
struct FolderRules {
    folder: PathBuf,
    rules: Gitignore,
}

impl FolderRules {
    /// Matches a path that begins where the folder's own path does.
    fn matched(&self, path: &Path, is_folder: bool) -> Match<()> {
        match path.strip_prefix(&self.folder) {
            Ok(inner) => self.rules.matched(inner, is_folder).map(drop),
            Err(_) => Match::None,
        }
    }
}

impl IgnoreRules {
    pub(super) fn new() -> Self {
        let (global, _) = Gitignore::global(); // an invalid line is no rule
        Self { global, above: Vec::new(), root: Default::default(), entered: Vec::new() }
    }

    /// Whether the entry at `path` in the share is ignored.
    pub(super) fn ignore(&self, path: &str, is_folder: bool) -> bool {
        let (from_repository, name) = &self.root;
        let path = Path::new(path);
        let inner = self.entered.iter().rev().map(|rules| rules.matched(path, is_folder));
        let below = path.strip_prefix(name).unwrap_or(path);
        let path_in_repository = from_repository.join(below);
        let outer = self.above.iter().rev().map(|rules| rules.matched(&path_in_repository, is_folder));
        let global = std::iter::once_with(|| self.global.matched(path, is_folder).map(drop));
        inner.chain(outer).chain(global).find(|found| !found.is_none()).is_some_and(|found| found.is_ignore())
    }

    /// Reads the rules above `real`, a folder that the user named without links, and that is `name` in the share.
    ///
    /// # Errors
    /// [`Kind::Usage`] if they exist and cannot be read.
    pub(super) fn enter_root(&mut self, real: &Path, name: &Path) -> Result<()> {
        self.above.clear();
        self.root = (PathBuf::new(), name.to_owned());
        let Some(repository) = real.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok()) else {
            return Ok(());
        };
        let from_repository = real.strip_prefix(repository).unwrap_or(Path::new("")).to_owned();
        let read = |file: PathBuf, folder: &Path| read_rules(open(&file), folder, || printable(&file));
        self.above.extend(read(repository.join(".git/info/exclude"), Path::new(""))?);
        let mut folders: Vec<&Path> = from_repository.ancestors().skip(1).collect();
        folders.reverse();
        for folder in folders {
            self.above.extend(read(repository.join(folder).join(FILE_NAME), folder)?);
        }
        self.root.0 = from_repository;
        Ok(())
    }

    /// Reads the rules in a folder, whose path in the share is `path`.
    ///
    /// # Errors
    /// [`Kind::Usage`] if they exist and cannot be read.
    pub(super) fn enter(&mut self, dir: &Dir, path: &Path, local_path: &str) -> Result<()> {
        let file = dir.open_with(FILE_NAME, &open_options::for_reading()).map(cap_std::fs::File::into_std);
        let rules = read_rules(file, path, || format!("{local_path}/{FILE_NAME}"))?;
        self.entered.push(rules.unwrap_or_else(|| FolderRules { folder: path.to_owned(), rules: Gitignore::empty() }));
        Ok(())
    }

    /// Forgets the rules of the latest folder that was entered.
    pub(super) fn leave(&mut self) {
        self.entered.pop();
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    match fs::symlink_metadata(path)?.is_file() {
        true => fs::File::open(path),
        false => Err(io::ErrorKind::NotFound.into()), // git reads no rules through a link
    }
}

/// Reads the rules of a folder from a file. Invalid lines are no rules, as in git. Returns `None` if there is no
/// such file.
///
/// # Errors
/// [`Kind::Usage`] if the file cannot be read: without its rules, too much would be shared.
fn read_rules(file: io::Result<fs::File>, folder: &Path, name: impl FnOnce() -> String) -> Result<Option<FolderRules>> {
    let read = || {
        let file = file?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut bytes = Vec::new();
        match file.take(MAX_BYTES + 1).read_to_end(&mut bytes)? as u64 {
            0..=MAX_BYTES => Ok(bytes),
            _ => Err(io::Error::other("it is longer than 1 MiB")),
        }
    };
    let bytes = match read() {
        Ok(bytes) => bytes,
        Err(e) if is_absent(&e) => return Ok(None),
        Err(e) => {
            let message = format!("cannot read the rules of --gitignore in {}: {e}", name());
            return Err(Error::new(Kind::Usage, message).hint("repair that file, or share without --gitignore"));
        }
    };
    let mut builder = GitignoreBuilder::new("");
    for line in String::from_utf8_lossy(&bytes).lines() {
        let _ = builder.add_line(None, line);
    }
    Ok(builder.build().ok().map(|rules| FolderRules { folder: folder.to_owned(), rules }))
}

/// Whether there is no file with rules: nothing has its name, or a link that is not followed.
fn is_absent(e: &io::Error) -> bool {
    is_link_loop(e) || matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
