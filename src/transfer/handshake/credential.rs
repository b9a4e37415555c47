//! The two kinds of secrets that authenticate a handshake.

use crate::{
    code::{Code, Slot},
    crypto::{ExchangeMode, Password, Resumption},
    wire::peer::{HelloMode, ResumptionId},
};

/// The secret that both ends of a handshake must know.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A code. Each handshake with it costs the sender one attempt of its guess budget.
    Code(&'a Code),
    /// Credentials that the sender granted to this receiver in an earlier session.
    Resumption {
        /// The sender's slot.
        slot: Slot,
        /// The receiver's id and key.
        resumption: &'a Resumption,
    },
}

impl Credential<'_> {
    pub(super) fn slot(&self) -> Slot {
        match self {
            Self::Code(code) => code.slot(),
            Self::Resumption { slot, .. } => *slot,
        }
    }

    pub(super) fn password(&self) -> Password {
        match self {
            Self::Code(code) => code.secret().into(),
            Self::Resumption { resumption, .. } => (*resumption).into(),
        }
    }

    pub(super) fn exchange_mode(&self) -> ExchangeMode {
        match self {
            Self::Code(_) => ExchangeMode::Code,
            Self::Resumption { .. } => ExchangeMode::Resume,
        }
    }

    pub(super) fn hello_mode(&self) -> HelloMode {
        match self {
            Self::Code(_) => HelloMode::Code,
            Self::Resumption { resumption, .. } => HelloMode::Resume(wire_id(resumption)),
        }
    }
}

/// Returns the wire form of the id of a resumption.
pub(crate) fn wire_id(resumption: &Resumption) -> ResumptionId {
    ResumptionId { receiver: resumption.id, tag: resumption.id_tag }
}
