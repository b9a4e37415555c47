//! Manifests that no honest sender makes.

use qshare::{
    manifest::{ContentCoding, EntryKind, ManifestHeader, ShareId},
    transfer::session::RecordBuilder,
    wire::peer::{DownloadOutcome, ManifestPart, ManifestStart},
};

use crate::support::UnknownFrame;

use super::harness::{HostileSender, RawPart, content, file, folder, goodbye, head, link, offer, offer_of, record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_lead_out_or_cannot_be_shown_are_refused() {
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
        "\x1b]8;;http://relay\x1b\\",
        "two\nlines",
        "c1\u{9b}2J",
        "relay\u{202e}gpj.exe",
        "isolate\u{2066}d",
        &long,
        &deep,
    ];
    for name in names {
        let before = sender.machine.snapshot();
        let (run, done) = sender.offer(offer(vec![folder("a"), file(name, 1)])).await;
        run.assert_failed(6, name);
        assert!(run.message().contains("is not allowed"), "{name:?}: {}", run.message());
        assert!(!run.message().contains(|c: char| c.is_control() || c == '\u{202e}'), "{name:?} is shown as it is");
        assert_eq!(done.outcome, DownloadOutcome::Disk, "{name:?}");
        let mut after = sender.machine.snapshot();
        after.retain(|path| *path != run.target);
        assert_eq!(before, after, "{name:?}: something was written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_that_no_honest_sender_makes_are_refused() {
    let sender = HostileSender::new().await;
    let named = |name: String| {
        let mut record =
            RecordBuilder::from_message(&ManifestStart(ManifestHeader { share: ShareId::random(), name, entries: 1 }))
                .unwrap();
        record.push(&ManifestPart(vec![file("a", 1)])).unwrap();
        record
    };
    let size = EntryKind::File { size: Some(1), coding: ContentCoding::Identity };
    let no_text = record(|r| {
        r.push(&head(1)).unwrap();
        r.push(&RawPart(vec![(b"a\xff\xfeb".to_vec(), size, 0o644, None)])).unwrap();
    });
    let twice = record(|r| {
        r.push(&head(2)).unwrap();
        r.push(&head(2)).unwrap();
    });
    for (what, exit, early) in [
        ("the same path twice", 1, offer(vec![file("a", 1), file("a", 1)])),
        ("a file and a folder of one name", 1, offer(vec![file("a", 1), folder("a")])),
        ("a file where another needs a folder", 1, offer(vec![file("a", 1), file("a/b", 1)])),
        ("no folder at all", 1, offer(vec![file("a/b", 1)])),
        ("a folder that comes later", 1, offer(vec![file("a/b", 1), folder("a")])),
        ("ten million entries", 1, offer_of(10_000_000, vec![file("a", 1)])),
        ("entries without end", 1, offer_of(u64::MAX, vec![])),
        ("more entries than announced", 1, offer_of(1, vec![file("a", 1), file("b", 1)])),
        ("sizes beyond 64 bits", 1, offer(vec![file("a", u64::MAX), file("b", 1)])),
        ("no name", 1, named(String::new())),
        ("a name without end", 1, named("n".repeat(256))),
        ("no text", 1, no_text),
        ("two heads", 1, twice),
        ("entries before the head", 1, RecordBuilder::from_message(&ManifestPart(vec![file("a", 1)])).unwrap()),
        ("content before the manifest", 1, content(0, b"x")),
        ("a frame that nobody knows", 1, RecordBuilder::from_message(&UnknownFrame::<0x6f>(1)).unwrap()),
        ("8 EiB", 6, offer(vec![file("a", 1 << 63)])),
        ("a link out", 6, offer(vec![folder("d"), link("d/l", "../../etc/passwd")])),
        ("a link to the root", 6, offer(vec![folder("d"), link("d/l", "/etc/passwd")])),
        ("a link beside the share", 6, offer(vec![link("l", "x")])),
        ("a link to nothing", 6, offer(vec![folder("d"), link("d/l", "")])),
        ("a file below a link", 1, offer(vec![folder("d"), link("d/l", "."), file("d/l/f", 1)])),
    ] {
        let (run, _) = sender.offer(early).await;
        run.assert_failed(exit, what);
    }
}

/// Every record keeps the receiver waiting for the next; it must see that none brings anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_never_ends_is_refused() {
    type Make = fn() -> RecordBuilder;
    let sender = HostileSender::new().await;
    let paddings: [(&str, Make); 3] = [
        ("nothing", RecordBuilder::new),
        ("parts without entries", || RecordBuilder::from_message(&ManifestPart(vec![])).unwrap()),
        ("frames to skip", || RecordBuilder::from_message(&UnknownFrame::<0xef>(7)).unwrap()),
    ];
    for (what, padding) in paddings {
        let flood = async {
            let mut session = sender.meet(offer_of(2, vec![file("a", 1)])).await;
            while session.writer.send(padding()).await.is_ok() {}
        };
        let (run, ()) = sender.against(flood).await;
        run.assert_failed(1, what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_in_an_offer_are_shown_harmlessly() {
    let sender = HostileSender::new().await;
    let head = ManifestHeader { share: ShareId::random(), name: "\x1b[2J\u{202e}\u{9b}x".into(), entries: 1 };
    let mut early = RecordBuilder::from_message(&ManifestStart(head)).unwrap();
    early.push(&ManifestPart(vec![file("a", 5)])).unwrap();
    let code = sender.code.reveal();
    let acting = async { goodbye(sender.meet(early).await).await };
    let target = sender.machine.target();
    let listing = sender.machine.run_receiver_with(sender.relay.addr(), code.as_str(), target, &["--list"]);
    let (run, ()) = tokio::join!(listing, acting);
    assert_eq!(run.exit, Some(0), "{}{}", run.stdout, run.stderr);
    let shown = format!("{}{}", run.stdout, run.stderr);
    assert!(shown.contains("u{1b}"), "{shown:?}");
    assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown:?}");
}
