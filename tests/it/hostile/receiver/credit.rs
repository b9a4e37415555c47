//! Credit that is withheld, withdrawn or false.

use qshare::{
    net::StreamError,
    transfer::{
        handshake::Established,
        session::{MAX_RECORD, RecordBuilder, SessionError},
    },
    wire::peer::{Credit, DownloadOutcome, FailureReason, INITIAL_CREDIT},
};

use crate::{hostile::processes::within, support::UnknownFrame};

use super::harness::{HostileReceiver, ReceiverTest, done, hear, wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credit_that_falls_or_lies_in_the_middle_ends_the_download() {
    let mut test = ReceiverTest::new(&[]).await;
    for credit in [
        Credit { limit: 0, received: 0 },
        Credit { limit: INITIAL_CREDIT - 1, received: 100 },
        Credit { limit: u64::MAX, received: u64::MAX },
        Credit { limit: INITIAL_CREDIT, received: INITIAL_CREDIT + 1 },
    ] {
        let mut receiver = test.receiver().await;
        receiver.say(&wanted(&[(1, 2)])).await;
        receiver.hear_content().await;
        receiver.say(&credit).await;
        let heard = receiver.hear().await.unwrap();
        assert_eq!(heard.failure.unwrap().reason, FailureReason::Protocol, "{credit:?}");
        let failed = test.sender.wait_for("download_failed").await;
        assert_eq!(failed["kind"], "transfer", "{credit:?}: {failed}");
    }
    test.assert_alive().await;
}

/// Without credit the sender sends what fits into the first window, and stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credit_no_content() {
    let mut test = ReceiverTest::new(&[]).await;
    let mut receiver = test.receiver().await;
    receiver.say(&wanted(&[(0, 2)])).await;
    receiver.hear_content().await;
    let HostileReceiver { session: Established { writer: out, reader: mut incoming, mut opener, .. }, _connection } =
        receiver;
    while incoming.received_bytes() + MAX_RECORD as u64 <= INITIAL_CREDIT {
        within("the rest of the window", incoming.read_record(&mut opener)).await.unwrap().unwrap();
    }
    assert!(incoming.received_bytes() <= INITIAL_CREDIT);
    tokio::select! {
        _ = incoming.read_record(&mut opener) => panic!("more than the window came"),
        () = test.assert_alive() => {} // a whole download beside it
    }
    out.close(RecordBuilder::from_message(&done(DownloadOutcome::Failed)).unwrap()).unwrap().deliver().await;
    let ended = within("the end", incoming.read_record(&mut opener)).await.err();
    assert!(matches!(ended, Some(SessionError::Stream(StreamError::Aborted(_)))), "{ended:?}");
    test.sender.wait_for("download_failed").await;
    test.assert_alive().await;
}

/// All credit there is at once: it is the receiver's own memory. The sender sends, and counts right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credit_without_end_is_only_as_much_as_there_is() {
    let mut test = ReceiverTest::new(&[]).await;
    let mut receiver = test.receiver().await;
    receiver.say(&Credit { limit: u64::MAX, received: 0 }).await;
    receiver.say(&UnknownFrame::<0xef>(1)).await;
    receiver.say(&wanted(&[(0, 2)])).await;
    let last = async {
        let session = &mut receiver.session;
        while session.reader.received_bytes() < 400_000 {
            session.reader.read_record(&mut session.opener).await.unwrap().unwrap();
        }
    };
    within("the content", last).await;
    let HostileReceiver { session: Established { writer: out, reader: incoming, opener, .. }, _connection } = receiver;
    out.close(RecordBuilder::from_message(&done(DownloadOutcome::Ok)).unwrap()).unwrap().deliver().await;
    let heard = hear(incoming, opener).await.unwrap();
    assert!(heard.acknowledged);
    let finished = test.sender.wait_for("download_finished").await;
    assert_eq!(finished["bytes"], 400_000);
    test.assert_alive().await;
}
