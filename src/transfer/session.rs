//! The sealed stream of a confirmed session: records of whole frames, counted in both directions.

use std::{ops::Deref, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::carrier::{Carrier, FIRST, Fresh};
use crate::{
    crypto::{MAX_PLAINTEXT, OpenError, Opener, RECORD_HEADER, RECORD_OVERHEAD, Sealer, record},
    net::{Buffer, Buffers, LineError, RecvHalf, SendHalf},
    wire::{
        HEADER, Message, WireError,
        frame::{self, header},
        peer::{DATA, PAD},
    },
};

/// The longest sealed record that is sent. Two of them fit into the first credit, so that one can be sealed while the
/// other is on its way.
pub const RECORD: usize = 128 * 1024;

/// Why a session ended before it was complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The line was cut.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A record does not open: somebody changed it, or dropped, repeated or moved one.
    #[error(transparent)]
    Tampered(#[from] OpenError),
    /// The other end, which has proved itself, said something that makes no sense.
    #[error("the other side broke the protocol: {0}")]
    Protocol(#[from] WireError),
}

/// A record that is being filled with frames. None of them is cut.
#[derive(Debug)]
pub struct Record {
    /// Room for the header and then the plaintext up to `end`. What lies behind it is whatever the buffer held before.
    bytes: Buffer,
    end: usize,
    /// A message before it has its place.
    scratch: Vec<u8>,
}

impl Record {
    /// An empty record for a message or two.
    pub fn new() -> Self {
        Self::within(Buffer::default())
    }

    /// An empty record in a buffer with room for [`RECORD`] bytes.
    pub fn within(mut bytes: Buffer) -> Self {
        if bytes.len() < RECORD_HEADER {
            bytes.resize(RECORD_HEADER, 0);
        }
        Self { bytes, end: RECORD_HEADER, scratch: Vec::new() }
    }

    /// A record with one message.
    ///
    /// # Errors
    /// [`WireError`] where it does not fit.
    pub fn of<M: Message>(message: &M) -> Result<Self, WireError> {
        let mut record = Self::new();
        record.push(message)?;
        Ok(record)
    }

    /// Appends a message.
    ///
    /// # Errors
    /// [`WireError::TooLong`] where it does not fit.
    pub fn push<M: Message>(&mut self, message: &M) -> Result<(), WireError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        frame::encode(message, &mut scratch)?;
        if self.plaintext() + scratch.len() > MAX_PLAINTEXT {
            return Err(WireError::TooLong);
        }
        self.grow(scratch.len()).copy_from_slice(&scratch);
        self.scratch = scratch;
        Ok(())
    }

    /// Appends a frame of file content: at most `most` bytes, as many as `fill` gives. Without any, no frame.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn push_data<E>(&mut self, most: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        let start = self.end;
        let frame = self.grow(HEADER + most);
        let filled = fill(&mut frame[HEADER..])?.min(most);
        if filled == 0 {
            self.end = start;
        } else {
            frame[..HEADER].copy_from_slice(&header(DATA, filled as u32));
            self.end = start + HEADER + filled;
        }
        Ok(filled)
    }

    /// Fills up with zeros, so that the plaintext is the next power of two long and tells little about its content.
    pub fn pad(&mut self) {
        let zeros = (self.plaintext() + HEADER).next_power_of_two() - self.plaintext() - HEADER;
        let frame = self.grow(HEADER + zeros);
        frame.fill(0);
        frame[..HEADER].copy_from_slice(&header(PAD, zeros as u32));
    }

    /// How many bytes of body a further frame may have, so that the sealed record is at most [`RECORD`] bytes long.
    pub fn room(&self) -> usize {
        (RECORD - RECORD_OVERHEAD).saturating_sub(self.plaintext() + HEADER)
    }

    /// Whether nothing was put in.
    pub fn is_empty(&self) -> bool {
        self.plaintext() == 0
    }

    /// How long the record will be when it is sealed.
    pub fn sealed_length(&self) -> u64 {
        (self.plaintext() + RECORD_OVERHEAD) as u64
    }

    /// The frames that are in it.
    pub fn frames(&self) -> &[u8] {
        &self.bytes[RECORD_HEADER..self.end]
    }

    fn plaintext(&self) -> usize {
        self.end - RECORD_HEADER
    }

    /// Room for `length` bytes more.
    fn grow(&mut self, length: usize) -> &mut [u8] {
        let start = self.end;
        self.end += length;
        if self.bytes.len() < self.end {
            self.bytes.resize(self.end, 0);
        }
        &mut self.bytes[start..self.end]
    }

    fn seal(mut self, sealer: &mut Sealer, last: bool) -> Bytes {
        self.bytes.truncate(self.end);
        sealer.seal(&mut self.bytes, last);
        Bytes::from_owner(self.bytes)
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

/// The sealed bytes to the other end.
pub struct Outgoing {
    carrier: Carrier,
    half: Option<SendHalf>,
    /// Which stream `half` is of, or was.
    stream: u64,
    sealer: Sealer,
    /// What of a kept record is not written to this stream yet.
    leaving: Bytes,
    /// The offset behind `leaving`.
    reached: u64,
    sealed: u64,
    ended: bool,
}

impl Outgoing {
    /// Seals what goes out on `half`, and on whatever `carrier` has after it.
    pub fn new(carrier: &Carrier, half: SendHalf, sealer: Sealer) -> Self {
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
    /// [`LineError`] where the stream has failed and there will be no other.
    pub async fn send(&mut self, record: Record) -> Result<(), LineError> {
        self.flush().await?;
        self.seal(record, false)?;
        self.flush().await
    }

    /// Seals the last record. It goes out, and the stream's finish behind it, while what this gives is waited for.
    ///
    /// # Errors
    /// [`LineError::TooFarAhead`] where the other end acknowledges nothing.
    pub fn end(mut self, last: Record) -> Result<Leaving, LineError> {
        self.seal(last, true)?;
        self.ended = true;
        Ok(Leaving(self))
    }

    /// Bytes of records sealed so far: the offset of the next record.
    pub fn sealed(&self) -> u64 {
        self.sealed
    }

    fn seal(&mut self, record: Record, last: bool) -> Result<(), LineError> {
        let record = record.seal(&mut self.sealer, last);
        self.sealed += record.len() as u64;
        self.carrier.keep(record)
    }

    /// Writes what is kept and not written yet, to one stream after another.
    async fn flush(&mut self) -> Result<(), LineError> {
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
                self.leaving = self.carrier.kept(self.reached).inspect_err(|e| self.carrier.give_up((*e).into()))?;
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
                () = half.delivered() => return,
                () = self.carrier.replaced(self.stream) => self.half = None,
            }
        }
    }
}

/// The last record is sealed: nothing comes behind it.
pub struct Leaving(Outgoing);

impl Leaving {
    /// As [`Outgoing::meanwhile`].
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
            half.abandon(why);
        }
    }
}

