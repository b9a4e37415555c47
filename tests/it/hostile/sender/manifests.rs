//! Manifests that no honest sender makes.

use qshare::internals::{
    manifest::{EntryKind, ManifestHeader, ShareId, ShareKind},
    transfer::session::RecordBuilder,
    wire::peer::{DownloadOutcome, ManifestPart, ManifestStart},
};

use super::harness::{
    HostileSender, NonTextPathPart, acknowledge_end, build_record, file_entry, file_record, folder_entry, link_entry,
    manifest, manifest_announcing, manifest_start, send_with_credit, stream_entry, wait_for_request,
};
use crate::support::UnknownFrame;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_refuses_names_that_leave_the_target_or_contain_control_characters() {
    let sender = HostileSender::new().await;
    let root = sender.machine.root().to_str().unwrap().to_owned();
    let absolute = format!("{root}/escaped");
    let long = "x".repeat(256);
    let deep = ["d"; 65].join("/");
    let names = [
        "../x",
        "a/../../b",
        "a/..",
        "..",
        ".",
        "./x",
        "a/./b",
        "",
        "/",
        "a/",
        "a//b",
        &absolute,
        "C:\\x",
        "c:/x",
        "\\\\srv\\x",
        "nul\0byte",
        "\x1b[1A\r",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b]8;;http://evil\x1b\\",
        "two\nlines",
        "c1\u{9b}2J",
        "evil\u{202e}gpj.exe",
        "isolate\u{2066}d",
        &long,
        &deep,
        ".qshare-0123456789abcdef.part",
        "a/.qshare-0123456789abcdef.part",
        ".QShare-0123456789ABCDEF.Part",
        "a/.q\u{17f}hare-0123456789abcdef.part",
        ".qsh\u{200d}are-0123456789abcdef.part",
        "a/.qshare-0123456789abcdef.part/names",
        ".qshare-probe-0123456789abcdef-k",
    ];
    for name in names {
        let before = sender.machine.snapshot();
        let (run, done) = sender.offer_and_expect_done(manifest(vec![folder_entry("a"), file_entry(name, 1)])).await;
        run.assert_failed(6, name);
        assert!(run.message().contains("is not allowed"), "{name:?}: {}", run.message());
        assert!(!run.message().contains(|c: char| c.is_control() || c == '\u{202e}'), "{name:?} is shown unescaped");
        assert_eq!(done.outcome, DownloadOutcome::Disk, "{name:?}");
        let mut after = sender.machine.snapshot();
        after.retain(|path| *path != run.target);
        assert_eq!(before, after, "{name:?}: something was written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_does_not_fit_is_refused_before_its_first_byte() {
    let sender = HostileSender::new().await;
    let files = (0..1_000).map(|n| file_entry(&n.to_string(), 1 << 43)).collect();
    let (run, done) = sender.offer_and_expect_done(manifest(files)).await;
    run.assert_failed(6, "8.8 PB");
    assert!(run.message().contains("not enough space"), "{}", run.message());
    assert_eq!(done.outcome, DownloadOutcome::Disk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_refuses_inconsistent_manifests() {
    let sender = HostileSender::new().await;
    let named = |name: String| {
        let mut record = RecordBuilder::from_message(&ManifestStart(ManifestHeader {
            share: ShareId::random(),
            name,
            entries: 1,
            holes: 0,
            kind: ShareKind::Files,
        }))
        .unwrap();
        record.push(&ManifestPart(vec![file_entry("a", 1)])).unwrap();
        record
    };
    let size = EntryKind::File { size: Some(1) };
    let not_text = build_record(|r| {
        r.push(&manifest_start(1)).unwrap();
        r.push(&NonTextPathPart(vec![(b"a\xff\xfeb".to_vec(), size, 0o644, None)])).unwrap();
    });
    let twice = build_record(|r| {
        r.push(&manifest_start(2)).unwrap();
        r.push(&manifest_start(2)).unwrap();
    });
    for (what, exit, early) in [
        ("the same path twice", 1, manifest(vec![file_entry("a", 1), file_entry("a", 1)])),
        ("a file and a folder of one name", 1, manifest(vec![file_entry("a", 1), folder_entry("a")])),
        ("a file where another needs a folder", 1, manifest(vec![file_entry("a", 1), file_entry("a/b", 1)])),
        ("a file without its folder", 1, manifest(vec![file_entry("a/b", 1)])),
        ("a folder after its file", 1, manifest(vec![file_entry("a/b", 1), folder_entry("a")])),
        ("ten million entries", 1, manifest_announcing(10_000_000, vec![file_entry("a", 1)])),
        ("the highest possible number of entries", 1, manifest_announcing(u64::MAX, vec![])),
        ("more entries than announced", 1, manifest_announcing(1, vec![file_entry("a", 1), file_entry("b", 1)])),
        ("a file of unknown size beside others", 1, manifest(vec![stream_entry("a"), file_entry("b", 1)])),
        ("a file of unknown size in a folder", 1, manifest(vec![folder_entry("d"), stream_entry("d/a")])),
        ("a file of unknown size among announced ones", 1, manifest_announcing(2, vec![stream_entry("a")])),
        ("sizes beyond 64 bits", 1, manifest(vec![file_entry("a", u64::MAX), file_entry("b", 1)])),
        ("no name", 1, named(String::new())),
        ("a name of 256 bytes", 1, named("n".repeat(256))),
        ("a path that is not text", 1, not_text),
        ("two headers", 1, twice),
        ("entries before the header", 1, RecordBuilder::from_message(&ManifestPart(vec![file_entry("a", 1)])).unwrap()),
        ("content before the manifest", 1, file_record(0, b"x")),
        ("an unknown mandatory frame", 1, RecordBuilder::from_message(&UnknownFrame::<0x6f>(1)).unwrap()),
        ("8 EiB", 6, manifest(vec![file_entry("a", 1 << 63)])),
        ("a link out of the share", 6, manifest(vec![folder_entry("d"), link_entry("d/l", "../../etc/passwd")])),
        ("an absolute link", 6, manifest(vec![folder_entry("d"), link_entry("d/l", "/etc/passwd")])),
        ("a top-level link", 6, manifest(vec![link_entry("l", "x")])),
        ("an empty link", 6, manifest(vec![folder_entry("d"), link_entry("d/l", "")])),
        ("a file below a link", 1, manifest(vec![folder_entry("d"), link_entry("d/l", "."), file_entry("d/l/f", 1)])),
    ] {
        let (run, _) = sender.offer_and_expect_done(early).await;
        run.assert_failed(exit, what);
        assert!(run.peak.is_none_or(|bytes| bytes < 64 * 1024 * 1024), "{what}: {:?} bytes", run.peak);
    }
}

/// Each record is valid, but none contains an entry, so that the manifest would never end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_refuses_a_manifest_that_makes_no_progress() {
    type Make = fn() -> RecordBuilder;
    let sender = HostileSender::new().await;
    let paddings: [(&str, Make); 3] = [
        ("empty records", RecordBuilder::new),
        ("parts without entries", || RecordBuilder::from_message(&ManifestPart(vec![])).unwrap()),
        ("optional frames", || RecordBuilder::from_message(&UnknownFrame::<0xef>(7)).unwrap()),
    ];
    for (what, padding) in paddings {
        let flood = async {
            let mut session = sender.accept_receiver(manifest_announcing(2, vec![file_entry("a", 1)])).await;
            while session.writer.send(padding()).await.is_ok() {}
        };
        let (run, ()) = sender.run_receiver_against(flood).await;
        run.assert_failed(1, what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_characters_in_an_offer_are_escaped() {
    let sender = HostileSender::new().await;
    let head = ManifestHeader {
        share: ShareId::random(),
        name: "\x1b[2J\u{202e}\u{9b}x".into(),
        entries: 1,
        holes: 0,
        kind: ShareKind::Files,
    };
    let mut early = RecordBuilder::from_message(&ManifestStart(head)).unwrap();
    early.push(&ManifestPart(vec![file_entry("a", 5)])).unwrap();
    let code = sender.code.reveal();
    let acting = async { acknowledge_end(sender.accept_receiver(early).await).await };
    let target = sender.machine.target();
    let listing = sender.machine.run_receiver_with(sender.relay.addr(), code.as_str(), target, &["--list"]);
    let (run, ()) = tokio::join!(listing, acting);
    assert_eq!(run.exit, Some(0), "{}{}", run.stdout, run.stderr);
    let shown = format!("{}{}", run.stdout, run.stderr);
    assert!(shown.contains("u{1b}"), "{shown:?}");
    assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown:?}");
}

/// An entry on the wire has its whole path, so a small manifest can contain much text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_folders_with_long_names_take_little_memory() {
    let sender = HostileSender::new().await;
    let folders: Vec<String> = (1..=15).map(|depth| vec!["n".repeat(250); depth].join("/")).collect();
    let deepest = folders.last().unwrap().clone();
    let mut flood: Vec<_> = folders.iter().map(|path| folder_entry(path)).collect();
    flood.extend((0..10_000).map(|n| file_entry(&format!("{deepest}/{n}"), 0)));
    let acting = async {
        let mut session = sender.accept_receiver(manifest_announcing(flood.len() as u64, vec![])).await;
        let parts = flood.chunks(30).map(|part| RecordBuilder::from_message(&ManifestPart(part.to_vec())).unwrap());
        send_with_credit(&mut session, parts).await;
        wait_for_request(&mut session).await;
    };
    let (run, ()) = sender.run_receiver_against(acting).await;
    assert!(run.peak.is_none_or(|bytes| bytes < 64 * 1024 * 1024), "{:?} bytes", run.peak);
}
