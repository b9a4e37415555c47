//! Clients that speak the relay's protocol without the program's own client code.

use bytes::Bytes;
use qshare::internals::{
    code::Slot,
    net::{RecvHalf, RelayConnection, SendHalf, StreamError},
    transfer::Registration,
    wire::relay::{ConnectReply, ConnectRequest, IncomingDownload, MAX_BODY},
};

use crate::{
    hostile::{local_relay::LocalRelay, processes::within},
    support::bytes_of,
};

pub(super) type ClientStream = (SendHalf, RecvHalf);

/// Connects a sender and registers a slot.
pub(super) async fn register_sender(relay: &LocalRelay) -> (RelayConnection, Registration) {
    let connection = relay.connect().await;
    let registration = Registration::request(connection.connection.clone(), None, None).await.unwrap();
    (connection, registration)
}

/// Opens a stream and sends these bytes.
pub(super) async fn open_stream_with(connection: &RelayConnection, bytes: &[u8]) -> ClientStream {
    let (mut send, recv) = connection.connection.open_stream().await.unwrap();
    send.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    (send, recv)
}

/// Opens a bridge. Returns the streams of the receiver and of the sender.
pub(super) async fn open_bridge(
    receiver: &RelayConnection,
    sender: &RelayConnection,
    slot: Slot,
) -> (ClientStream, ClientStream) {
    let mut near = open_stream_with(receiver, &bytes_of(&ConnectRequest { slot, token: None, pass: None })).await;
    let mut far = within("the relay's stream", sender.connection.accept_stream()).await.unwrap();
    far.1.read_frame(MAX_BODY).await.unwrap().frame().decode::<IncomingDownload>().unwrap();
    near.1.read_frame(MAX_BODY).await.unwrap().frame().decode::<ConnectReply>().unwrap();
    (near, far)
}

/// Checks that the relay still bridges data in both directions.
pub(super) async fn assert_alive(relay: &LocalRelay) {
    let (sender, registration) = register_sender(relay).await;
    let receiver = relay.connect().await;
    let (mut near, mut far) = open_bridge(&receiver, &sender, registration.slot()).await;
    near.0.write("there".into()).await.unwrap();
    assert_eq!(within("there", far.1.read()).await.unwrap().unwrap(), "there");
    far.0.write("back".into()).await.unwrap();
    assert_eq!(within("back", near.1.read()).await.unwrap().unwrap(), "back");
}

/// Reads until the stream ends. Returns its data, or how it was aborted.
pub(super) async fn read_to_end((_send, mut recv): ClientStream) -> Result<Vec<u8>, StreamError> {
    let mut all = Vec::new();
    while let Some(bytes) = within("the end of a stream", recv.read()).await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}
