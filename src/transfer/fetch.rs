//! The receiver's pipeline: the line is drained on one side while records are unpacked on the other.

use std::path::PathBuf;

use bytes::BytesMut;
use tokio::{
    sync::{mpsc, watch},
    time::{Duration, Instant, timeout},
};

use super::{
    Events,
    credit::Window,
    failure::{broken, cut, stalled},
    receive::{STALLED, off_thread},
    session::{Incoming, Outgoing, RECORD, Record},
    unpack::Unpacker,
};
use crate::{
    crypto::Opener,
    error::Result,
    event::Event,
    net::LineError,
    wire::{WireError, peer::LAST_RECORD_SLACK},
};

/// Progress is reported at most this often.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Bytes of records that are unpacked in one go.
const BATCH: usize = 1024 * 1024;

/// What is needed beside the stream and the disk.
pub(super) struct Fetch<'a> {
    pub(super) out: &'a mut Outgoing,
    pub(super) window: Window,
    pub(super) events: &'a Events,
    pub(super) total: Option<u64>,
}

/// A download that is complete and named.
pub(super) struct Fetched {
    pub(super) incoming: Incoming,
    pub(super) opener: Opener,
    pub(super) saved: Vec<PathBuf>,
    pub(super) bytes: u64,
}

impl Fetch<'_> {
    /// Takes records until every file is complete, then names them.
    pub(super) async fn run(mut self, mut incoming: Incoming, unpacker: Unpacker) -> Result<Fetched> {
        let (records_tx, records) = mpsc::unbounded_channel(); // the credit is its bound, see `drain`
        let granted = watch::Sender::new(self.window.granted());
        let unpacker = tokio::select! {
            e = drain(&mut incoming, records_tx, granted.subscribe()) => return Err(e),
            unpacked = self.unpack(unpacker, records, &granted) => unpacked?,
        };
        let bytes = unpacker.bytes();
        self.events.report(Event::Progress { bytes, total: self.total }).await;
        let (opener, saved) = off_thread(move || unpacker.publish()).await?;
        Ok(Fetched { incoming, opener, saved, bytes })
    }

    async fn unpack(
        &mut self,
        mut unpacker: Unpacker,
        mut records: mpsc::UnboundedReceiver<(BytesMut, u64)>,
        granted: &watch::Sender<u64>,
    ) -> Result<Unpacker> {
        let mut reported = Instant::now();
        while !unpacker.is_complete() {
            let Some((first, mut received)) = records.recv().await else { return Err(cut(&LineError::Short)) };
            let mut size = first.len();
            let mut batch = vec![first];
            while size < BATCH
                && let Ok((record, offset)) = records.try_recv()
            {
                size += record.len();
                received = offset;
                batch.push(record);
            }
            unpacker = off_thread(move || {
                batch.into_iter().try_for_each(|record| unpacker.take(record))?;
                Ok(unpacker)
            })
            .await?;
            if let Some(credit) = self.window.drained(received, Instant::now()) {
                granted.send_replace(credit.limit);
                let record = Record::of(&credit).map_err(|e| broken(&e.into()))?;
                let _ = self.out.send(record).await; // where that fails, what is read next says why
            }
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                self.events.mention(Event::Progress { bytes: unpacker.bytes(), total: self.total });
            }
        }
        Ok(unpacker)
    }
}

/// Takes records off the line as they come, with the offset behind each. A sender that goes beyond its credit is cut,
/// so that what waits here is bounded; one that does not use its credit for too long counts as gone.
async fn drain(
    incoming: &mut Incoming,
    records: mpsc::UnboundedSender<(BytesMut, u64)>,
    granted: watch::Receiver<u64>,
) -> crate::error::Error {
    let mut silent = false;
    loop {
        // Cut off in the middle of a record, the read begins where it stopped.
        match timeout(STALLED / 2, incoming.sealed()).await {
            Ok(Ok(Some(record))) => {
                silent = false;
                if incoming.received() > *granted.borrow() + LAST_RECORD_SLACK {
                    return broken(&WireError::TooLong.into());
                }
                if records.send((record, incoming.received())).is_err() {
                    std::future::pending::<()>().await; // the other half of the pipeline has the reason
                }
            }
            Ok(Ok(None)) => {
                drop(records);
                return std::future::pending().await;
            }
            Ok(Err(e)) => return broken(&e),
            Err(_) => {
                let may_send = *granted.borrow() >= incoming.received() + RECORD as u64;
                if may_send && silent {
                    return stalled();
                }
                silent = may_send;
            }
        }
    }
}
