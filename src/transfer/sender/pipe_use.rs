//! The use of a share's pipe, which can be read only once.

use tokio::sync::watch;

use crate::{disk::InputPipe, manifest::SafePath, sync::Mutex};

/// The pipe of a share, and its use. At most one download gets it.
#[derive(Debug)]
pub(super) struct PipeUse {
    /// The pipe and its path in the share, until a download takes them.
    pipe: Mutex<Option<(InputPipe, SafePath)>>,
    state: watch::Sender<PipeState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PipeState {
    /// No download has taken it.
    Free,
    /// The download of this receiver reads it.
    TakenBy(u64),
    /// The download that has taken it has failed.
    Lost,
}

impl PipeUse {
    /// Creates the use of a pipe, whose path in the share is `path`.
    pub(super) fn new(pipe: InputPipe, path: SafePath) -> Self {
        Self { pipe: Mutex::new(Some((pipe, path))), state: watch::Sender::new(PipeState::Free) }
    }

    /// Takes the pipe for the download of a receiver. Returns `None` if another one has it.
    pub(super) fn take(&self, receiver: u64) -> Option<(InputPipe, SafePath)> {
        let taken = self.pipe.lock().take()?;
        self.state.send_replace(PipeState::TakenBy(receiver));
        Some(taken)
    }

    /// Whether a download has taken the pipe.
    pub(super) fn is_taken(&self) -> bool {
        *self.state.borrow() != PipeState::Free
    }

    /// Records that the download of a receiver has failed. If it has the pipe, the pipe is lost.
    pub(super) fn note_failure(&self, receiver: u64) {
        self.state.send_if_modified(|state| {
            let is_lost = *state == PipeState::TakenBy(receiver);
            if is_lost {
                *state = PipeState::Lost;
            }
            is_lost
        });
    }

    /// Waits until the pipe is lost.
    pub(super) async fn wait_until_lost(&self) {
        // Cannot fail: `self` owns the sender.
        let _ = self.state.subscribe().wait_for(|state| *state == PipeState::Lost).await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[tokio::test]
    async fn a_pipe_has_one_reader_and_is_lost_with_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let pipe = PipeUse::new(InputPipe::pipe(&path).unwrap(), SafePath::parse("fifo").unwrap());
        pipe.note_failure(1);
        assert!(!pipe.is_taken(), "a download that failed before it took the pipe");
        assert!(pipe.take(2).is_some());
        assert!(pipe.take(3).is_none() && pipe.is_taken());
        pipe.note_failure(3);
        assert_eq!(*pipe.state.borrow(), PipeState::TakenBy(2));
        pipe.note_failure(2);
        pipe.wait_until_lost().await;
        assert!(pipe.take(4).is_none());
    }
}
