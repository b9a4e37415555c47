//! A sender as its receiver knows it: sessions with it, one after another.

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::transfer::Events;
use crate::transfer::backoff::RetryDriver;
use crate::transfer::receiver::confirmed_session::ConfirmedSession;
use crate::transfer::receiver::reconnect::ReconnectConfig;
use crate::transfer::receiver::resumption_store::{ResumptionClaim, StoredResumption};
use crate::{
    code::Code,
    error::{Error, Kind, Result},
    manifest::Manifest,
};

/// A sender, and how to get to it.
pub(crate) struct SenderConnector {
    code: Code,
    back: ReconnectConfig,
    /// What this process comes back with.
    known: Option<StoredResumption>,
    /// The same on the disk, for another process that is started after this one.
    claim: Option<ResumptionClaim>,
}

impl SenderConnector {
    /// The one behind this code. What an earlier process has kept of it is this process's for as long as this lives.
    pub(crate) fn new(code: Code, back: ReconnectConfig) -> Self {
        let claim = back.resumptions.as_ref().and_then(|kept| kept.claim(&code));
        let known = claim.as_ref().map(|claim| claim.known.clone());
        Self { code, back, known, claim }
    }

    /// Begins a session: where there was one before, because of `reason`. Who is known waits for a line, for the relay and
    /// for the sender.
    pub(crate) async fn begin(
        &self,
        mut reason: Option<Error>,
        events: &Events,
        interrupt: impl Future<Output = ()>,
    ) -> Result<(ConfirmedSession, Manifest)> {
        let ReconnectConfig { dialer, retry_for, .. } = &self.back;
        let waits = self.known.is_some() && !retry_for.is_zero();
        let until = Instant::now() + *retry_for;
        let (mut open, mut tries) = (None, RetryDriver::new(dialer.clone(), events.clone(), true));
        let beginning = async {
            loop {
                // The time that it is tried for decides whether there is another try, and cuts none that gets on.
                let connecting = async {
                    match &reason {
                        None => dialer.dial().await,
                        Some(reason) => {
                            tries.next(reason);
                            Ok(tries.connect(reason.clone(), || true).await)
                        }
                    }
                };
                let connected = match waits {
                    true => timeout_at(until, connecting).await.ok(),
                    false => Some(connecting.await),
                };
                let Some(connected) = connected else { return Err(tries.in_vain(*retry_for)) };
                let begun = match connected {
                    Ok(connected) => {
                        let connection = &open.insert(connected).connection;
                        ConfirmedSession::begin(connection, &self.code, &self.back, self.known.as_ref()).await
                    }
                    Err(e) => Err(e),
                };
                match begun {
                    Err(e) if waits && e.is_transient() && Instant::now() < until => reason = Some(e),
                    Err(e) => return Err(e),
                    Ok(begun) => {
                        tries.succeeded();
                        return Ok(begun);
                    }
                }
                if let Some(connected) = open.take() {
                    connected.close().await;
                }
                tries.wait().await;
            }
        };
        let begun = tokio::select! {
            begun = beginning => begun,
            () = interrupt => Err(self.interrupted()),
        };
        match (begun, open) {
            (Ok((mut line, manifest)), Some(connected)) => {
                line.keeper.hold(connected);
                Ok((line, manifest))
            }
            // However it ends, the sender must hear of it: until then it waits for this receiver.
            (Err(e), Some(connected)) => {
                connected.close().await;
                Err(e)
            }
            (begun, None) => begun,
        }
    }

    /// Keeps what the sender has welcomed this receiver with, unless that is known. Where it cannot be kept, another
    /// process has to prove the code once more.
    pub(crate) fn keep(&mut self, known: Option<StoredResumption>) {
        let Some(known) = known else { return };
        let is_kept = self.claim.as_ref().is_some_and(|claim| claim.known.resumption.id == known.resumption.id);
        if let Some(resumptions) = self.back.resumptions.as_ref().filter(|_| !is_kept) {
            match resumptions.keep(&self.code, known.clone()) {
                Ok(claim) => self.claim = Some(claim),
                Err(e) => debug!("what to come back with is not kept: {e}"),
            }
        }
        self.known = Some(known);
    }

    /// The user has stopped before anything came of it.
    pub(crate) fn interrupted(&self) -> Error {
        match self.known {
            Some(_) => interrupted(),
            None => Error::new(Kind::Interrupted, "stopped; nothing was downloaded"),
        }
    }

    /// The download is whole: nobody comes back to it.
    pub(crate) fn forget(self) {
        if let Some(claim) = self.claim {
            claim.forget();
        }
    }
}

/// The user has stopped a download.
pub(crate) fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "stopped; the same command goes on with what is here")
}
