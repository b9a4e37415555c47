//! The destination of a download.

use std::{path::PathBuf, sync::Arc};

use crate::{
    blocking::run_blocking,
    disk::{ConflictPolicy, Plan},
    error::Result,
    manifest::Manifest,
};

/// The destination of a download. It stays the same when the sender's offer changes.
pub(super) struct Destination {
    /// The path that the user chose; `None` for the current folder.
    pub(super) out: Option<PathBuf>,
    pub(super) conflicts: ConflictPolicy,
}

impl Destination {
    /// Plans a path for every entry of an offer. Writes nothing.
    ///
    /// # Errors
    /// Those of [`Plan::new`].
    pub(super) async fn plan(&self, manifest: Arc<Manifest>) -> Result<Plan> {
        let (out, conflicts) = (self.out.clone(), self.conflicts);
        run_blocking(move || Plan::new(manifest, out.as_deref(), conflicts)).await
    }
}
