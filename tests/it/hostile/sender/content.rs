//! Content that differs from the offer or was not requested.

use qshare::{
    manifest::RawEntry,
    transfer::session::RecordBuilder,
    wire::peer::{FileEnd, FileStart},
};

use crate::{
    hostile::processes::{random_bytes, tree},
    support::UnknownFrame,
};

use super::harness::{Filler, HostileSender, content, data, file, folder, goodbye, link, offer, record, requested};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_about_content_are_seen() {
    let sender = HostileSender::new().await;
    let one = || vec![file("a", 5)];
    let with = |hash: [u8; 32], bytes: &[u8]| {
        record(|r| {
            r.push(&FileStart { entry: 0, offset: 0 }).unwrap();
            data(r, bytes);
            r.push(&FileEnd { hash }).unwrap();
        })
    };
    let start = |entry, offset| RecordBuilder::from_message(&FileStart { entry, offset }).unwrap();
    let end = || RecordBuilder::from_message(&FileEnd { hash: [0; 32] }).unwrap();
    let two = || vec![file("a", 5), file("b", 5)];
    for (what, exit, entries, records) in [
        ("more than announced", 1, one(), vec![content(0, b"123456")]),
        ("less than announced", 1, one(), vec![content(0, b"1234")]),
        ("nothing", 1, one(), vec![content(0, b"")]),
        ("another hash", 8, one(), vec![with([0; 32], b"12345")]),
        ("the hash of something else", 8, one(), vec![with(*blake3::hash(b"12346").as_bytes(), b"12345")]),
        ("a file that is not there", 1, one(), vec![content(1, b"12345")]),
        ("the last of all files", 1, one(), vec![content(u32::MAX, b"12345")]),
        ("a folder", 1, vec![folder("d"), file("d/a", 5)], vec![content(0, b"12345")]),
        ("a link", 1, vec![folder("d"), link("d/l", "a"), file("d/a", 5)], vec![content(1, b"12345")]),
        ("a file twice", 1, two(), vec![content(0, b"12345"), content(0, b"12345")]),
        ("a file in a file", 1, two(), vec![start(0, 0), content(1, b"12345")]),
        ("a file from the middle", 1, one(), vec![start(0, 1)]),
        ("content of no file", 1, one(), vec![record(|r| data(r, b"12345"))]),
        ("the end of no file", 1, one(), vec![end()]),
        ("the end twice", 1, two(), vec![content(0, b"12345"), end()]),
        ("content behind the end", 1, two(), vec![content(0, b"12345"), record(|r| data(r, b"1"))]),
        ("another manifest", 1, one(), vec![offer(vec![file("b", 1)])]),
        ("a frame that nobody knows", 1, one(), vec![RecordBuilder::from_message(&UnknownFrame::<0x6f>(1)).unwrap()]),
    ] {
        sender.deliver(entries, records).await.assert_failed(exit, what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_and_may_be_skipped_is() {
    let sender = HostileSender::new().await;
    let unknown = || RecordBuilder::from_message(&UnknownFrame::<0xef>(1)).unwrap();
    let run = sender.deliver(vec![file("a", 5)], vec![unknown(), content(0, b"12345"), unknown()]).await;
    run.assert_saved("a", b"12345", "unknown frames");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_not_asked_for_is_refused() {
    let sender = HostileSender::new().await;
    let target = sender.machine.target();
    std::fs::write(target.join("a"), "mine").unwrap();
    let code = sender.code.reveal();
    let acting = async {
        let mut session = sender.meet(offer(vec![file("a", 5), file("b", 5)])).await;
        requested(&mut session).await;
        session.writer.send(content(0, b"12345")).await.unwrap();
        goodbye(session).await;
    };
    let options = ["--json", "--yes", "--skip"];
    let downloading = sender.machine.run_receiver_with(sender.relay.addr(), code.as_str(), target.clone(), &options);
    let (run, ()) = tokio::join!(downloading, acting);
    assert_eq!(run.exit, Some(1), "{}", run.stdout);
    assert!(run.message().contains("not requested"), "{}", run.message());
    assert_eq!(tree(&target), [target.join("a")]);
    assert_eq!(std::fs::read(target.join("a")).unwrap(), b"mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn special_permissions_are_not_taken() {
    let sender = HostileSender::new().await;
    let entries = vec![RawEntry { mode: 0o107_777, ..file("a", 5) }, RawEntry { mode: u32::MAX, ..file("b", 5) }];
    let run = sender.deliver(entries, vec![content(0, b"12345"), content(1, b"54321")]).await;
    assert_eq!(run.exit, Some(0), "{}", run.stdout);
    for name in ["a", "b"] {
        assert_eq!(run.mode(name) & 0o7000, 0, "{name}: {:o}", run.mode(name));
    }
}

/// More than 256 KiB were never granted. Whoever sends more is cut before it fills the memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_ignores_credit_is_cut() {
    let sender = HostileSender::new().await;
    // The first window is used up by the manifest, so that the first content is too much already.
    let mut early = offer(vec![file("a", 64 * 1024 * 1024)]);
    early.push(&Filler(vec![0; 200_000])).unwrap();
    let acting = async {
        let mut session = sender.meet(early).await;
        requested(&mut session).await;
        let piece = random_bytes(3, 200_000);
        let mut next = RecordBuilder::from_message(&FileStart { entry: 0, offset: 0 }).unwrap();
        loop {
            data(&mut next, &piece);
            if session.writer.send(std::mem::take(&mut next)).await.is_err() {
                return;
            }
        }
    };
    let (run, ()) = sender.against(acting).await;
    run.assert_failed(1, "a flood");
    assert!(run.message().contains("protocol"), "{}", run.message());
    assert!(run.peak.is_none_or(|bytes| bytes < 100 * 1024 * 1024), "{:?} bytes", run.peak);
}
