//! A share of the store as `qshare shares` lists it.

use std::path::PathBuf;

use super::{
    share_file::ShareFile,
    stored_path::{decode_path, equivalent_paths},
};
use crate::code::{Code, RelaySpec, Revealed};

/// The shortest prefix of a share id that identifies a share.
const MIN_ID_PREFIX: usize = 4;

/// A share of the store.
pub(crate) struct ListedShare {
    pub(super) file: ShareFile,
    /// Whether its process is running.
    pub(crate) running: bool,
}

impl ListedShare {
    pub(crate) fn id(&self) -> String {
        self.file.share.to_string()
    }

    pub(crate) fn name(&self) -> &str {
        &self.file.name
    }

    pub(crate) fn code(&self) -> Option<Revealed> {
        self.file.code().map(|code| code.reveal())
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.file.paths.iter().map(|text| decode_path(text)).collect()
    }

    pub(crate) fn relay(&self) -> Option<&str> {
        self.file.relay.as_deref()
    }

    /// Returns the relay with the pin that it presented.
    pub(crate) fn relay_spec(&self) -> Option<RelaySpec> {
        let addr = self.relay()?.parse().ok()?;
        Some(RelaySpec { addr, pin: self.file.pin })
    }

    /// Returns the ticket that reclaims the slot at the relay.
    pub(crate) fn ticket(&self) -> Option<Vec<u8>> {
        self.file.ticket()
    }

    /// Returns when the share was created, in seconds since 1970.
    pub(crate) fn created(&self) -> u64 {
        self.file.created
    }

    /// Returns when the share is forgotten unless it is used again, in seconds since 1970.
    pub(crate) fn expires(&self) -> u64 {
        self.file.used.saturating_add(self.file.keep)
    }

    /// Whether `text` is its code, one of its paths, or the start of its id.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let is_code = Code::parse(text).is_ok_and(|code| self.file.code() == Some(code));
        let is_path = equivalent_paths(text).any(|path| self.paths().contains(&path));
        is_code || is_path || (text.len() >= MIN_ID_PREFIX && self.id().starts_with(&text.to_lowercase()))
    }

    /// Whether `text` is its only path.
    pub(crate) fn has_only_path(&self, text: &str) -> bool {
        equivalent_paths(text).any(|path| self.paths() == [path])
    }
}
