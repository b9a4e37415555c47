//! Credit that is withheld, withdrawn or false.

use qshare::internals::{
    net::StreamError,
    transfer::{
        handshake::Established,
        session::{MAX_RECORD, RecordBuilder, SessionError},
    },
    wire::peer::{Credit, DownloadOutcome, FailureReason, INITIAL_CREDIT},
};

use super::harness::{HostileReceiver, ReceiverTest, done_message, file_request, read_to_end};
use crate::{hostile::processes::within, support::UnknownFrame};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_fails_the_download_on_invalid_credit() {
    let mut test = ReceiverTest::new(&[]).await;
    for credit in [
        Credit { limit: 0, received: 0 },
        Credit { limit: INITIAL_CREDIT - 1, received: 100 },
        Credit { limit: u64::MAX, received: u64::MAX },
        Credit { limit: INITIAL_CREDIT, received: INITIAL_CREDIT + 1 },
    ] {
        let mut receiver = test.confirmed_receiver().await;
        receiver.send(&file_request(&[(1, 2)])).await;
        receiver.read_to_content().await;
        receiver.send(&credit).await;
        let messages = receiver.read_to_end().await.unwrap();
        assert_eq!(messages.failure.unwrap().reason, FailureReason::Protocol, "{credit:?}");
        let failed = test.sender.wait_for("download_failed").await;
        assert_eq!(failed["kind"], "transfer", "{credit:?}: {failed}");
    }
    test.assert_alive().await;
}

/// Without further credit, the sender sends at most the initial credit, and serves other receivers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_stops_at_the_initial_credit() {
    let mut test = ReceiverTest::new(&[]).await;
    let mut receiver = test.confirmed_receiver().await;
    receiver.send(&file_request(&[(0, 2)])).await;
    receiver.read_to_content().await;
    let HostileReceiver { session: Established { writer, mut reader, mut opener, .. }, _connection } = receiver;
    while reader.received_bytes() + MAX_RECORD as u64 <= INITIAL_CREDIT {
        within("the rest of the credit", reader.read_record(&mut opener)).await.unwrap().unwrap();
    }
    assert!(reader.received_bytes() <= INITIAL_CREDIT);
    tokio::select! {
        _ = reader.read_record(&mut opener) => panic!("the sender exceeded the credit"),
        () = test.assert_alive() => {} // a whole download in the meantime
    }
    writer.close(RecordBuilder::from_message(&done_message(DownloadOutcome::Failed)).unwrap()).unwrap().deliver().await;
    let ended = within("the end", reader.read_record(&mut opener)).await.err();
    assert!(matches!(ended, Some(SessionError::Stream(StreamError::Aborted(_)))), "{ended:?}");
    test.sender.wait_for("download_failed").await;
    test.assert_alive().await;
}

/// Unlimited credit harms only the receiver's own memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_serves_a_receiver_that_grants_unlimited_credit() {
    let mut test = ReceiverTest::new(&[]).await;
    let mut receiver = test.confirmed_receiver().await;
    receiver.send(&Credit { limit: u64::MAX, received: 0 }).await;
    receiver.send(&UnknownFrame::<0xef>(1)).await;
    receiver.send(&file_request(&[(0, 2)])).await;
    let last = async {
        let session = &mut receiver.session;
        while session.reader.received_bytes() < 400_000 {
            session.reader.read_record(&mut session.opener).await.unwrap().unwrap();
        }
    };
    within("the content", last).await;
    let HostileReceiver { session: Established { writer, reader, opener, .. }, _connection } = receiver;
    writer.close(RecordBuilder::from_message(&done_message(DownloadOutcome::Ok)).unwrap()).unwrap().deliver().await;
    let messages = read_to_end(reader, opener).await.unwrap();
    assert!(messages.acknowledged);
    let finished = test.sender.wait_for("download_finished").await;
    assert_eq!(finished["bytes"], 400_000);
    test.assert_alive().await;
}
