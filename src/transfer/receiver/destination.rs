//! The destination of a download.

use std::{path::PathBuf, sync::Arc};

use crate::{
    blocking::run_blocking,
    disk::{ConflictPolicies, Plan},
    error::Result,
    manifest::Manifest,
};

/// The destination of a download. It stays the same when the sender's offer changes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The path that the user chose; `None` for the current folder.
    pub out: Option<PathBuf>,
    /// The policies for targets that already exist.
    pub conflicts: ConflictPolicies,
    /// Whether entries that the disk cannot hold may be left out. If not, they end the download before the first byte.
    pub skip_unsupported: bool,
    /// The most bytes that the user allows; `None` for no limit.
    pub max_size: Option<u64>,
}

impl Destination {
    /// Plans a path for every entry of an offer. Writes nothing that remains.
    ///
    /// # Errors
    /// The errors of [`Plan::new`] and [`Plan::with_max_size`].
    pub(super) async fn plan(&self, manifest: Arc<Manifest>) -> Result<Plan> {
        let Self { out, conflicts, max_size, .. } = self.clone();
        run_blocking(move || Plan::new(manifest, out.as_deref(), conflicts)?.with_max_size(max_size)).await
    }
}
