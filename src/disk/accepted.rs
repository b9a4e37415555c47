//! The digest of the offer that the user has accepted, in the staging folder of its download.

use std::io::{self, Read as _, Write as _};

use cap_std::fs::Dir;

use super::{open_options, staging_layout::ACCEPTED};
use crate::manifest::ManifestDigest;

/// Reads the digest from a staging folder.
pub(super) fn read(staging: &Dir) -> io::Result<ManifestDigest> {
    let mut bytes = [0; 32];
    staging.open_with(ACCEPTED, &open_options::for_reading())?.read_exact(&mut bytes)?;
    Ok(ManifestDigest::from_bytes(bytes))
}

/// Writes the digest to a staging folder, unless the folder contains it already. After a power failure it may be
/// missing or damaged. At worst, the next download then reports a changed offer.
pub(super) fn write(staging: &Dir, digest: ManifestDigest) -> io::Result<()> {
    if read(staging).is_ok_and(|accepted| accepted == digest) {
        return Ok(());
    }
    match staging.remove_file(ACCEPTED) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    staging.open_with(ACCEPTED, &open_options::for_creating(0o600))?.write_all(digest.as_bytes())
}
