//! The offer that the user has accepted, in the staging folder of its download.

use std::io::{self, Read as _, Write as _};

use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};

use super::{open_options, plan::Plan, staging_layout::ACCEPTED};
use crate::manifest::ManifestDigest;

/// The maximum size of the file in bytes. A name has at most 255.
const MAX_BYTES: u64 = 4096;

/// An offer that the user has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AcceptedOffer {
    digest: [u8; 32],
    /// The final name of the first top-level entry.
    pub(super) name: String,
    /// The number of other top-level entries.
    pub(super) others: u64,
    /// The number of files that will exist at the end.
    pub(super) files: u64,
    /// The sum of their sizes, if it is known.
    pub(super) bytes: Option<u64>,
}

impl AcceptedOffer {
    /// Returns the offer of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut top_level = plan.top_level();
        let name = top_level.next().map(|(_, name, _)| name.to_string_lossy().into_owned());
        Self {
            digest: *plan.manifest().digest().as_bytes(),
            name: name.unwrap_or_default(),
            others: top_level.count() as u64,
            files: plan.files(),
            bytes: plan.bytes(),
        }
    }

    /// Returns the digest of its manifest.
    pub(super) fn digest(&self) -> ManifestDigest {
        ManifestDigest::from_bytes(self.digest)
    }
}

/// Reads the offer from a staging folder.
pub(super) fn read(staging: &Dir) -> io::Result<AcceptedOffer> {
    let mut bytes = Vec::new();
    staging.open_with(ACCEPTED, &open_options::for_reading())?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}

/// Writes the offer to a staging folder, unless the folder contains it already. After a power failure it may be missing
/// or damaged. At worst, the next download then reports a changed offer.
pub(super) fn write(staging: &Dir, offer: &AcceptedOffer) -> io::Result<()> {
    if read(staging).is_ok_and(|accepted| accepted == *offer) {
        return Ok(());
    }
    match staging.remove_file(ACCEPTED) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let bytes = postcard::to_stdvec(offer).map_err(io::Error::other)?;
    staging.open_with(ACCEPTED, &open_options::for_creating(0o600))?.write_all(&bytes)
}