/// The sealed bytes from the other end.
pub struct Incoming {
    carrier: Carrier,
    half: Option<RecvHalf>,
    /// Which stream `half` is of, or was.
    stream: u64,
    /// Bytes that come once more.
    again: u64,
    credit: usize,
    buffers: Buffers,
    /// What has arrived of the next record.
    arriving: Buffer,
    received: u64,
    /// What calls itself the last record was handed out; the stream's finish is awaited.
    last: bool,
    ended: bool,
}

impl Incoming {
    /// Takes records off `half`, and off whatever `carrier` has after it.
    pub fn new(carrier: &Carrier, half: RecvHalf) -> Self {
        let buffers = Buffers::default();
        Self {
            carrier: carrier.clone(),
            half: Some(half),
            stream: FIRST,
            again: 0,
            credit: 0,
            arriving: buffers.take(),
            buffers,
            received: 0,
            last: false,
            ended: false,
        }
    }

    /// Lets the other end send at most `credit` bytes ahead of what has arrived in order.
    pub fn expect(&mut self, credit: u64) {
        self.credit = usize::try_from(credit).unwrap_or(usize::MAX);
        if let Some(half) = &mut self.half {
            half.expect(self.credit);
        }
    }

    /// The next sealed record; `None` once the last record and the stream's finish are both here. Nothing is lost where
    /// the future is dropped before it completes. A record that calls itself the last is handed out before the finish
    /// is here: opening it tells whether that is true, and somebody who changed it must not make this wait.
    ///
    /// # Errors
    /// [`SessionError::Line`] for a cut (a finish without a last record is one), [`SessionError::Tampered`] for a header
    /// that no record has and for bytes behind the last record.
    pub async fn sealed(&mut self) -> Result<Option<Buffer>, SessionError> {
        if self.ended {
            return Ok(None);
        }
        if self.last {
            self.finish().await?;
            return Ok(None);
        }
        self.fill(RECORD_HEADER).await?;
        let header = record::Header::parse(&self.arriving)?;
        self.fill(RECORD_HEADER + header.body_length()).await?;
        self.last = header.is_last();
        self.received += self.arriving.len() as u64;
        let mut next = self.buffers.take();
        next.clear();
        Ok(Some(std::mem::replace(&mut self.arriving, next)))
    }

