//! A hostile receiver, and a real sender.

use std::path::PathBuf;

use qshare::internals::{
    code::Code,
    crypto::Opener,
    net::{RecvHalf, RelayConnection, SendHalf},
    relay::RelayConfig,
    transfer::{
        handshake::{Credential, Established, Initiator, InitiatorOptions},
        session::{RecordBuilder, SessionError, SessionReader},
    },
    wire::{
        Frame, Message,
        peer::{Done, DoneAck, DownloadOutcome, Failure, FileRequest, FileStart},
        relay::{ConnectReply, ConnectRequest},
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    hostile::{
        local_relay::LocalRelay,
        processes::{RunningSender, TestMachine, random_bytes, within},
    },
    support::bytes_of,
};

pub(super) const NAME: &str = "shared/400kB.bin";

/// A relay, and a sender that shares a folder with one file.
pub(super) struct ReceiverTest {
    pub(super) machine: TestMachine,
    pub(super) relay: LocalRelay,
    pub(super) sender: RunningSender,
    pub(super) content: Vec<u8>,
}

/// A session of a receiver whose test decides what it sends.
pub(super) struct HostileReceiver {
    pub(super) session: Established,
    pub(super) _connection: RelayConnection,
}

impl ReceiverTest {
    /// Starts a relay and a sender with these options.
    pub(super) async fn new(options: &[&str]) -> Self {
        let (machine, relay) = (TestMachine::new(), LocalRelay::start(RelayConfig::default()));
        let content = random_bytes(77, 400_000);
        let path: PathBuf = machine.file("400kB.bin", &content).parent().unwrap().into();
        let sender = machine.start_sender(relay.addr(), &[&path], options).await;
        Self { machine, relay, sender, content }
    }

    pub(super) fn code(&self) -> Code {
        Code::parse(self.sender.code()).unwrap()
    }

    /// Connects a receiver and completes the handshake.
    pub(super) async fn confirmed_receiver(&self) -> HostileReceiver {
        let (connection, stream) = self.start_handshake(&self.code()).await;
        let session = stream.finish().await.unwrap_or_else(|e| panic!("no session: {e}"));
        HostileReceiver { session, _connection: connection }
    }

    /// Connects a receiver and sends flight 1.
    pub(super) async fn start_handshake(&self, code: &Code) -> (RelayConnection, StartedHandshake) {
        let connection = self.relay.connect().await;
        let (mut send, mut recv) = connection.connection.open_stream().await.unwrap();
        let initiator = Initiator::new(Credential::Code(code), InitiatorOptions::default()).unwrap();
        let request = bytes_of(&ConnectRequest { slot: code.slot(), token: None, pass: None });
        send.write(request.into()).await.unwrap();
        send.write(initiator.flight_1().clone()).await.unwrap();
        recv.read_frame(4096).await.unwrap().frame().decode::<ConnectReply>().unwrap();
        (connection, StartedHandshake { initiator, send, recv })
    }

    /// Checks that the sender still serves an honest receiver.
    pub(super) async fn assert_alive(&mut self) {
        let run = self.machine.run_receiver(self.relay.addr(), self.sender.code()).await;
        assert_eq!(run.exit, Some(0), "{}{}", run.stdout, run.stderr);
        assert!(std::fs::read(run.target.join(NAME)).unwrap() == self.content);
        self.sender.wait_for("download_finished").await;
    }
}

/// A handshake after flight 1.
pub(super) struct StartedHandshake {
    pub(super) initiator: Initiator,
    pub(super) send: SendHalf,
    pub(super) recv: RecvHalf,
}

impl StartedHandshake {
    pub(super) async fn finish(self) -> qshare::internals::error::Result<Established> {
        Ok(within("flight 2", self.initiator.complete(self.send, self.recv)).await?)
    }
}

/// The messages of a sender until the end of the session.
#[derive(Default)]
pub(super) struct SenderMessages {
    pub(super) bytes: u64,
    pub(super) failure: Option<Failure>,
    pub(super) acknowledged: bool,
}

impl HostileReceiver {
    /// Sends a message, unless the sender has ended the session.
    pub(super) async fn send<M: Message>(&mut self, message: &M) {
        let _ = self.session.writer.send(RecordBuilder::from_message(message).unwrap()).await;
    }

    /// Reads all messages until the end of the session.
    pub(super) async fn read_to_end(self) -> Result<SenderMessages, SessionError> {
        let Self { session: Established { writer: _writer, reader, opener, .. }, _connection } = self;
        read_to_end(reader, opener).await
    }

    /// Reads until the first content.
    pub(super) async fn read_to_content(&mut self) {
        loop {
            let record = self.session.reader.read_record(&mut self.session.opener).await.unwrap().unwrap();
            if Frame::split(&mut &record[..]).unwrap().kind == FileStart::TYPE {
                return;
            }
        }
    }
}

/// Reads all messages until the end of the session.
pub(super) async fn read_to_end(mut reader: SessionReader, mut opener: Opener) -> Result<SenderMessages, SessionError> {
    let mut messages = SenderMessages::default();
    while let Some(record) = within("a record", reader.read_record(&mut opener)).await? {
        messages.bytes = reader.received_bytes();
        let mut rest = &record[..];
        while !rest.is_empty() {
            let frame = Frame::split(&mut rest).unwrap();
            match frame.kind {
                Failure::TYPE => messages.failure = Some(frame.decode().unwrap()),
                DoneAck::TYPE => messages.acknowledged = true,
                _ => {}
            }
        }
    }
    Ok(messages)
}

pub(super) fn file_request(wanted: &[(u32, u32)]) -> FileRequest {
    FileRequest { wanted: wanted.to_vec() }
}

pub(super) fn done_message(outcome: DownloadOutcome) -> Done {
    Done { outcome, message: String::new() }
}

/// A request with any body.
#[derive(Serialize, Deserialize)]
pub(super) struct MalformedRequest(pub(super) Vec<u8>);

impl Message for MalformedRequest {
    const TYPE: u8 = FileRequest::TYPE;
}
