//! The sealed bytes to the other end, over one stream after another.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::record::RecordBuilder;
use crate::{
    crypto::Sealer,
    net::{SendHalf, StreamError},
    transfer::session::resumable_stream::{FIRST, Fresh, ResumableStream},
};

/// The sealed bytes to the other end.
pub struct SessionWriter {
    carrier: ResumableStream,
    half: Option<SendHalf>,
    /// Which stream `half` is of, or was.
    stream: u64,
    sealer: Sealer,
    /// What of a kept record is not written to this stream yet.
    leaving: Bytes,
    /// The offset behind `leaving`.
    reached: u64,
    sealed: u64,
    pub(super) ended: bool,
}

impl SessionWriter {
    /// Seals what goes out on `half`, and on whatever `carrier` has after it.
    pub fn new(carrier: &ResumableStream, half: SendHalf, sealer: Sealer) -> Self {
        Self {
            carrier: carrier.clone(),
            half: Some(half),
            stream: FIRST,
            sealer,
            leaving: Bytes::new(),
            reached: 0,
            sealed: 0,
            ended: false,
        }
    }

    /// Seals a record and sends it. Where the future is dropped before it completes, the rest of the record stays here
    /// and goes out before the next one.
    ///
    /// # Errors
    /// [`StreamError`] where the stream has failed and there will be no other.
    pub async fn send(&mut self, record: RecordBuilder) -> Result<(), StreamError> {
        self.flush().await?;
        self.seal(record, false)?;
        self.flush().await
    }

    /// Seals the last record. It goes out, and the stream's finish behind it, while what this gives is waited for.
    ///
    /// # Errors
    /// [`StreamError::TooFarAhead`] where the other end acknowledges nothing.
    pub fn end(mut self, last: RecordBuilder) -> Result<ClosingWriter, StreamError> {
        self.seal(last, true)?;
        self.ended = true;
        Ok(ClosingWriter(self))
    }

    /// Bytes of records sealed so far: the offset of the next record.
    pub fn sealed(&self) -> u64 {
        self.sealed
    }

    pub(super) fn seal(&mut self, record: RecordBuilder, last: bool) -> Result<(), StreamError> {
        let record = record.seal(&mut self.sealer, last);
        self.sealed += record.len() as u64;
        self.carrier.keep(record)
    }

    /// Writes what is kept and not written yet, to one stream after another.
    pub(super) async fn flush(&mut self) -> Result<(), StreamError> {
        /// Who stops a stream says why on its other half, which may arrive this much later.
        const REASON: Duration = Duration::from_secs(2);
        loop {
            let Some(half) = &mut self.half else {
                let Fresh { half, stream, from } = self.carrier.next_send(self.stream).await?;
                (self.half, self.stream) = (Some(half), stream);
                (self.leaving, self.reached) = (Bytes::new(), from);
                continue;
            };
            if self.leaving.is_empty() {
                self.leaving =
                    self.carrier.kept(self.stream, self.reached).inspect_err(|e| self.carrier.give_up((*e).into()))?;
                self.reached += self.leaving.len() as u64;
            }
            if self.leaving.is_empty() {
                if self.ended {
                    half.finish();
                }
                return Ok(());
            }
            let written = tokio::select! {
                biased;
                written = half.write_in_turn(&mut self.leaving) => written,
                () = self.carrier.replaced(self.stream) => {
                    self.half = None;
                    continue;
                }
            };
            if let Err(why) = written {
                let _ = timeout(REASON, self.carrier.replaced(self.stream)).await;
                self.half = None;
                self.carrier.failed(self.stream, why)?;
            }
        }
    }

    /// Does something that may take long, and meanwhile sends again what a stream took with it when it broke, as soon as
    /// there is another.
    pub async fn meanwhile<T>(&mut self, doing: impl Future<Output = T>) -> T {
        let tending = async {
            while self.flush().await.is_ok() {
                self.carrier.replaced(self.stream).await;
                self.half = None;
            }
            std::future::pending().await // who reads has the reason
        };
        tokio::select! {
            biased;
            done = doing => done,
            never = tending => never,
        }
    }

    /// Waits until all of it, the end included, has arrived at whatever is at the other end of the stream.
    async fn delivered(&mut self) {
        while self.flush().await.is_ok() {
            let Some(half) = &mut self.half else { continue };
            tokio::select! {
                () = half.wait_until_delivered() => return,
                () = self.carrier.replaced(self.stream) => self.half = None,
            }
        }
    }
}

/// The last record is sealed: nothing comes behind it.
pub struct ClosingWriter(SessionWriter);

impl ClosingWriter {
    /// As [`SessionWriter::meanwhile`].
    pub async fn meanwhile<T>(&mut self, doing: impl Future<Output = T>) -> T {
        self.0.meanwhile(doing).await
    }

    /// Writes everything, and waits until it has arrived at whatever is at the other end of the stream, or that wants no
    /// more of it.
    pub async fn delivered(&mut self) {
        self.0.delivered().await;
    }

    /// Gives up what is still on its way: whoever carries it learns `why`, and passes that on before what it holds.
    pub fn abandon(mut self, why: u32) {
        if let Some(half) = &mut self.0.half {
            half.reset_even_if_finished(why);
        }
    }
}
