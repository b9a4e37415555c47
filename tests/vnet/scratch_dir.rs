//! A temporary folder for the files of a scenario, in memory where the system allows it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;

/// The folder in which Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// A folder that is removed when dropped.
#[derive(Debug)]
pub(crate) struct ScratchDir(TempDir);

impl ScratchDir {
    /// Creates an empty folder.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir()).unwrap())
    }

    /// Returns the path of `name` in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Creates a folder in it.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Creates a file of `size` random bytes, which depend only on the name and the size.
    pub(crate) fn file(&self, name: &str, size: usize) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        let mut content = vec![0; size];
        let seed = name.bytes().fold(size as u64, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
        SmallRng::seed_from_u64(seed).fill_bytes(&mut content);
        fs::write(&path, content).unwrap();
        path
    }
}
