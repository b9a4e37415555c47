//! Clients that use the relay's protocol by hand.

use bytes::Bytes;
use qshare::{
    code::Slot,
    net::{RecvHalf, RelayConnection, SendHalf, StreamError},
    transfer::Registration,
    wire::relay::{ConnectReply, ConnectRequest, IncomingDownload, MAX_BODY},
};

use crate::{
    hostile::{local_relay::LocalRelay, processes::within},
    support::bytes_of,
};

pub(super) type Stream = (SendHalf, RecvHalf);

/// A sender that has a slot.
pub(super) async fn sender(relay: &LocalRelay) -> (RelayConnection, Registration) {
    let connection = relay.connect().await;
    let registration = Registration::request(connection.connection.clone(), None, None).await.unwrap();
    (connection, registration)
}

/// A stream on which these bytes were sent.
pub(super) async fn said(connection: &RelayConnection, bytes: &[u8]) -> Stream {
    let (mut send, recv) = connection.connection.open_stream().await.unwrap();
    send.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    (send, recv)
}

/// The two ends of a bridge: the receiver's, and the sender's.
pub(super) async fn bridge(receiver: &RelayConnection, sender: &RelayConnection, slot: Slot) -> (Stream, Stream) {
    let mut near = said(receiver, &bytes_of(&ConnectRequest { slot, token: None, pass: None })).await;
    let mut far = within("the relay's stream", sender.connection.accept_stream()).await.unwrap();
    far.1.read_frame(0).await.unwrap().frame().decode::<IncomingDownload>().unwrap();
    near.1.read_frame(MAX_BODY).await.unwrap().frame().decode::<ConnectReply>().unwrap();
    (near, far)
}

/// The relay still serves: a byte goes through it in both directions.
pub(super) async fn assert_alive(relay: &LocalRelay) {
    let (sender, registration) = sender(relay).await;
    let receiver = relay.connect().await;
    let (mut near, mut far) = bridge(&receiver, &sender, registration.slot()).await;
    near.0.write("there".into()).await.unwrap();
    assert_eq!(within("there", far.1.read()).await.unwrap().unwrap(), "there");
    far.0.write("back".into()).await.unwrap();
    assert_eq!(within("back", near.1.read()).await.unwrap().unwrap(), "back");
}

/// How a stream ends on which nothing sensible was said.
pub(super) async fn end_of((_send, mut recv): Stream) -> Result<Vec<u8>, StreamError> {
    let mut all = Vec::new();
    while let Some(bytes) = within("the end of a stream", recv.read()).await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}
