//! A hostile sender, and the records that it sends.

use std::sync::Arc;

use qshare::internals::{
    code::{Code, Secret},
    manifest::{EntryKind, ManifestHeader, RawEntry, ShareId, ShareKind},
    net::{self, Connection},
    relay::RelayConfig,
    transfer::{
        GuessBudget, Registration, SystemClock,
        handshake::{Established, Responder},
        session::RecordBuilder,
    },
    wire::{
        Frame, Message,
        peer::{Credit, Done, DoneAck, FileEnd, FileRequest, FileStart, INITIAL_CREDIT, ManifestPart, ManifestStart},
        relay::{IncomingDownload, MAX_BODY, SourceTag},
    },
};
use serde::{Deserialize, Serialize};

use crate::hostile::{
    local_relay::LocalRelay,
    processes::{FinishedRun, TestMachine, within},
};

/// A sender whose test decides what it sends. It has a code.
pub(super) struct HostileSender {
    pub(super) machine: TestMachine,
    pub(super) relay: LocalRelay,
    pub(super) connection: Connection,
    pub(super) code: Code,
    pub(super) _connection: (net::RelayConnection, Registration),
}

impl HostileSender {
    /// Starts a relay and registers at it.
    pub(super) async fn new() -> Self {
        let relay = LocalRelay::start(RelayConfig::default());
        let connected = relay.connect().await;
        let connection = connected.connection.clone();
        let registration = Registration::request(connection.clone(), None, None).await.unwrap();
        let code = Code::new(registration.slot(), Secret::random(5).unwrap());
        Self { machine: TestMachine::new(), relay, connection, code, _connection: (connected, registration) }
    }

    /// Accepts the next receiver and completes the handshake. `early` is the first record.
    pub(super) async fn accept_receiver(&self, early: RecordBuilder) -> Established {
        let (send, mut recv) = within("a receiver", self.connection.accept_stream()).await.unwrap();
        recv.read_frame(MAX_BODY).await.unwrap().frame().decode::<IncomingDownload>().unwrap();
        let budget = GuessBudget::load(None, 5, Arc::new(SystemClock)).unwrap();
        Responder::new(&self.code, &budget, SourceTag::alone([0; 8]))
            .accept(early, (send, recv))
            .await
            .unwrap_or_else(|e| panic!("no session: {e:?}"))
    }

    /// Runs a receiver while the sender does `act`.
    pub(super) async fn run_receiver_against<T>(&self, act: impl Future<Output = T>) -> (FinishedRun, T) {
        self.run_receiver_with(&[], act).await
    }

    /// Runs a receiver with these options while the sender does `act`.
    pub(super) async fn run_receiver_with<T>(
        &self,
        options: &[&str],
        act: impl Future<Output = T>,
    ) -> (FinishedRun, T) {
        let code = self.code.reveal();
        let options = [&["--json", "--yes"], options].concat();
        let target = self.machine.target();
        tokio::join!(self.machine.run_receiver_with(self.relay.addr(), code.as_str(), target, &options), act)
    }

    /// Sends an offer that the receiver must refuse before it requests anything. Returns its exit and its last message.
    pub(super) async fn offer_and_expect_done(&self, early: RecordBuilder) -> (FinishedRun, Done) {
        let (run, done) = self
            .run_receiver_against(async {
                let mut session = self.accept_receiver(early).await;
                loop {
                    match next_message(&mut session).await {
                        Some(ReceivedMessage::Done(done)) => return done,
                        Some(ReceivedMessage::Request) => panic!("the receiver requested the files"),
                        Some(ReceivedMessage::Credit(_)) => {}
                        None => panic!("the receiver left without a last message"),
                    }
                }
            })
            .await;
        (run, done)
    }

    /// Offers `entries`, sends these records once the receiver requests the files, and waits for the end of the
    /// session.
    pub(super) async fn offer_and_send(&self, entries: Vec<RawEntry>, records: Vec<RecordBuilder>) -> FinishedRun {
        self.run_receiver_against(async {
            let mut session = self.accept_receiver(manifest(entries)).await;
            wait_for_request(&mut session).await;
            for record in records {
                let _ = session.writer.send(record).await; // the receiver may have left already
            }
            acknowledge_end(session).await;
        })
        .await
        .0
    }
}

/// Reads until the receiver reports the end of the download, and acknowledges it.
pub(super) async fn acknowledge_end(mut session: Established) {
    while let Some(message) = next_message(&mut session).await {
        if matches!(message, ReceivedMessage::Done(_)) {
            if let Ok(mut leaving) = session.writer.close(RecordBuilder::from_message(&DoneAck {}).unwrap()) {
                leaving.deliver().await;
            }
            return;
        }
    }
}

