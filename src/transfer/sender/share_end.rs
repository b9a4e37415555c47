//! How a share ends, and the result that the user sees.

use crate::{
    error::{Error, Kind, Result},
    event::StopReason,
    text::count,
};

/// How a share ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShareEnd {
    /// As many downloads as the share allows are complete.
    LimitReached {
        /// `--max-downloads`; 1 for `--once`.
        max_downloads: u64,
    },
    /// The time given by `--expire` has passed.
    Expired,
    /// Too many wrong guesses: the code is no longer valid.
    CodeRetired,
    /// The relay in this process has failed.
    RelayFailed,
    /// The download that has read a part of the pipe has failed.
    PipeLost,
    /// The user interrupted the share.
    Interrupted {
        /// Downloads that were running.
        running: u64,
        /// Whether the share is a pipe, which no later share continues.
        is_pipe: bool,
    },
}

impl ShareEnd {
    /// Whether running downloads may finish. Their receivers have already confirmed the code, so this includes a share
    /// whose code is retired.
    pub(super) fn lets_downloads_finish(self) -> bool {
        !matches!(self, Self::RelayFailed | Self::PipeLost | Self::Interrupted { .. })
    }

    /// Converts the end to the result of the command, for a share that leaves this many receivers without some files.
    ///
    /// # Errors
    /// [`Kind::Transfer`] for a lost pipe, and if it would be no error otherwise and there are such receivers;
    /// [`Kind::Refused`] for a retired code, [`Kind::Network`] for a failed relay, [`Kind::Interrupted`] if downloads
    /// were interrupted.
    pub(super) fn into_result(self, incomplete_downloads: u64) -> Result<StopReason> {
        let reason = self.reason()?;
        if incomplete_downloads > 0 {
            let what = count(incomplete_downloads, "receiver");
            return Err(Error::new(Kind::Transfer, format!("the share has ended, and {what} did not get every file"))
                .hint("share the same paths again; the receivers get the rest with the same command"));
        }
        Ok(reason)
    }

    fn reason(self) -> Result<StopReason> {
        match self {
            Self::LimitReached { max_downloads: 1 } => Ok(StopReason::Once),
            Self::LimitReached { .. } => Ok(StopReason::MaxDownloads),
            Self::Expired => Ok(StopReason::Expired),
            Self::CodeRetired => Err(Error::new(Kind::Refused, "too many wrong guesses; the code is no longer valid")
                .hint("share again for a new code; --code-length 8 makes guessing impractical")),
            Self::RelayFailed => Err(Error::new(Kind::Network, "the relay in this process has failed")
                .hint("share the same paths again; the code stays the same")),
            Self::PipeLost => {
                Err(Error::new(Kind::Transfer, "the download of the pipe has failed, and a pipe cannot be sent again")
                    .hint("share the output of the same program again"))
            }
            Self::Interrupted { running: 0, .. } => Ok(StopReason::Interrupted),
            Self::Interrupted { running, is_pipe } => {
                let downloads = count(running, "download");
                let hint = match is_pipe {
                    true => "a pipe cannot be resumed; share it again from its beginning",
                    false => "share the same paths again to let the receivers resume with the same code",
                };
                Err(Error::new(Kind::Interrupted, format!("interrupted with {downloads} running")).hint(hint))
            }
        }
    }
}
