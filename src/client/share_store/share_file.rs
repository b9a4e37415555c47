//! The format of a share file.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    code::{Code, Pin},
    manifest::ShareId,
    state::unix_time,
};

/// A saved share. The code and the key are created, replaced and removed together.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(super) struct ShareFile {
    #[zeroize(skip)]
    pub(super) share: ShareId,
    /// The shared paths: absolute, in the form of [`super::stored_path`].
    #[zeroize(skip)]
    pub(super) paths: Vec<String>,
    /// The relay as the user named it; `None` for an embedded relay.
    #[zeroize(skip)]
    pub(super) relay: Option<String>,
    /// The pin that the relay presented, unless a public authority has certified the relay.
    #[zeroize(skip)]
    #[serde(default)]
    pub(super) pin: Option<Pin>,
    /// The name that receivers see.
    #[zeroize(skip)]
    pub(super) name: String,
    pub(super) code: Option<String>,
    /// The share key: the resume keys of receivers derive from it, see [`crate::crypto::resume`].
    pub(super) key: [u8; 32],
    /// The ticket that reclaims the slot at the relay; empty if there is none.
    pub(super) ticket: Vec<u8>,
    /// The port of the embedded relay.
    #[zeroize(skip)]
    pub(super) port: Option<u16>,
    /// The creation time, in seconds since 1970.
    #[zeroize(skip)]
    #[serde(rename = "made")]
    pub(super) created: u64,
    /// The last use, in seconds since 1970.
    #[zeroize(skip)]
    pub(super) used: u64,
    /// The time from the last use until the share is forgotten, in seconds.
    #[zeroize(skip)]
    pub(super) keep: u64,
}

impl ShareFile {
    /// Creates a share without a code.
    pub(super) fn new(share: ShareId, paths: Vec<String>, relay: Option<&str>, keep: Duration) -> Self {
        Self {
            share,
            paths,
            relay: relay.map(str::to_owned),
            pin: None,
            name: String::new(),
            code: None,
            key: rand::random(),
            ticket: Vec::new(),
            port: None,
            created: unix_time(),
            used: unix_time(),
            keep: keep.as_secs(),
        }
    }

    pub(super) fn code(&self) -> Option<Code> {
        self.code.as_deref().and_then(|text| Code::parse(text).ok())
    }

    pub(super) fn ticket(&self) -> Option<Vec<u8>> {
        Some(self.ticket.clone()).filter(|ticket| !ticket.is_empty())
    }
}
