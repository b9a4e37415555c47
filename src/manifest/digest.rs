//! The digest of a manifest. It identifies the offer that a user has accepted.

use super::{contents::Manifest, entry::EntryKind};

/// The number of bytes that are collected before each hash update.
const BLOCK: usize = 64 * 1024;

/// A hash of the paths, kinds, sizes, modes and link targets of all entries. It excludes times and content: a file with
/// other content and the same size needs no new consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestDigest([u8; 32]);

impl ManifestDigest {
    /// Restores a digest from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Manifest {
    /// Computes the digest.
    pub fn digest(&self) -> ManifestDigest {
        let (mut hasher, mut block) = (blake3::Hasher::new(), Vec::with_capacity(2 * BLOCK));
        let push_text = |block: &mut Vec<u8>, text: &str| {
            block.extend_from_slice(&(text.len() as u64).to_le_bytes());
            block.extend_from_slice(text.as_bytes());
        };
        for entry in self.entries() {
            push_text(&mut block, entry.path.as_str());
            block.extend_from_slice(&entry.mode.to_le_bytes());
            match &entry.kind {
                EntryKind::File { size: Some(size), .. } => {
                    block.push(0);
                    block.extend_from_slice(&size.to_le_bytes());
                }
                EntryKind::File { size: None, .. } => block.push(1),
                EntryKind::Folder => block.push(2),
                EntryKind::Link { target } => {
                    block.push(3);
                    push_text(&mut block, target);
                }
            }
            if block.len() >= BLOCK {
                hasher.update(&block);
                block.clear();
            }
        }
        ManifestDigest(*hasher.update(&block).finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Entry, ManifestBuilder, ManifestHeader, Mtime, SafePath, ShareId, ShareKind};

    fn digest(file: Entry) -> ManifestDigest {
        let header =
            ManifestHeader { share: ShareId::random(), name: "x".into(), entries: 2, holes: 0, kind: ShareKind::Files };
        let mut builder = ManifestBuilder::new(header).unwrap();
        let path = SafePath::parse("d").unwrap();
        builder.push(Entry { path, kind: EntryKind::Folder, mode: 0o755, mtime: None }).unwrap();
        builder.push(file).unwrap();
        builder.finish().unwrap().digest()
    }

    #[test]
    fn the_digest_covers_everything_but_times() {
        let path = |p: &str| SafePath::parse(p).unwrap();
        let size = |size| EntryKind::File { size: Some(size) };
        let link = |target: &str| EntryKind::Link { target: target.into() };
        let file = || Entry { path: path("d/a"), kind: size(5), mode: 0o644, mtime: None };
        let accepted = digest(file());
        let later = Entry { mtime: Some(Mtime { seconds: 5, nanos: 0 }), ..file() };
        assert_eq!(digest(later), accepted);
        let linked = digest(Entry { kind: link("b"), ..file() });
        for changed in [
            Entry { path: path("d/b"), ..file() },
            Entry { kind: size(6), ..file() },
            Entry { kind: EntryKind::Folder, ..file() },
            Entry { kind: link("c"), ..file() },
            Entry { mode: 0o744, ..file() },
        ] {
            assert!(![accepted, linked].contains(&digest(changed.clone())), "{changed:?}");
        }
    }
}
