//! Announces a sender on the local network.

use std::{fmt, io};

use tokio::task::JoinHandle;

use super::{LanReach, message::Announced, responder::Responder};
use crate::{
    error::{Error, Kind, Result},
    text::system_message,
};

/// An announced port. The announcement follows interfaces that come and go, and ends when this is dropped.
///
/// An announcement sends nothing by itself. It answers one-shot questions (RFC 6762 section 6.7), each to its source
/// only, so no other machine caches an answer and a goodbye is not needed.
pub struct LanAnnouncement {
    /// Answers questions. `None` if nothing is announced.
    responder: Option<JoinHandle<()>>,
}

impl LanAnnouncement {
    /// Announces the UDP `port` under a random instance name and a random host name.
    ///
    /// Nothing else in the answers depends on this machine, its user or the share; they contain no address. A machine
    /// without a network is announced as soon as it has one.
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
                Some(tokio::spawn(responder.run()))
            }
            LanReach::Only(_) => None,
        };
        Ok(Self { responder })
    }

    /// Ends the announcement. No question is answered after this returns.
    pub async fn stop(mut self) {
        if let Some(responder) = self.responder.take() {
            responder.abort();
            let _ = responder.await; // it was cancelled
        }
    }
}

impl Drop for LanAnnouncement {
    fn drop(&mut self) {
        if let Some(responder) = &self.responder {
            responder.abort();
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
