//! A hostile receiver against a real sender.

use std::path::PathBuf;

use qshare::{
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

/// A session of a receiver that does as it likes.
pub(super) struct HostileReceiver {
    pub(super) session: Established,
    pub(super) _connection: RelayConnection,
}

impl ReceiverTest {
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

    pub(super) async fn receiver(&self) -> HostileReceiver {
        let (connection, stream) = self.connect(&self.code()).await;
        let session = stream.finish().await.unwrap_or_else(|e| panic!("no session: {e}"));
        HostileReceiver { session, _connection: connection }
    }

    /// Flight 1 is on its direction.
    pub(super) async fn connect(&self, code: &Code) -> (RelayConnection, StartedHandshake) {
        let connection = self.relay.connect().await;
        let (mut send, mut recv) = connection.connection.open_stream().await.unwrap();
        let initiator = Initiator::new(Credential::Code(code), InitiatorOptions::default()).unwrap();
        let request = bytes_of(&ConnectRequest { slot: code.slot(), token: None, pass: None });
        send.write(request.into()).await.unwrap();
        send.write(initiator.flight_1().clone()).await.unwrap();
        recv.read_frame(4096).await.unwrap().frame().decode::<ConnectReply>().unwrap();
        (connection, StartedHandshake { initiator, send, recv })
    }

    pub(super) async fn assert_alive(&mut self) {
        let run = self.machine.run_receiver(self.relay.addr(), self.sender.code()).await;
        assert_eq!(run.exit, Some(0), "{}{}", run.stdout, run.stderr);
        assert!(std::fs::read(run.target.join(NAME)).unwrap() == self.content);
        self.sender.wait_for("download_finished").await;
    }
}

pub(super) struct StartedHandshake {
    pub(super) initiator: Initiator,
    pub(super) send: SendHalf,
    pub(super) recv: RecvHalf,
}

impl StartedHandshake {
    pub(super) async fn finish(self) -> qshare::error::Result<Established> {
        Ok(within("flight 2", self.initiator.complete(self.send, self.recv)).await?)
    }
}

/// What came before the end of a session.
#[derive(Default)]
pub(super) struct SenderMessages {
    pub(super) bytes: u64,
    pub(super) failure: Option<Failure>,
    pub(super) acknowledged: bool,
}

impl HostileReceiver {
    pub(super) async fn say<M: Message>(&mut self, message: &M) {
        let _ = self.session.writer.send(RecordBuilder::from_message(message).unwrap()).await;
    }

    /// Everything that the sender says, to the end.
    pub(super) async fn hear(self) -> Result<SenderMessages, SessionError> {
        let Self { session: Established { writer: _out, reader: incoming, opener, .. }, _connection } = self;
        hear(incoming, opener).await
    }

    /// Reads until the first content has come.
    pub(super) async fn hear_content(&mut self) {
        loop {
            let record = self.session.reader.read_record(&mut self.session.opener).await.unwrap().unwrap();
            if Frame::split(&mut &record[..]).unwrap().kind == FileStart::TYPE {
                return;
            }
        }
    }
}

pub(super) async fn hear(mut incoming: SessionReader, mut opener: Opener) -> Result<SenderMessages, SessionError> {
    let mut heard = SenderMessages::default();
    while let Some(record) = within("a record", incoming.read_record(&mut opener)).await? {
        heard.bytes = incoming.received_bytes();
        let mut rest = &record[..];
        while !rest.is_empty() {
            let frame = Frame::split(&mut rest).unwrap();
            match frame.kind {
                Failure::TYPE => heard.failure = Some(frame.decode().unwrap()),
                DoneAck::TYPE => heard.acknowledged = true,
                _ => {}
            }
        }
    }
    Ok(heard)
}

pub(super) fn wanted(wanted: &[(u32, u32)]) -> FileRequest {
    FileRequest { wanted: wanted.to_vec() }
}

pub(super) fn done(outcome: DownloadOutcome) -> Done {
    Done { outcome, message: String::new() }
}

/// A request made of anything.
#[derive(Serialize, Deserialize)]
pub(super) struct Garbage(pub(super) Vec<u8>);

impl Message for Garbage {
    const TYPE: u8 = FileRequest::TYPE;
}
