//! Content that differs from the offer or was not requested.

use qshare::internals::{
    manifest::RawEntry,
    transfer::session::RecordBuilder,
    wire::peer::{FileEnd, FileStart, GroupsEqual},
};

use super::harness::{
    HostileSender, acknowledge_end, build_record, file_entry, file_record, folder_entry, link_entry, manifest,
    push_data, stream_entry, wait_for_request,
};
use crate::{
    hostile::processes::{random_bytes, tree},
    support::UnknownFrame,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_detects_content_that_differs_from_the_offer() {
    let sender = HostileSender::new().await;
    let one = || vec![file_entry("a", 5)];
    let with = |hash: [u8; 32], bytes: &[u8]| {
        build_record(|r| {
            r.push(&FileStart { entry: 0, offset: 0 }).unwrap();
            push_data(r, bytes);
            r.push(&FileEnd { hash }).unwrap();
        })
    };
    let start = |entry, offset| RecordBuilder::from_message(&FileStart { entry, offset }).unwrap();
    let end = || RecordBuilder::from_message(&FileEnd { hash: [0; 32] }).unwrap();
    let equal = |entry, groups| RecordBuilder::from_message(&GroupsEqual { entry, groups }).unwrap();
    let two = || vec![file_entry("a", 5), file_entry("b", 5)];
    for (what, exit, entries, records) in [
        ("more than announced", 1, one(), vec![file_record(0, b"123456")]),
        ("less than announced", 1, one(), vec![file_record(0, b"1234")]),
        ("nothing", 1, one(), vec![file_record(0, b"")]),
        ("another hash", 8, one(), vec![with([0; 32], b"12345")]),
        ("the hash of something else", 8, one(), vec![with(*blake3::hash(b"12346").as_bytes(), b"12345")]),
        ("an entry that does not exist", 1, one(), vec![file_record(1, b"12345")]),
        ("the highest possible entry", 1, one(), vec![file_record(u32::MAX, b"12345")]),
        ("a folder", 1, vec![folder_entry("d"), file_entry("d/a", 5)], vec![file_record(0, b"12345")]),
        (
            "a link",
            1,
            vec![folder_entry("d"), link_entry("d/l", "a"), file_entry("d/a", 5)],
            vec![file_record(1, b"12345")],
        ),
        ("a file twice", 1, two(), vec![file_record(0, b"12345"), file_record(0, b"12345")]),
        ("a file within a file", 1, two(), vec![start(0, 0), file_record(1, b"12345")]),
        ("a file from the middle", 1, one(), vec![start(0, 1)]),
        ("content without a file", 1, one(), vec![build_record(|r| push_data(r, b"12345"))]),
        ("an end without a file", 1, one(), vec![end()]),
        ("the end twice", 1, two(), vec![file_record(0, b"12345"), end()]),
        ("content after the end", 1, two(), vec![file_record(0, b"12345"), build_record(|r| push_data(r, b"1"))]),
        ("a confirmation of data that was not offered", 1, one(), vec![equal(0, 1)]),
        ("a confirmation of another file", 1, one(), vec![equal(7, 0)]),
        ("another manifest", 1, one(), vec![manifest(vec![file_entry("b", 1)])]),
        ("an unknown mandatory frame", 1, one(), vec![RecordBuilder::from_message(&UnknownFrame::<0x6f>(1)).unwrap()]),
    ] {
        sender.offer_and_send(entries, records).await.assert_failed(exit, what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_detects_compressed_records_that_unpack_to_something_else() {
    let zstd = |content: &[u8]| zstd::bulk::compress(content, 1).unwrap();
    let frames = |content: &[u8]| build_record(|r| push_data(r, content)).frames().to_vec();
    let (content, bomb) = (zstd(&frames(&[0; 1_000])), zstd(&frames(&vec![0; 64 * 1024 * 1024])));
    let valid = || RecordBuilder::compressed(1_005, &content);
    let mut followed = valid();
    push_data(&mut followed, b"12345");
    let twice = RecordBuilder::compressed(valid().frames().len(), &zstd(valid().frames()));
    tokio::join!(
        assert_refused(8, "more than it states", RecordBuilder::compressed(1_000, &content)),
        assert_refused(8, "less than it states", RecordBuilder::compressed(1_006, &content)),
        assert_refused(8, "a bomb that states little", RecordBuilder::compressed(1_000, &bomb)),
        assert_refused(8, "a bomb that states its length", RecordBuilder::compressed(64 << 20, &bomb)),
        assert_refused(1, "compressed twice", twice),
        assert_refused(1, "with another frame behind it", followed),
    );
}

/// Sends a compressed record, and checks that the receiver ends with this exit code.
async fn assert_refused(exit: i32, what: &str, record: RecordBuilder) {
    let sender = HostileSender::new().await;
    let start = RecordBuilder::from_message(&FileStart { entry: 0, offset: 0 }).unwrap();
    let run = sender.offer_and_send(vec![file_entry("a", 1 << 30)], vec![start, record]).await;
    run.assert_failed(exit, what);
    let part = if exit == 8 { "a compressed record of the sender" } else { "protocol" };
    assert!(run.message().contains(part), "{what}: {}", run.message());
    assert!(run.peak.is_none_or(|bytes| bytes < 64 * 1024 * 1024), "{what}: {:?} bytes", run.peak);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_skips_unknown_optional_frames() {
    let sender = HostileSender::new().await;
    let unknown = || RecordBuilder::from_message(&UnknownFrame::<0xef>(1)).unwrap();
    let run =
        sender.offer_and_send(vec![file_entry("a", 5)], vec![unknown(), file_record(0, b"12345"), unknown()]).await;
    run.assert_saved("a", b"12345", "unknown frames");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_refuses_a_file_that_it_did_not_request() {
    let sender = HostileSender::new().await;
    let target = sender.machine.target();
    std::fs::write(target.join("a"), "mine").unwrap();
    let code = sender.code.reveal();
    let acting = async {
        let mut session = sender.accept_receiver(manifest(vec![file_entry("a", 5), file_entry("b", 5)])).await;
        wait_for_request(&mut session).await;
        session.writer.send(file_record(0, b"12345")).await.unwrap();
        acknowledge_end(session).await;
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
async fn a_receiver_ignores_setuid_setgid_and_sticky_bits() {
    let sender = HostileSender::new().await;
    let entries =
        vec![RawEntry { mode: 0o107_777, ..file_entry("a", 5) }, RawEntry { mode: u32::MAX, ..file_entry("b", 5) }];
    let run = sender.offer_and_send(entries, vec![file_record(0, b"12345"), file_record(1, b"54321")]).await;
    assert_eq!(run.exit, Some(0), "{}", run.stdout);
    for name in ["a", "b"] {
        assert_eq!(run.mode(name) & 0o7000, 0, "{name}: {:o}", run.mode(name));
    }
}

/// The receiver ends the session before more than it has granted fills its memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_fails_if_the_sender_exceeds_its_credit() {
    let sender = HostileSender::new().await;
    let early = manifest(vec![file_entry("a", 64 * 1024 * 1024)]);
    // The receiver grants credit as slowly as it may write, and the sender does not wait for it.
    let acting = async {
        let mut session = sender.accept_receiver(early).await;
        wait_for_request(&mut session).await;
        let piece = random_bytes(3, 200_000);
        let mut next = RecordBuilder::from_message(&FileStart { entry: 0, offset: 0 }).unwrap();
        loop {
            push_data(&mut next, &piece);
            if session.writer.send(std::mem::take(&mut next)).await.is_err() {
                return;
            }
        }
    };
    let (run, ()) = sender.run_receiver_with(&["--limit-down", "100kB"], acting).await;
    run.assert_failed(1, "a flood");
    assert!(run.message().contains("protocol"), "{}", run.message());
    assert!(run.peak.is_none_or(|bytes| bytes < 100 * 1024 * 1024), "{:?} bytes", run.peak);
}

/// The receiver cannot know how long the file will be, and the sender never ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_file_ends_at_the_limit_of_the_user_and_leaves_nothing() {
    let sender = HostileSender::new().await;
    let piece = random_bytes(4, 200_000);
    let acting = async {
        let mut session = sender.accept_receiver(manifest(vec![stream_entry("a")])).await;
        wait_for_request(&mut session).await;
        let mut next = RecordBuilder::from_message(&FileStart { entry: 0, offset: 0 }).unwrap();
        // More than the limit, and less than the receiver's first credit.
        for _ in 0..6 {
            push_data(&mut next, &piece);
            session.writer.send(std::mem::take(&mut next)).await.unwrap();
        }
        acknowledge_end(session).await;
    };
    let (run, ()) = sender.run_receiver_with(&["--max-size", "1MB"], acting).await;
    run.assert_failed(6, "an endless file");
    assert!(run.message().contains("--max-size"), "{}", run.message());
    assert_eq!(tree(&run.target), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_exceeds_the_limit_of_the_user_is_refused_before_the_first_byte() {
    let sender = HostileSender::new().await;
    let early = manifest(vec![file_entry("a", 600_000), file_entry("b", 600_000)]);
    let acting = async { acknowledge_end(sender.accept_receiver(early).await).await };
    let (run, ()) = sender.run_receiver_with(&["--max-size", "1MB"], acting).await;
    run.assert_failed(6, "a share that is too large");
    assert!(run.message().contains("1.2 MB"), "{}", run.message());
}
