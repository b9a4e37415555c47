//! The offer: the manifest that the sender sends, and the receiver's reply to it.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    download_error::DownloadError,
    messages::{MessageQueue, ReceiverMessage},
    record_sender::RecordSender,
    requested_files::{RequestedFiles, StagedList},
    share::Share,
};
use crate::{
    crypto::Resumption,
    disk::Source,
    error::{Error, Kind, Result},
    transfer::{
        handshake::wire_id,
        session::{RecordBuilder, manifest_encoder::ManifestEncoder},
    },
    wire::peer::{Done, FailureReason, ResumptionGrant},
};

/// How long the user at the other end may take to accept.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// A scan of the share, and its manifest as far as it is not sent yet.
pub(super) struct PreparedOffer {
    manifest: ManifestEncoder,
    pub(super) source: Arc<Source>,
}

/// The receiver's reply to an offer.
pub(super) enum OfferReply {
    /// It accepts and requests these files.
    Accepted(RequestedFiles),
    /// It ends the session.
    Ended(Done),
}

impl PreparedOffer {
    /// Prepares an offer of the current state of the share.
    ///
    /// # Errors
    /// Those of a scan, if a shared path is missing or unreadable.
    pub(super) async fn new(share: &Share) -> Result<Self> {
        let source = share.scan().get().await?;
        Ok(Self { manifest: ManifestEncoder::new(Arc::clone(source.manifest())), source })
    }

    /// Encodes the first record, which leaves with flight 2.
    pub(super) fn first_record(&mut self, resumption: &Resumption) -> RecordBuilder {
        let grant = ResumptionGrant { id: wire_id(resumption), key: *resumption.key };
        self.manifest.first_record(&grant).unwrap_or_default()
    }

    /// Sends the rest of the manifest and waits for the receiver's reply (flight 4).
    ///
    /// # Errors
    /// [`DownloadError`] if the receiver does not reply in time, requests files before it has the manifest, or requests
    /// files that do not exist.
    pub(super) async fn present(
        &mut self,
        sender: &mut RecordSender<'_>,
        messages: &mut MessageQueue,
    ) -> Result<OfferReply, DownloadError> {
        // Biased: the reply to a short manifest may have arrived already. It is early only if a part of the manifest is
        // not sent yet.
        tokio::select! {
            biased;
            sent = send_manifest(&mut self.manifest, sender) => sent?,
            early = messages.next() => return match early {
                ReceiverMessage::Done(done) => Ok(OfferReply::Ended(done)),
                _ => Err(DownloadError::unexpected_request()),
            },
        }
        let reply = sender.flush_while(timeout(ACCEPT_TIMEOUT, receive_reply(messages, &self.source))).await;
        reply.map_err(|_| not_accepted_in_time())?
    }
}

/// Sends the part of the manifest that did not fit into flight 2.
async fn send_manifest(manifest: &mut ManifestEncoder, sender: &mut RecordSender<'_>) -> Result<(), DownloadError> {
    while let Some(record) = manifest.next_record()? {
        sender.send(record, 0).await?;
    }
    Ok(())
}

/// Waits until the receiver requests files or ends the session.
async fn receive_reply(messages: &mut MessageQueue, source: &Source) -> Result<OfferReply, DownloadError> {
    let mut staged = StagedList::default();
    loop {
        match messages.next().await {
            ReceiverMessage::Staged(files) => staged.add(source, files)?,
            ReceiverMessage::Request(request) => {
                return Ok(OfferReply::Accepted(RequestedFiles::new(source, &request, staged)?));
            }
            ReceiverMessage::Groups(_) => return Err(DownloadError::unexpected_request()),
            ReceiverMessage::Done(done) => return Ok(OfferReply::Ended(done)),
        }
    }
}

fn not_accepted_in_time() -> DownloadError {
    DownloadError::Local(
        FailureReason::ReceiverTimeout,
        Error::new(Kind::Refused, "the receiver did not accept in time"),
    )
}
