//! Adds the commit to the version: `0.1.0 (12ab34cd5)`. The commit comes from `QSHARE_COMMIT`, for builds without git,
//! otherwise from the repository of this package. Without either, as in an archive of the sources, it is left out.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=QSHARE_COMMIT");
    let package = env!("CARGO_PKG_VERSION");
    let commit = env::var("QSHARE_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(commit_of_repository);
    let version = commit.map_or_else(|| package.to_owned(), |commit| format!("{package} ({commit})"));
    println!("cargo::rustc-env=QSHARE_VERSION={version}");
}

/// Returns the short id of the commit that is checked out. Ignores a repository that contains this package only
/// because its sources were unpacked there.
fn commit_of_repository() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    let commit = git(&["rev-parse", "--short=9", "HEAD"])?;
    let (own, common) = (git(&["rev-parse", "--git-dir"])?, git(&["rev-parse", "--git-common-dir"])?);
    let (own, common) = (PathBuf::from(own), PathBuf::from(common));
    // A path that does not exist would run this script for every build.
    for path in [own.join("HEAD"), common.join("refs/heads"), common.join("packed-refs")] {
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Some(commit)
}

/// Runs git in the folder of this package. Returns `None` if git fails or is not installed.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}
