//! Announces a sender on the local network.

use std::{convert::Infallible, fmt, io};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{LanReach, message::Announced, responder::Responder};
use crate::{
    error::{Error, Kind, Result},
    text::system_message,
};

/// An announced port. The announcement follows interfaces that come and go, and ends soon after this is dropped.
///
/// Each network gets two announcements at the beginning, answers to questions, and a goodbye at the end. Nothing else
/// is sent.
pub struct LanAnnouncement {
    /// `None` if nothing is announced.
    responder: Option<RunningResponder>,
}

struct RunningResponder {
    /// The task ends when this is dropped.
    stop: oneshot::Sender<Infallible>,
    task: JoinHandle<()>,
}

impl LanAnnouncement {
    /// Announces the UDP `port` under a random instance name and a random host name.
    ///
    /// Nothing else in the messages depends on this machine, its user or the share, except the addresses of the
    /// interface on which a message is sent. A machine without a network is announced as soon as it has one.
    ///
    /// # Errors
    /// [`Kind::Network`] if no socket can be bound to the port of multicast DNS, because a program does not share it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(port: u16, reach: LanReach) -> Result<Self> {
        let responder = match reach {
            LanReach::Multicast => {
                let responder = Responder::bind(Announced::new(port)).map_err(|e| cannot_announce(&e))?;
                let (stop, stopped) = oneshot::channel();
                Some(RunningResponder { stop, task: tokio::spawn(responder.run(stopped)) })
            }
            LanReach::Only(_) => None,
        };
        Ok(Self { responder })
    }

    /// Sends a goodbye on every network and ends the announcement. No question is answered after this returns. It waits
    /// for no other machine.
    ///
    /// # Cancel safety
    /// The announcement ends all the same.
    pub async fn stop(self) {
        if let Some(RunningResponder { stop, task }) = self.responder {
            drop(stop);
            let _ = task.await; // the runtime may have ended it
        }
    }
}

impl fmt::Debug for LanAnnouncement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanAnnouncement").finish_non_exhaustive()
    }
}

fn cannot_announce(e: &io::Error) -> Error {
    Error::new(Kind::Network, format!("cannot announce the share on the local network: {}", system_message(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_announced_to_a_single_address() {
        let announcement = LanAnnouncement::start(4433, LanReach::Only("127.0.0.1:9".parse().unwrap())).unwrap();
        assert!(announcement.responder.is_none());
        announcement.stop().await;
    }
}
