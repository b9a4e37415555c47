//! Delivers the last record of a receiver.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    transfer::session::{RecordBuilder, SessionWriter},
    wire::peer::Done,
};

/// How long the delivery may take. The sender notices the end of the stream without it.
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(500);

/// Sends the last record, and waits up to [`DELIVERY_TIMEOUT`] for its delivery.
pub(super) async fn deliver_done(writer: SessionWriter, done: Done) {
    let delivery = async {
        let Ok(record) = RecordBuilder::from_message(&done) else { return };
        if let Ok(mut closing) = writer.close(record) {
            closing.deliver().await;
        }
    };
    let _ = timeout(DELIVERY_TIMEOUT, delivery).await; // the sender notices the end of the stream in either case
}
