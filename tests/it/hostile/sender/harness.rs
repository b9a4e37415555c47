//! A hostile sender, and the frames that it sends.

use std::sync::Arc;

use qshare::{
    code::{Code, Secret},
    manifest::{ContentCoding, EntryKind, ManifestHeader, RawEntry, ShareId},
    net::{self, Connection},
    relay::RelayConfig,
    transfer::{
        GuessBudget, Registration, SystemClock,
        handshake::{Established, Responder},
        session::RecordBuilder,
    },
    wire::{
        Frame, Message,
        peer::{Credit, Done, DoneAck, FileEnd, FileRequest, FileStart, ManifestPart, ManifestStart},
        relay::IncomingDownload,
    },
};
use serde::{Deserialize, Serialize};

use crate::hostile::{
    local_relay::LocalRelay,
    processes::{FinishedRun, TestMachine, within},
};

/// A sender with a code of its own that does not keep to the protocol.
pub(super) struct HostileSender {
    pub(super) machine: TestMachine,
    pub(super) relay: LocalRelay,
    pub(super) connection: Connection,
    pub(super) code: Code,
    pub(super) _connection: (net::RelayConnection, Registration),
}

impl HostileSender {
    pub(super) async fn new() -> Self {
        let relay = LocalRelay::start(RelayConfig::default());
        let connected = relay.connect().await;
        let connection = connected.connection.clone();
        let registration = Registration::request(connection.clone(), None, None).await.unwrap();
        let code = Code::new(registration.slot(), Secret::random(5).unwrap());
        Self { machine: TestMachine::new(), relay, connection, code, _connection: (connected, registration) }
    }

    /// The next receiver, confirmed, with `early` as its first record.
    pub(super) async fn meet(&self, early: RecordBuilder) -> Established {
        let (send, mut recv) = within("a receiver", self.connection.accept_stream()).await.unwrap();
        recv.read_frame(0).await.unwrap().frame().decode::<IncomingDownload>().unwrap();
        let budget = GuessBudget::load(None, 5, Arc::new(SystemClock)).unwrap();
        Responder::new(&self.code, &budget)
            .accept(early, (send, recv))
            .await
            .unwrap_or_else(|e| panic!("no session: {e:?}"))
    }

    /// A receiver downloads while this sender does as it likes.
    pub(super) async fn against<T>(&self, act: impl Future<Output = T>) -> (FinishedRun, T) {
        let code = self.code.reveal();
        tokio::join!(self.machine.run_receiver(self.relay.addr(), code.as_str()), act)
    }

    /// Offers something that must be refused at once; gives what the receiver did and said.
    pub(super) async fn offer(&self, early: RecordBuilder) -> (FinishedRun, Done) {
        let (run, done) = self
            .against(async {
                let mut session = self.meet(early).await;
                loop {
                    match said(&mut session).await {
                        Some(ReceiverMessage::Done(done)) => return done,
                        Some(ReceiverMessage::Request) => panic!("the receiver asked for it"),
                        Some(ReceiverMessage::Credit) => {}
                        None => panic!("the receiver left without a word"),
                    }
                }
            })
            .await;
        (run, done)
    }

    /// Offers `entries`, and sends these records when they are requested. The end of the session is awaited.
    pub(super) async fn deliver(&self, entries: Vec<RawEntry>, records: Vec<RecordBuilder>) -> FinishedRun {
        self.against(async {
            let mut session = self.meet(offer(entries)).await;
            requested(&mut session).await;
            for record in records {
                let _ = session.writer.send(record).await; // the receiver may be gone already
            }
            goodbye(session).await;
        })
        .await
        .0
    }
}

/// Hears the receiver out and acknowledges its end.
pub(super) async fn goodbye(mut session: Established) {
    while let Some(said) = said(&mut session).await {
        if matches!(said, ReceiverMessage::Done(_)) {
            if let Ok(mut leaving) = session.writer.close(RecordBuilder::from_message(&DoneAck {}).unwrap()) {
                leaving.deliver().await;
            }
            return;
        }
    }
}

pub(super) enum ReceiverMessage {
    Request,
    Credit,
    Done(Done),
}

/// What the receiver says next; `None` where it is gone.
pub(super) async fn said(session: &mut Established) -> Option<ReceiverMessage> {
    let record = within("the receiver", session.reader.read_record(&mut session.opener)).await.ok()??;
    let frame = Frame::split(&mut &record[..]).unwrap();
    Some(match frame.kind {
        FileRequest::TYPE => ReceiverMessage::Request,
        Credit::TYPE => ReceiverMessage::Credit,
        Done::TYPE => ReceiverMessage::Done(frame.decode().unwrap()),
        other => panic!("the receiver said {other}"),
    })
}

pub(super) async fn requested(session: &mut Established) {
    while !matches!(said(session).await, Some(ReceiverMessage::Request)) {}
}

pub(super) fn file(path: &str, size: u64) -> RawEntry {
    let kind = EntryKind::File { size: Some(size), coding: ContentCoding::Identity };
    RawEntry { path: path.into(), kind, mode: 0o644, mtime: None }
}

pub(super) fn folder(path: &str) -> RawEntry {
    RawEntry { path: path.into(), kind: EntryKind::Folder, mode: 0o755, mtime: None }
}

pub(super) fn link(path: &str, target: &str) -> RawEntry {
    RawEntry { path: path.into(), kind: EntryKind::Link { target: target.into() }, mode: 0o777, mtime: None }
}

pub(super) fn head(entries: u64) -> ManifestStart {
    ManifestStart(ManifestHeader { share: ShareId::random(), name: "a gift".into(), entries })
}

pub(super) fn offer(entries: Vec<RawEntry>) -> RecordBuilder {
    offer_of(entries.len() as u64, entries)
}

/// Announces `count` entries and lists `entries`.
pub(super) fn offer_of(count: u64, entries: Vec<RawEntry>) -> RecordBuilder {
    let mut record = RecordBuilder::from_message(&head(count)).unwrap();
    record.push(&ManifestPart(entries)).unwrap();
    record
}

/// A file in one record.
pub(super) fn content(entry: u32, bytes: &[u8]) -> RecordBuilder {
    let mut record = RecordBuilder::from_message(&FileStart { entry, offset: 0 }).unwrap();
    data(&mut record, bytes);
    record.push(&FileEnd { hash: *blake3::hash(bytes).as_bytes() }).unwrap();
    record
}

pub(super) fn data(record: &mut RecordBuilder, bytes: &[u8]) {
    let copy = |room: &mut [u8]| {
        room.copy_from_slice(bytes);
        Ok::<_, ()>(bytes.len())
    };
    record.push_data(bytes.len(), copy).unwrap();
}

/// Several records' frames in one.
pub(super) fn record(fill: impl FnOnce(&mut RecordBuilder)) -> RecordBuilder {
    let mut record = RecordBuilder::new();
    fill(&mut record);
    record
}

/// A frame to skip, as long as it likes to be.
#[derive(Serialize, Deserialize)]
pub(super) struct Filler(pub(super) Vec<u8>);

impl Message for Filler {
    const TYPE: u8 = 0xef;
}

/// A manifest part whose paths need not be text.
#[derive(Serialize, Deserialize)]
pub(super) struct RawPart(pub(super) Vec<(Vec<u8>, EntryKind, u32, Option<u8>)>);

impl Message for RawPart {
    const TYPE: u8 = ManifestPart::TYPE;
}
