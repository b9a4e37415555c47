//! What went wrong, whose fault it is, and what to do next.
//!
//! Every failure that reaches a user is one [`Error`]: a [`Kind`] (which decides the exit code and the `kind` of the
//! JSON event), one sentence of what happened to what, and a hint for the next step.

use std::fmt;

use serde::Serialize;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The classes of failure that scripts can tell apart. A class is one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The transfer failed for another reason than those below.
    Transfer,
    /// Wrong arguments, a path to send that cannot be read, a code with a typo.
    Usage,
    /// The relay knows no such code, or its sender is gone.
    NotFound,
    /// The secret half of the code is wrong, or something between the two ends tampered.
    WrongCode,
    /// The relay cannot be reached, is not the one expected, or the line died.
    Network,
    /// No space, no permission, a target that stands already, a name this system cannot hold.
    Disk,
    /// The relay, the sender or the other user refused.
    Refused,
    /// Content did not match its hash.
    Corrupt,
    /// Ctrl-C or SIGTERM while a download was running.
    Interrupted,
}

impl Kind {
    /// The exit code of the process: part of the promise to scripts, never renumbered.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Transfer => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::WrongCode => 4,
            Self::Network => 5,
            Self::Disk => 6,
            Self::Refused => 7,
            Self::Corrupt => 8,
            Self::Interrupted => 130,
        }
    }
}

/// A failure: its class, what happened to what, and what to do next.
///
/// Text that came from the other side must pass [`crate::text::visible`] before it gets in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    passing: bool,
}

impl Error {
    /// An error of `kind`; `message` says what happened to what, without a final full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, passing: false }
    }

    /// The same error with a hint: what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, of a kind that may pass by itself: who has reason to wait may try again.
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.passing = true;
        self
    }

    /// Whether another try may do better.
    pub fn may_pass(&self) -> bool {
        self.passing
    }

    /// The class, and with it the exit code.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What happened to what.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next, where there is something to do.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
