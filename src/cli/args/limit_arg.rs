//! The argument of `--limit`.

use crate::{
    error::Result,
    relay::{Limits, RelayLimit},
};

/// The argument of `--limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitArg {
    /// `help`: lists the limits.
    Help,
    /// `NAME=VALUE`: changes a limit.
    Set(RelayLimit, u32),
}

impl LimitArg {
    pub(super) fn parse(text: &str) -> Result<Self> {
        match text {
            "help" => Ok(Self::Help),
            text => Limits::parse(text).map(|(limit, value)| Self::Set(limit, value)),
        }
    }
}
