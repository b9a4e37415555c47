//! Who reads the pipe of a share, which can be read only once.

use tokio::sync::watch;

/// The use of a share's pipe. At most one download gets it.
#[derive(Debug, Default)]
pub(super) struct PipeUse(watch::Sender<State>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing is read yet.
    #[default]
    Unread,
    /// The download of this receiver reads it.
    TakenBy(u64),
    /// The download that has read a part of it has failed.
    Lost,
}

impl PipeUse {
    /// Takes the pipe for the download of a receiver. Returns `false` if another one has it.
    pub(super) fn take(&self, receiver: u64) -> bool {
        self.0.send_if_modified(|state| {
            let is_free = *state == State::Unread;
            if is_free {
                *state = State::TakenBy(receiver);
            }
            is_free
        })
    }

    /// Whether a download has taken the pipe.
    pub(super) fn is_taken(&self) -> bool {
        *self.0.borrow() != State::Unread
    }

    /// Records that the download of a receiver has failed. If it has the pipe, the rest of the pipe is lost.
    pub(super) fn note_failure(&self, receiver: u64) {
        self.0.send_if_modified(|state| {
            let is_lost = *state == State::TakenBy(receiver);
            if is_lost {
                *state = State::Lost;
            }
            is_lost
        });
    }

    /// Waits until the pipe is lost.
    pub(super) async fn wait_until_lost(&self) {
        let _ = self.0.subscribe().wait_for(|state| *state == State::Lost).await; // cannot fail: `self` is the sender
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pipe_has_one_reader_and_is_lost_with_it() {
        let pipe = PipeUse::default();
        pipe.note_failure(1);
        assert!(!pipe.is_taken(), "a download that failed before it read anything");
        assert!(pipe.take(2));
        assert!(!pipe.take(3) && pipe.is_taken());
        pipe.note_failure(3);
        assert_eq!(*pipe.0.borrow(), State::TakenBy(2));
        pipe.note_failure(2);
        pipe.wait_until_lost().await;
        assert!(!pipe.take(4));
    }
}
