//! Trees that this machine happens to have: content, kinds, permissions, times and link targets arrive unchanged.
//!
//! Their number and size are bounded, so that the test takes seconds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::{FileTree, TestEnv};

/// The most entries of all trees together.
const MAX_ENTRIES: usize = 6_000;

/// The most bytes of all trees together.
const MAX_BYTES: u64 = 150 << 20;

#[test]
fn the_trees_of_this_machine_arrive_unchanged() {
    let env = TestEnv::new();
    let trees = choose_trees();
    let paths: Vec<&Path> = trees.iter().map(PathBuf::as_path).collect();
    let relay = env.relay();
    let sender = env.send(&paths).via(&relay).share();
    env.recv(sender.code(), &env.path("in")).via(&relay).run().expect(0);
    for tree in &trees {
        let (sent, received) = (FileTree::of(tree), FileTree::of(&env.path("in").join(tree.file_name().unwrap())));
        assert_eq!(sent.differences(&received), Vec::<PathBuf>::new(), "{}", tree.display());
    }
}

/// Returns readable trees with different names within the bounds: this repository, time zones, terminals, licenses, and
/// as many crates as fit.
fn choose_trees() -> Vec<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut candidates: Vec<PathBuf> = ["src", "docs", "tests", ".git"].map(|name| repository.join(name)).into();
    candidates
        .extend(["zoneinfo", "terminfo", "common-licenses", "perl5"].map(|name| Path::new("/usr/share").join(name)));
    candidates.extend(crates());
    let mut budget = Budget { entries: MAX_ENTRIES, bytes: MAX_BYTES };
    candidates.retain(|tree| tree.is_dir() && budget.spend(tree));
    candidates
}

/// Returns the sources of crates in the cargo registry.
fn crates() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let registries = home.into_iter().flat_map(|home| list(&home.join("registry/src")).collect::<Vec<_>>());
    let mut crates: Vec<PathBuf> =
        registries.take(1).flat_map(|registry| list(&registry).collect::<Vec<_>>()).collect();
    crates.sort();
    crates
}

/// What further trees may have.
#[derive(Clone, Copy)]
struct Budget {
    entries: usize,
    bytes: u64,
}

impl Budget {
    /// Subtracts a tree. Returns `false` and subtracts nothing if it is too large or cannot be shared.
    fn spend(&mut self, tree: &Path) -> bool {
        let mut left = *self;
        let fits = left.subtract(tree).is_some();
        if fits {
            *self = left;
        }
        fits
    }

    fn subtract(&mut self, at: &Path) -> Option<()> {
        let meta = fs::symlink_metadata(at).ok()?;
        at.file_name()?.to_str().filter(|name| !name.contains(char::is_control))?;
        self.entries = self.entries.checked_sub(1)?;
        if meta.is_file() {
            fs::File::open(at).ok()?;
            self.bytes = self.bytes.checked_sub(meta.len())?;
        }
        if meta.is_dir() {
            fs::read_dir(at).ok()?.try_for_each(|entry| self.subtract(&entry.ok()?.path()))?;
        }
        Some(())
    }
}
