//! Requests that are invalid or out of turn.

use qshare::internals::{
    transfer::session::RecordBuilder,
    wire::{
        Message,
        peer::{Credit, DoneAck, DownloadOutcome, FailureReason, FileEnd, FileStart, StagedFiles, StagedGroups},
    },
};

use super::harness::{MalformedRequest, ReceiverTest, done_message, file_request};
use crate::support::UnknownFrame;

/// The share has two entries: a folder and a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_refuses_requests_for_entries_that_do_not_exist() {
    let mut test = ReceiverTest::new(&[]).await;
    for request in [
        file_request(&[(0, 3)]),
        file_request(&[(2, 3)]),
        file_request(&[(0, u32::MAX)]),
        file_request(&[(u32::MAX, u32::MAX)]),
        file_request(&[(1, 0)]),
        file_request(&[(1, 1)]),
        file_request(&[(0, 2), (0, 2)]),
        file_request(&[(0, 2), (1, 2)]),
        file_request(&[(1, 2), (0, 1)]),
    ] {
        assert_refused(&mut test, &request).await;
    }
    test.assert_alive().await;
}

/// Sends `message` in place of a request, and checks that the sender ends the session.
async fn assert_refused<M: Message + std::fmt::Debug>(test: &mut ReceiverTest, message: &M) {
    let mut receiver = test.confirmed_receiver().await;
    receiver.send(message).await;
    let messages = receiver.read_to_end().await.unwrap();
    let failure = messages.failure.unwrap_or_else(|| panic!("{message:?} is accepted"));
    assert_eq!(failure.reason, FailureReason::Protocol, "{message:?}");
    assert!(!messages.acknowledged && messages.bytes < 10_000, "{message:?}: {} bytes arrived", messages.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_refuses_staged_groups_of_entries_that_do_not_exist() {
    let mut test = ReceiverTest::new(&[]).await;
    let groups = |count| vec![[1; 32]; count];
    for (entry, groups) in [(0, groups(1)), (1, groups(0)), (1, groups(1000)), (2, groups(1)), (u32::MAX, groups(1))] {
        assert_refused(&mut test, &StagedGroups { entry, groups }).await;
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_refuses_impossible_lists_of_staged_files() {
    let mut test = ReceiverTest::new(&[]).await;
    for files in [
        vec![],
        vec![(0, 1)],
        vec![(1, 0)],
        vec![(1, 1)],
        vec![(1, 399_999)],
        vec![(1, 400_001)],
        vec![(1, u64::MAX)],
        vec![(1, 400_000), (1, 400_000)],
        vec![(2, 1)],
        vec![(u32::MAX, 1)],
        vec![(1, 400_000); 4097],
    ] {
        assert_refused(&mut test, &StagedFiles { files }).await;
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_refuses_groups_that_it_does_not_expect() {
    let mut test = ReceiverTest::new(&[]).await;
    let staged = StagedFiles { files: vec![(1, 400_000)] };
    let groups = |entry, count| StagedGroups { entry, groups: vec![[1; 32]; count] };
    for (what, pages, is_staged) in [
        ("a staged file that is not requested", vec![], true),
        ("no file is staged", vec![groups(1, 1)], false),
        ("a folder", vec![groups(0, 1)], true),
        ("another file", vec![groups(2, 1)], true),
        ("no group", vec![groups(1, 0)], true),
        ("too many groups", vec![groups(1, 2)], true),
        ("pages without end", vec![groups(1, 1); 100], true),
    ] {
        let mut receiver = test.confirmed_receiver().await;
        let mut record = RecordBuilder::new();
        if is_staged {
            record.push(&staged).unwrap();
        }
        record.push(&file_request(if pages.is_empty() { &[(0, 1)] } else { &[(0, 2)] })).unwrap();
        pages.iter().for_each(|page| record.push(page).unwrap());
        receiver.session.writer.send(record).await.unwrap();
        let failure = receiver.read_to_end().await.unwrap().failure;
        assert_eq!(failure.unwrap_or_else(|| panic!("{what} is accepted")).reason, FailureReason::Protocol, "{what}");
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_ends_the_session_on_a_message_out_of_turn() {
    type Fill = fn(&mut RecordBuilder);
    let mut test = ReceiverTest::new(&[]).await;
    let records: [(&str, Fill); 11] = [
        ("done before a request", |r| r.push(&done_message(DownloadOutcome::Ok)).unwrap()),
        ("two requests", |r| {
            r.push(&file_request(&[(0, 2)])).unwrap();
            r.push(&file_request(&[(0, 2)])).unwrap();
        }),
        ("staged files behind the request", |r| {
            r.push(&file_request(&[(0, 2)])).unwrap();
            r.push(&StagedFiles { files: vec![(1, 400_000)] }).unwrap();
        }),
        ("garbage", |r| r.push(&MalformedRequest(vec![0xff; 100])).unwrap()),
        ("a frame that only senders send", |r| r.push(&FileStart { entry: 1, offset: 0 }).unwrap()),
        ("the end of a file", |r| r.push(&FileEnd { hash: [0; 32] }).unwrap()),
        ("an acknowledgement", |r| r.push(&DoneAck {}).unwrap()),
        ("an unknown mandatory frame", |r| r.push(&UnknownFrame::<0x6f>(1)).unwrap()),
        ("decreasing credit", |r| r.push(&Credit { limit: 1, received: 0 }).unwrap()),
        ("an acknowledgement of bytes that were not sent", |r| {
            r.push(&Credit { limit: 1 << 30, received: 1 << 29 }).unwrap()
        }),
        ("content", |r| {
            r.push_data(3, |b| Ok::<_, ()>(b.len())).unwrap();
        }),
    ];
    for (what, fill) in records {
        let mut receiver = test.confirmed_receiver().await;
        let mut record = RecordBuilder::new();
        fill(&mut record);
        receiver.session.writer.send(record).await.unwrap();
        let messages = receiver.read_to_end().await.unwrap();
        let failure = messages.failure.unwrap_or_else(|| panic!("{what} is accepted"));
        assert_eq!(failure.reason, FailureReason::Protocol, "{what}");
    }
    test.assert_alive().await;
}