    /// The next record, opened. The last one is given only when the stream has finished behind it.
    ///
    /// # Errors
    /// As [`Incoming::sealed`], and [`SessionError::Tampered`] where it does not open.
    pub async fn opened(&mut self, opener: &mut Opener) -> Result<Option<Opened>, SessionError> {
        let Some(mut bytes) = self.sealed().await? else { return Ok(None) };
        opener.open(&mut bytes)?;
        if self.last {
            self.sealed().await?;
        }
        Ok(Some(Opened(bytes)))
    }

    /// Bytes of sealed records received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// What carries it.
    pub fn carrier(&self) -> Carrier {
        self.carrier.clone()
    }

    /// Fills the next record up to this length, from one stream after another.
    async fn fill(&mut self, length: usize) -> Result<(), SessionError> {
        while self.arriving.len() < length {
            let carrier = self.carrier.clone();
            let stream = self.next_stream().await?;
            let (half, arriving, again) = (&mut self.half, &mut self.arriving, &mut self.again);
            let Some(half) = half else { continue };
            let reading = async {
                skip(half, again).await?;
                half.fill(arriving, length).await
            };
            let read = tokio::select! {
                biased;
                read = reading => Some(read),
                () = carrier.replaced(stream) => None,
            };
            self.carrier.note_received(self.received + self.arriving.len() as u64);
            if !matches!(read, Some(Ok(()))) {
                self.leave(stream, read.and_then(Result::err))?;
            }
        }
        Ok(())
    }

    /// Waits for the finish behind the last record.
    async fn finish(&mut self) -> Result<(), SessionError> {
        while !self.ended {
            let carrier = self.carrier.clone();
            let stream = self.next_stream().await?;
            let (half, again) = (&mut self.half, &mut self.again);
            let Some(half) = half else { continue };
            let reading = async {
                skip(half, again).await?;
                half.read().await
            };
            let read = tokio::select! {
                biased;
                read = reading => Some(read),
                () = carrier.replaced(stream) => None,
            };
            match read {
                Some(Ok(Some(_))) => return Err(OpenError.into()),
                Some(Ok(None)) => self.ended = true,
                Some(Err(why)) => self.leave(stream, Some(why))?,
                None => self.leave(stream, None)?,
            }
        }
        Ok(())
    }

    /// Reads no more from a stream, which has failed or has another after it.
    fn leave(&mut self, stream: u64, failed: Option<LineError>) -> Result<(), SessionError> {
        self.half = None;
        match failed {
            Some(why) => Ok(self.carrier.failed(stream, why)?),
            None => Ok(()),
        }
    }

    /// Sees to it that there is a stream to read from, and gives its number.
    async fn next_stream(&mut self) -> Result<u64, SessionError> {
        if self.half.is_none() {
            let Fresh { mut half, stream, from } = self.carrier.next_recv(self.stream).await?;
            half.expect(self.credit);
            self.again = (self.received + self.arriving.len() as u64).saturating_sub(from);
            (self.half, self.stream) = (Some(half), stream);
        }
        Ok(self.stream)
    }
}

/// Reads over what comes once more.
async fn skip(half: &mut RecvHalf, again: &mut u64) -> Result<(), LineError> {
    while *again > 0 {
        *again -= half.skip(*again).await?;
    }
    Ok(())
}

