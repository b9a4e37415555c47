//! The error type of the whole crate, and the exit codes.
//!
//! Every failure that reaches a user is one [`Error`]: a [`Kind`], which decides the exit code and the `kind` of the
//! JSON event, a message that says what happened to what, and a hint that says what to do next.

use std::fmt;

use serde::Serialize;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The classes of failure that scripts can tell apart. Each class has its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The transfer failed for a reason that no other kind covers.
    Transfer,
    /// The arguments are wrong, a path to send cannot be read, or the code has a typo.
    Usage,
    /// The relay does not know the code, or the sender is gone.
    NotFound,
    /// The secret half of the code is wrong, a pin does not match, or a party between the two ends tampered with the
    /// session.
    WrongCode,
    /// The relay cannot be reached, is not the expected one, or the connection was lost.
    Network,
    /// There is no space or no permission, the target exists, or this system does not allow the name.
    Disk,
    /// The relay, the sender or the user refused.
    Refused,
    /// Content did not match its hash, or could not be unpacked.
    Corrupt,
    /// The work was interrupted: by Ctrl-C or SIGTERM, or because its handle was dropped.
    Interrupted,
}

impl Kind {
    /// Returns the exit code of the process. Scripts rely on these numbers, so they never change.
    pub(crate) const fn exit_code(self) -> u8 {
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
/// Text from the other side must pass through [`crate::text::visible`] before it becomes part of a message or a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    transient: bool,
}

impl Error {
    /// Creates an error of `kind`. `message` says what happened to what, without a final full stop.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, transient: false }
    }

    /// Adds a hint that says what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks the error as transient: a retry may succeed.
    #[must_use]
    pub(crate) fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    /// Whether a retry may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        self.transient
    }

    /// Returns the class, which decides the exit code.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the message: what happened to what.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do next, if there is something to do. It is written for users of the command line, and may name
    /// an option.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
