//! Requests that are invalid or out of turn.

use qshare::{
    transfer::session::RecordBuilder,
    wire::{
        Message,
        peer::{Credit, DoneAck, DownloadOutcome, FailureReason, FileEnd, FileStart, StagedGroups},
    },
};

use crate::support::UnknownFrame;

use super::harness::{Garbage, ReceiverTest, done, wanted};

/// The share has two entries: the folder and the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_for_what_is_not_there_are_refused() {
    let mut test = ReceiverTest::new(&[]).await;
    for request in [
        wanted(&[(0, 3)]),
        wanted(&[(2, 3)]),
        wanted(&[(0, u32::MAX)]),
        wanted(&[(u32::MAX, u32::MAX)]),
        wanted(&[(1, 0)]),
        wanted(&[(1, 1)]),
        wanted(&[(0, 2), (0, 2)]),
        wanted(&[(0, 2), (1, 2)]),
        wanted(&[(1, 2), (0, 1)]),
    ] {
        refused(&mut test, &request).await;
    }
    test.assert_alive().await;
}

/// Says `what` in flight 4, for which the sender must end the session.
async fn refused<M: Message + std::fmt::Debug>(test: &mut ReceiverTest, what: &M) {
    let mut receiver = test.receiver().await;
    receiver.say(what).await;
    let heard = receiver.hear().await.unwrap();
    let failure = heard.failure.unwrap_or_else(|| panic!("{what:?} passes"));
    assert_eq!(failure.reason, FailureReason::Protocol, "{what:?}");
    assert!(!heard.acknowledged && heard.bytes < 10_000, "{what:?}: {} bytes came", heard.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_what_is_not_there_are_refused() {
    let mut test = ReceiverTest::new(&[]).await;
    let groups = |count| vec![[1; 32]; count];
    for (entry, groups) in [(0, groups(1)), (1, groups(0)), (1, groups(1000)), (2, groups(1)), (u32::MAX, groups(1))] {
        refused(&mut test, &StagedGroups { entry, groups }).await;
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_out_of_turn_ends_the_session() {
    type Fill = fn(&mut RecordBuilder);
    let mut test = ReceiverTest::new(&[]).await;
    let records: [(&str, Fill); 10] = [
        ("done before a request", |r| r.push(&done(DownloadOutcome::Ok)).unwrap()),
        ("two requests", |r| {
            r.push(&wanted(&[(0, 2)])).unwrap();
            r.push(&wanted(&[(0, 2)])).unwrap();
        }),
        ("garbage", |r| r.push(&Garbage(vec![0xff; 100])).unwrap()),
        ("the sender's own frame", |r| r.push(&FileStart { entry: 1, offset: 0 }).unwrap()),
        ("the end of a file", |r| r.push(&FileEnd { hash: [0; 32] }).unwrap()),
        ("an acknowledgement", |r| r.push(&DoneAck {}).unwrap()),
        ("a frame that nobody knows", |r| r.push(&UnknownFrame::<0x6f>(1)).unwrap()),
        ("credit that falls", |r| r.push(&Credit { limit: 1, received: 0 }).unwrap()),
        ("credit for what was not sent", |r| r.push(&Credit { limit: 1 << 30, received: 1 << 29 }).unwrap()),
        ("content", |r| {
            r.push_data(3, |b| Ok::<_, ()>(b.len())).unwrap();
        }),
    ];
    for (what, fill) in records {
        let mut receiver = test.receiver().await;
        let mut record = RecordBuilder::new();
        fill(&mut record);
        receiver.session.writer.send(record).await.unwrap();
        let heard = receiver.hear().await.unwrap();
        let failure = heard.failure.unwrap_or_else(|| panic!("{what} passes"));
        assert_eq!(failure.reason, FailureReason::Protocol, "{what}");
    }
    test.assert_alive().await;
}