/// The plaintext of a record.
#[derive(Debug)]
pub struct Opened(Buffer);

impl Deref for Opened {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        record::plaintext(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        code::Slot,
        crypto::{Cipher, Exchange, Keys, Mode, Password, Role, Transcript},
        net::transport::duplex,
        wire::{Frame, peer::DoneAck},
    };

    #[test]
    fn a_padded_record_hides_its_length() {
        for length in [0usize, 1, 100, 5_000] {
            let mut record = Record::new();
            record.push(&DoneAck {}).unwrap();
            record
                .push_data(length, |b| {
                    b.fill(7);
                    Ok::<_, ()>(b.len())
                })
                .unwrap();
            record.pad();
            assert!(record.plaintext().is_power_of_two(), "{length}");
            let mut rest = record.frames();
            let mut last = 0;
            while !rest.is_empty() {
                last = Frame::split(&mut rest).unwrap().kind;
            }
            assert_eq!(last, PAD);
        }
    }

    #[test]
    fn a_full_record_has_the_agreed_length() {
        let mut record = Record::new();
        let room = record.room();
        record.push_data(room, |b| Ok::<_, ()>(b.len())).unwrap();
        assert_eq!(record.sealed_length(), RECORD as u64);
        assert_eq!(record.room(), 0);
    }

    /// Both ends of a session over one stream after another.
    struct Pair {
        ends: [Carrier; 2],
    }

    impl Pair {
        /// One direction of it: who sends, who receives, and what opens the records.
        fn new() -> (Self, Outgoing, Incoming, Opener) {
            let [(send, _), (_, recv)] = duplex();
            let keys = || {
                let slot = Slot::from_number(1);
                let secret = crate::code::Secret::random(5).unwrap();
                let password = || Password::from(&secret);
                let (one, first) = Exchange::start(Role::Receiver, &password(), slot, Mode::Code);
                let (two, second) = Exchange::start(Role::Sender, &password(), slot, Mode::Code);
                let derive = |key| Keys::derive(&key, Transcript::new(slot, Mode::Code, b"", b""), Cipher::Aes256Gcm);
                [derive(one.finish(&second).unwrap()), derive(two.finish(&first).unwrap())]
            };
            let [receiver, sender] = keys();
            let pair = Self { ends: [Carrier::new(), Carrier::new()] };
            pair.ends.iter().for_each(Carrier::outlive);
            let out = Outgoing::new(&pair.ends[0], send, sender.into_records(Role::Sender).0);
            let incoming = Incoming::new(&pair.ends[1], recv);
            (pair, out, incoming, receiver.into_records(Role::Receiver).1)
        }

        /// The stream breaks, wherever it is, and another one comes; acknowledged may be less than has arrived.
        fn replace(&self, behind: u64) {
            let [(send, back), (other, recv)] = duplex();
            let received = self.ends[1].received();
            let told = received.saturating_sub(behind);
            self.ends.iter().for_each(|end| end.breaks(LineError::Short));
            if self.ends[0].attach(send, back, told, 0).is_ok() {
                self.ends[1].attach(other, recv, 0, told).unwrap();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn whatever_breaks_the_same_bytes_arrive_once(
            lengths in proptest::collection::vec(0usize..3_000, 1..40),
            cuts in proptest::collection::vec((0u32..40, 0u64..4_000), 0..12),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let (pair, mut out, mut incoming, mut opener) = Pair::new();
                let sending = async {
                    for (n, length) in lengths.iter().enumerate() {
                        let mut record = Record::new();
                        record.push_data(*length, |b| { b.fill(n as u8); Ok::<_, ()>(b.len()) }).unwrap();
                        out.send(record).await.unwrap();
                    }
                    let mut leaving = out.end(Record::of(&DoneAck {}).unwrap()).unwrap();
                    leaving.meanwhile(std::future::pending::<()>()).await;
                };
                let cutting = async {
                    for (yields, behind) in &cuts {
                        for _ in 0..*yields {
                            tokio::task::yield_now().await;
                        }
                        pair.replace(*behind);
                    }
                    std::future::pending::<()>().await;
                };
                let receiving = async {
                    let mut records = Vec::new();
                    while let Some(record) = incoming.opened(&mut opener).await.unwrap() {
                        records.push(record.to_vec());
                    }
                    records
                };
                let records = tokio::select! {
                    () = sending => unreachable!(),
                    () = cutting => unreachable!(),
                    records = receiving => records,
                };
                prop_assert_eq!(records.len(), lengths.len() + 1);
                for (n, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
                    let body = Frame::split(&mut &records[n][..]).unwrap().body.to_vec();
                    prop_assert_eq!(body, vec![n as u8; *length]);
                }
                Ok(())
            })?;
        }
    }

