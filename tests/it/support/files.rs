//! Files to send, and the comparison of the received files with them.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs::{self, File},
    io::{BufWriter, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// A file, or a folder with everything below it. Equal trees have equal paths, contents and metadata.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct FileTree(BTreeMap<PathBuf, Node>);

#[derive(PartialEq, Eq, Debug)]
enum Node {
    Folder { mode: u32, mtime: i64 },
    File { hash: blake3::Hash, size: u64, mode: u32, mtime: (i64, i64) },
    Link { target: PathBuf },
    Other,
}

impl FileTree {
    /// Reads the tree at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        let mut tree = Self(BTreeMap::new());
        tree.add(path, Path::new(""));
        tree
    }

    fn add(&mut self, at: &Path, name: &Path) {
        let meta = fs::symlink_metadata(at).unwrap_or_else(|e| panic!("{}: {e}", at.display()));
        let node = if meta.is_dir() {
            Node::Folder { mode: mode(&meta), mtime: meta.mtime() }
        } else if meta.is_file() {
            let mtime = (meta.mtime(), meta.mtime_nsec());
            Node::File { hash: hash_file(at), size: meta.len(), mode: mode(&meta), mtime }
        } else if meta.is_symlink() {
            Node::Link { target: fs::read_link(at).unwrap() }
        } else {
            Node::Other
        };
        self.0.insert(name.to_owned(), node);
        if meta.is_dir() {
            for entry in fs::read_dir(at).unwrap() {
                let file_name = entry.unwrap().file_name();
                self.add(&at.join(&file_name), &name.join(&file_name));
            }
        }
    }

    /// Returns the number of files, folders and links, the top included.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the paths whose entries differ in `received`. Links and special files may be missing there.
    pub(crate) fn differences(&self, received: &Self) -> Vec<PathBuf> {
        let may_be_missing = |node: &Node| matches!(node, Node::Link { .. } | Node::Other);
        let differs = |(path, node): &(&PathBuf, &Node)| match received.0.get(*path) {
            Some(other) => other != *node,
            None => !may_be_missing(node),
        };
        let different = self.0.iter().filter(differs).map(|(path, _)| path.clone());
        let unexpected = received.0.keys().filter(|path| !self.0.contains_key(*path)).cloned();
        different.chain(unexpected).collect()
    }

    /// Removes the entry at this path.
    pub(crate) fn without(mut self, path: &str) -> Self {
        assert!(self.0.remove(Path::new(path)).is_some(), "{path} is not in {self:?}");
        self
    }
}

/// Returns the permissions of the owner, which no common umask changes.
fn mode(meta: &fs::Metadata) -> u32 {
    meta.permissions().mode() & 0o700
}

/// Returns the BLAKE3 hash of a file.
pub(crate) fn hash_file(path: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).unwrap()).unwrap();
    hasher.finalize()
}

/// Writes a file of `size` bytes that neither repeat nor compress.
pub(crate) fn write_random_file(path: &Path, size: u64) {
    let mut bytes = blake3::Hasher::new().update(b"noise").finalize_xof();
    let mut out = BufWriter::new(File::create(path).unwrap());
    let mut buffer = vec![0; 1 << 20];
    let mut left = size as usize;
    while left > 0 {
        let part = left.min(buffer.len());
        bytes.fill(&mut buffer[..part]);
        out.write_all(&buffer[..part]).unwrap();
        left -= part;
    }
    out.flush().unwrap();
}

/// Writes a file of `size` zeros that takes no space on disk.
pub(crate) fn write_sparse_file(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// Returns the names of the entries of a folder, in order.
pub(crate) fn entry_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Checks that a folder contains at most a staging folder.
#[track_caller]
pub(crate) fn assert_only_staged(folder: &Path, what: &str) {
    let names = if folder.exists() { entry_names(folder) } else { Vec::new() };
    let staging = |name: &String| name.starts_with(".qshare-") && name.ends_with(".part");
    assert!(names.len() <= 1 && names.iter().all(staging), "{what}: {names:?}");
}