/// A message of the receiver.
pub(super) enum ReceivedMessage {
    Request,
    Credit(Credit),
    Done(Done),
}

/// Reads the next message of the receiver. Returns `None` if it has left.
pub(super) async fn next_message(session: &mut Established) -> Option<ReceivedMessage> {
    let record = within("the receiver", session.reader.read_record(&mut session.opener)).await.ok()??;
    let frame = Frame::split(&mut &record[..]).unwrap();
    Some(match frame.kind {
        FileRequest::TYPE => ReceivedMessage::Request,
        Credit::TYPE => ReceivedMessage::Credit(frame.decode().unwrap()),
        Done::TYPE => ReceivedMessage::Done(frame.decode().unwrap()),
        other => panic!("the receiver sent a message of type {other}"),
    })
}

/// Sends records as fast as the receiver grants credit. Returns early if the receiver leaves.
pub(super) async fn send_with_credit(session: &mut Established, records: impl Iterator<Item = RecordBuilder>) {
    let (mut sent, mut limit) = (0, INITIAL_CREDIT);
    for record in records {
        sent += record.sealed_length();
        while sent > limit {
            match next_message(session).await {
                Some(ReceivedMessage::Credit(credit)) => limit = credit.limit,
                _ => return,
            }
        }
        if session.writer.send(record).await.is_err() {
            return;
        }
    }
}

/// Reads until the receiver requests the files.
pub(super) async fn wait_for_request(session: &mut Established) {
    while !matches!(next_message(session).await, Some(ReceivedMessage::Request)) {}
}

pub(super) fn file_entry(path: &str, size: u64) -> RawEntry {
    let kind = EntryKind::File { size: Some(size) };
    RawEntry { path: path.into(), kind, mode: 0o644, mtime: None }
}

/// Returns a file whose size is known only at its end.
pub(super) fn stream_entry(path: &str) -> RawEntry {
    RawEntry { kind: EntryKind::File { size: None }, ..file_entry(path, 0) }
}

pub(super) fn folder_entry(path: &str) -> RawEntry {
    RawEntry { path: path.into(), kind: EntryKind::Folder, mode: 0o755, mtime: None }
}

pub(super) fn link_entry(path: &str, target: &str) -> RawEntry {
    RawEntry { path: path.into(), kind: EntryKind::Link { target: target.into() }, mode: 0o777, mtime: None }
}

pub(super) fn manifest_start(entries: u64) -> ManifestStart {
    ManifestStart(ManifestHeader {
        share: ShareId::random(),
        name: "a gift".into(),
        entries,
        holes: 0,
        kind: ShareKind::Files,
    })
}

pub(super) fn manifest(entries: Vec<RawEntry>) -> RecordBuilder {
    manifest_announcing(entries.len() as u64, entries)
}

/// Returns a manifest that announces `count` entries and contains `entries`.
pub(super) fn manifest_announcing(count: u64, entries: Vec<RawEntry>) -> RecordBuilder {
    let mut record = RecordBuilder::from_message(&manifest_start(count)).unwrap();
    record.push(&ManifestPart(entries)).unwrap();
    record
}

/// Returns a record with a whole file.
pub(super) fn file_record(entry: u32, bytes: &[u8]) -> RecordBuilder {
    let mut record = RecordBuilder::from_message(&FileStart { entry, offset: 0 }).unwrap();
    push_data(&mut record, bytes);
    record.push(&FileEnd { hash: *blake3::hash(bytes).as_bytes() }).unwrap();
    record
}

pub(super) fn push_data(record: &mut RecordBuilder, bytes: &[u8]) {
    let copy = |room: &mut [u8]| {
        room.copy_from_slice(bytes);
        Ok::<_, ()>(bytes.len())
    };
    record.push_data(bytes.len(), copy).unwrap();
}

/// Returns a record with several frames.
pub(super) fn build_record(fill: impl FnOnce(&mut RecordBuilder)) -> RecordBuilder {
    let mut record = RecordBuilder::new();
    fill(&mut record);
    record
}

/// A manifest part whose paths are any bytes.
#[derive(Serialize, Deserialize)]
pub(super) struct NonTextPathPart(pub(super) Vec<(Vec<u8>, EntryKind, u32, Option<u8>)>);

impl Message for NonTextPathPart {
    const TYPE: u8 = ManifestPart::TYPE;
}