    /// What this end has told is a little older than what it has, and what it has is all but the finish.
    #[tokio::test]
    async fn what_comes_once_more_before_the_finish_is_read_over() {
        let (pair, mut out, mut incoming, mut opener) = Pair::new();
        let sending = async {
            out.send(Record::of(&DoneAck {}).unwrap()).await.unwrap();
            out.seal(Record::of(&DoneAck {}).unwrap(), true).unwrap(); // without the finish
            out.flush().await.unwrap();
        };
        sending.await;
        incoming.opened(&mut opener).await.unwrap().unwrap();
        let opening = incoming.opened(&mut opener);
        let replacing = async {
            tokio::task::yield_now().await; // the last record is here now
            pair.replace(10);
            out.ended = true;
            out.meanwhile(std::future::pending::<()>()).await;
        };
        let opened = tokio::select! {
            opened = opening => opened,
            () = replacing => unreachable!(),
        };
        assert!(opened.unwrap().is_some());
        assert!(incoming.opened(&mut opener).await.unwrap().is_none());
    }

    /// Of what the other end has and has acknowledged, the stream of the moment may have to bring some once more.
    #[test]
    fn what_is_acknowledged_stays_until_it_is_sent_again() {
        let carrier = Carrier::new();
        carrier.keep(Bytes::from_static(b"01234")).unwrap();
        carrier.keep(Bytes::from_static(b"56789")).unwrap();
        carrier.kept(0).unwrap();
        carrier.kept(5).unwrap();
        let [one, _] = duplex();
        carrier.attach(one.0, one.1, 3, 0).unwrap();
        carrier.acknowledge(10).unwrap();
        assert_eq!(carrier.kept(3).unwrap(), "34");
        assert_eq!(carrier.kept(5).unwrap(), "56789");
        assert!(carrier.kept(3).is_err(), "gone");
    }

    #[test]
    fn what_was_never_sent_cannot_be_acknowledged() {
        let carrier = Carrier::new();
        carrier.keep(Bytes::from_static(b"0123456789")).unwrap();
        carrier.kept(0).unwrap();
        assert!(carrier.acknowledge(11).is_err());
        carrier.acknowledge(4).unwrap();
        assert_eq!(carrier.kept(4).unwrap(), "456789");
        carrier.acknowledge(10).unwrap();
        assert!(carrier.kept(10).unwrap().is_empty());
        assert!(carrier.kept(9).is_err(), "gone");
        let [one, _] = duplex();
        assert!(carrier.attach(one.0, one.1, 9, 0).is_err(), "less than was acknowledged");
        let [one, _] = duplex();
        assert!(carrier.attach(one.0, one.1, 11, 0).is_err(), "more than was sent");
        let megabyte = Bytes::from(vec![0; 1024 * 1024]);
        let kept = (0..1_000).take_while(|_| carrier.keep(megabyte.clone()).is_ok()).count();
        assert_eq!(kept, 64, "who acknowledges nothing is not waited for");
    }

    #[test]
    fn nothing_of_what_a_buffer_held_before_is_in_a_record() {
        let stock = Buffers::default();
        stock.take().resize(RECORD, 0xee);
        let mut record = Record::within(stock.take());
        assert!(record.is_empty());
        record.push(&DoneAck {}).unwrap();
        let ten = |body: &mut [u8]| {
            body[..10].fill(1);
            Ok::<_, ()>(10)
        };
        record.push_data(1_000, ten).unwrap();
        record.push_data(1_000, |_| Ok::<_, ()>(0)).unwrap();
        record.pad();
        assert!(!record.frames().contains(&0xee));
        assert_eq!(record.frames().len(), 32);
    }
}
