//! A receiver whose test decides what it reads and which credit it grants.

use qshare::internals::{
    code::Code,
    net::RelayConnection,
    transfer::{
        handshake::{Credential, Established, Initiator, InitiatorOptions},
        session::{RecordBuilder, SessionError},
    },
    wire::{
        Message,
        peer::FileRequest,
        relay::{ConnectReply, ConnectRequest},
    },
};

use crate::{
    support::bytes_of,
    vnet::{Host, Scenario},
};

/// A receiver that has requested the only file, and reads only when the test says so.
pub(super) struct ManualReceiver {
    pub(super) session: Established,
    _connection: RelayConnection,
}

impl ManualReceiver {
    /// Connects, completes the handshake and requests the file.
    pub(super) async fn request_file(scenario: &Scenario, host: &Host, code: &Code) -> Self {
        let relay = scenario.connect_receiver(host).await.unwrap();
        let (mut send, mut recv) = relay.connection.open_stream().await.unwrap();
        let initiator = Initiator::new(Credential::Code(code), InitiatorOptions::default()).unwrap();
        send.write(bytes_of(&ConnectRequest { slot: code.slot(), token: None, pass: None }).into()).await.unwrap();
        send.write(initiator.flight_1().clone()).await.unwrap();
        recv.read_frame(4096).await.unwrap().frame().decode::<ConnectReply>().unwrap();
        let session = initiator.complete(send, recv).await.unwrap();
        relay.connection.raise_receive_window();
        let mut receiver = Self { session, _connection: relay };
        receiver.send(&FileRequest { wanted: vec![(0, 1)] }).await;
        receiver
    }

    /// Sends a message.
    pub(super) async fn send<M: Message>(&mut self, message: &M) {
        self.session.writer.send(RecordBuilder::from_message(message).unwrap()).await.unwrap();
    }

    /// Reads until `offset` bytes of the stream have arrived.
    pub(super) async fn read_to(&mut self, offset: u64) {
        while self.session.reader.received_bytes() < offset {
            self.session.reader.read_record(&mut self.session.opener).await.unwrap().unwrap();
        }
    }

    /// Reads until the session fails.
    pub(super) async fn read_to_failure(mut self) -> SessionError {
        loop {
            match self.session.reader.read_record(&mut self.session.opener).await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the session ended without a failure"),
                Err(e) => return e,
            }
        }
    }
}
