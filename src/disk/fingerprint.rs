//! A value that identifies a version of a file: it changes when the file does.

use std::hash::{BuildHasher as _, RandomState};

use cap_std::fs::Metadata;
#[cfg(unix)]
use cap_std::fs::MetadataExt as _;

use super::attributes::mtime;

/// Device, inode, size, mtime and ctime of a file; only size and mtime on systems without the others.
///
/// Times are in nanoseconds since 1970, modulo 2⁶⁴: they are compared only for equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint {
    id: DeviceAndInode,
    size: u64,
    mtime: i64,
    #[cfg(unix)]
    ctime: i64,
}

/// A hash of the device and inode of a file. A share holds one for each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdDigest(u64);

/// The key of the hashes of a share. It is random and secret, so an attacker cannot replace a file and keep the hash.
#[derive(Debug, Clone, Default)]
pub(super) struct FileIdKey(RandomState);

impl FileIdKey {
    pub(super) fn digest(&self, id: DeviceAndInode) -> FileIdDigest {
        FileIdDigest(self.0.hash_one(id))
    }
}

/// Identifies a file or folder regardless of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DeviceAndInode {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Fingerprint {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            id: DeviceAndInode::of(meta),
            size: meta.len(),
            mtime: mtime(meta).map_or(0, |time| nanos(time.seconds, i64::from(time.nanos))),
            #[cfg(unix)]
            ctime: nanos(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl DeviceAndInode {
    #[cfg(unix)]
    pub(super) fn of(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }

    #[cfg(not(unix))]
    pub(super) fn of(_meta: &Metadata) -> Self {
        Self {}
    }
}

fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos)
}
