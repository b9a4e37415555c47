//! A hostile sender, who knows the code, against a real receiver: nothing it says or leaves out makes the receiver
//! write where it must not, keep what is wrong, or go on for ever.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use qshare::{
    code::{Code, Secret},
    manifest::{ContentCoding, EntryKind, ManifestHeader, RawEntry, ShareId},
    net::{self, Connection, RelayIdentity, TransportOptions, TrustPolicy},
    relay::{self, RelayConfig},
    state::StateDir,
    transfer::{
        GuessBudget, Registration, SystemClock,
        handshake::{Established, respond},
        session::RecordBuilder,
    },
    wire::{
        Frame, Message,
        peer::{
            Credit, Done, DoneAck, DownloadOutcome, Failure, FailureReason, FileEnd, FileRequest, FileStart,
            ManifestPart, ManifestStart,
        },
        relay::IncomingDownload,
    },
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::hostile::stage::{Run, Stage, noise, tree, within};

/// An honest relay in this process. Dropped, it ends with the test.
pub(crate) struct Relay {
    addr: SocketAddr,
    _home: TempDir,
}

impl Relay {
    pub(crate) fn start(config: RelayConfig) -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let identity = RelayIdentity::load_or_create(&StateDir::open(home.path()).unwrap()).unwrap();
        let endpoint = net::listen((Ipv4Addr::LOCALHOST, 0).into(), &identity, TransportOptions::default()).unwrap();
        let addr = endpoint.local_addr().unwrap();
        tokio::spawn(relay::serve(endpoint, config, std::future::pending()));
        Self { addr, _home: home }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) async fn connect(&self) -> net::RelayConnection {
        net::connect(&[self.addr.into()], TrustPolicy::AnyKey, TransportOptions::default()).await.unwrap()
    }
}

/// A sender with a code of its own that does not keep to the protocol.
struct Crook {
    stage: Stage,
    relay: Relay,
    connection: Connection,
    code: Code,
    _line: (net::RelayConnection, Registration),
}

impl Crook {
    async fn new() -> Self {
        let relay = Relay::start(RelayConfig::default());
        let connected = relay.connect().await;
        let connection = connected.connection.clone();
        let registration = Registration::request(connection.clone(), None, None).await.unwrap();
        let code = Code::new(registration.slot(), Secret::random(5).unwrap());
        Self { stage: Stage::new(), relay, connection, code, _line: (connected, registration) }
    }

    /// The next receiver, confirmed, with `early` as its first record.
    async fn meet(&self, early: RecordBuilder) -> Established {
        let (send, mut recv) = within("a receiver", self.connection.accept_stream()).await.unwrap();
        recv.read_frame(0).await.unwrap().frame().decode::<IncomingDownload>().unwrap();
        let budget = GuessBudget::open(None, 5, Arc::new(SystemClock)).unwrap();
        respond(&self.code, &budget, early, send, recv).await.unwrap_or_else(|e| panic!("no session: {e:?}"))
    }

    /// A receiver downloads while this sender does as it likes.
    async fn against<T>(&self, act: impl Future<Output = T>) -> (Run, T) {
        let code = self.code.reveal();
        tokio::join!(self.stage.recv(self.relay.addr(), code.as_str()), act)
    }

    /// Offers something that must be refused at once; gives what the receiver did and said.
    async fn offer(&self, early: RecordBuilder) -> (Run, Done) {
        let (run, done) = self
            .against(async {
                let mut session = self.meet(early).await;
                loop {
                    match said(&mut session).await {
                        Some(ReceiverMessage::Done(done)) => return done,
                        Some(ReceiverMessage::Request) => panic!("the receiver asked for it"),
                        Some(ReceiverMessage::Credit) => {}
                        None => panic!("the receiver left without a word"),
                    }
                }
            })
            .await;
        (run, done)
    }

    /// Offers `entries`, and sends these records when they are requested. The end of the session is awaited.
    async fn deliver(&self, entries: Vec<RawEntry>, records: Vec<RecordBuilder>) -> Run {
        self.against(async {
            let mut session = self.meet(offer(entries)).await;
            requested(&mut session).await;
            for record in records {
                let _ = session.out.send(record).await; // the receiver may be gone already
            }
            goodbye(session).await;
        })
        .await
        .0
    }
}

/// Hears the receiver out and acknowledges its end.
async fn goodbye(mut session: Established) {
    while let Some(said) = said(&mut session).await {
        if matches!(said, ReceiverMessage::Done(_)) {
            if let Ok(mut leaving) = session.out.end(RecordBuilder::of(&DoneAck {}).unwrap()) {
                leaving.delivered().await;
            }
            return;
        }
    }
}

enum ReceiverMessage {
    Request,
    Credit,
    Done(Done),
}

/// What the receiver says next; `None` where it is gone.
async fn said(session: &mut Established) -> Option<ReceiverMessage> {
    let record = within("the receiver", session.incoming.opened(&mut session.opener)).await.ok()??;
    let frame = Frame::split(&mut &record[..]).unwrap();
    Some(match frame.kind {
        FileRequest::TYPE => ReceiverMessage::Request,
        Credit::TYPE => ReceiverMessage::Credit,
        Done::TYPE => ReceiverMessage::Done(frame.decode().unwrap()),
        other => panic!("the receiver said {other}"),
    })
}

async fn requested(session: &mut Established) {
    while !matches!(said(session).await, Some(ReceiverMessage::Request)) {}
}

fn file(path: &str, size: u64) -> RawEntry {
    let kind = EntryKind::File { size: Some(size), coding: ContentCoding::Identity };
    RawEntry { path: path.into(), kind, mode: 0o644, mtime: None }
}

fn folder(path: &str) -> RawEntry {
    RawEntry { path: path.into(), kind: EntryKind::Folder, mode: 0o755, mtime: None }
}

fn link(path: &str, target: &str) -> RawEntry {
    RawEntry { path: path.into(), kind: EntryKind::Link { target: target.into() }, mode: 0o777, mtime: None }
}

fn head(entries: u64) -> ManifestStart {
    ManifestStart(ManifestHeader { share: ShareId::random(), name: "a gift".into(), entries })
}

fn offer(entries: Vec<RawEntry>) -> RecordBuilder {
    offer_of(entries.len() as u64, entries)
}

/// Announces `count` entries and lists `entries`.
fn offer_of(count: u64, entries: Vec<RawEntry>) -> RecordBuilder {
    let mut record = RecordBuilder::of(&head(count)).unwrap();
    record.push(&ManifestPart(entries)).unwrap();
    record
}

/// A file in one record.
fn content(entry: u32, bytes: &[u8]) -> RecordBuilder {
    let mut record = RecordBuilder::of(&FileStart { entry, offset: 0 }).unwrap();
    data(&mut record, bytes);
    record.push(&FileEnd { hash: *blake3::hash(bytes).as_bytes() }).unwrap();
    record
}

fn data(record: &mut RecordBuilder, bytes: &[u8]) {
    let copy = |room: &mut [u8]| {
        room.copy_from_slice(bytes);
        Ok::<_, ()>(bytes.len())
    };
    record.push_data(bytes.len(), copy).unwrap();
}

/// Several records' frames in one.
fn record(fill: impl FnOnce(&mut RecordBuilder)) -> RecordBuilder {
    let mut record = RecordBuilder::new();
    fill(&mut record);
    record
}

/// A frame of a type that this version does not have.
#[derive(Serialize, Deserialize)]
struct Unknown<const TYPE: u8>(u32);

impl<const TYPE: u8> Message for Unknown<TYPE> {
    const TYPE: u8 = TYPE;
}

/// A frame to skip, as long as it likes to be.
#[derive(Serialize, Deserialize)]
struct Filler(Vec<u8>);

impl Message for Filler {
    const TYPE: u8 = 0xef;
}

/// A manifest part whose paths need not be text.
#[derive(Serialize, Deserialize)]
struct RawPart(Vec<(Vec<u8>, EntryKind, u32, Option<u8>)>);

impl Message for RawPart {
    const TYPE: u8 = ManifestPart::TYPE;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_lead_out_or_cannot_be_shown_are_refused() {
    let crook = Crook::new().await;
    let root = crook.stage.root().to_str().unwrap().to_owned();
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
    ];
    for name in names {
        let before = crook.stage.snapshot();
        let (run, done) = crook.offer(offer(vec![folder("a"), file(name, 1)])).await;
        run.assert_failed(6, name);
        assert!(run.message().contains("is not allowed"), "{name:?}: {}", run.message());
        assert!(!run.message().contains(|c: char| c.is_control() || c == '\u{202e}'), "{name:?} is shown as it is");
        assert_eq!(done.outcome, DownloadOutcome::Disk, "{name:?}");
        let mut after = crook.stage.snapshot();
        after.retain(|path| *path != run.target);
        assert_eq!(before, after, "{name:?}: something was written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_that_no_honest_sender_makes_are_refused() {
    let crook = Crook::new().await;
    let named = |name: String| {
        let mut record =
            RecordBuilder::of(&ManifestStart(ManifestHeader { share: ShareId::random(), name, entries: 1 })).unwrap();
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
        ("entries before the head", 1, RecordBuilder::of(&ManifestPart(vec![file("a", 1)])).unwrap()),
        ("content before the manifest", 1, content(0, b"x")),
        ("a frame that nobody knows", 1, RecordBuilder::of(&Unknown::<0x6f>(1)).unwrap()),
        ("8 EiB", 6, offer(vec![file("a", 1 << 63)])),
        ("a link out", 6, offer(vec![folder("d"), link("d/l", "../../etc/passwd")])),
        ("a link to the root", 6, offer(vec![folder("d"), link("d/l", "/etc/passwd")])),
        ("a link beside the share", 6, offer(vec![link("l", "x")])),
        ("a link to nothing", 6, offer(vec![folder("d"), link("d/l", "")])),
        ("a file below a link", 1, offer(vec![folder("d"), link("d/l", "."), file("d/l/f", 1)])),
    ] {
        let (run, _) = crook.offer(early).await;
        run.assert_failed(exit, what);
    }
}

/// Every record keeps the receiver waiting for the next; it must see that none brings anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_never_ends_is_refused() {
    type Make = fn() -> RecordBuilder;
    let crook = Crook::new().await;
    let paddings: [(&str, Make); 3] = [
        ("nothing", RecordBuilder::new),
        ("parts without entries", || RecordBuilder::of(&ManifestPart(vec![])).unwrap()),
        ("frames to skip", || RecordBuilder::of(&Unknown::<0xef>(7)).unwrap()),
    ];
    for (what, padding) in paddings {
        let flood = async {
            let mut session = crook.meet(offer_of(2, vec![file("a", 1)])).await;
            while session.out.send(padding()).await.is_ok() {}
        };
        let (run, ()) = crook.against(flood).await;
        run.assert_failed(1, what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_about_content_are_seen() {
    let crook = Crook::new().await;
    let one = || vec![file("a", 5)];
    let with = |hash: [u8; 32], bytes: &[u8]| {
        record(|r| {
            r.push(&FileStart { entry: 0, offset: 0 }).unwrap();
            data(r, bytes);
            r.push(&FileEnd { hash }).unwrap();
        })
    };
    let start = |entry, offset| RecordBuilder::of(&FileStart { entry, offset }).unwrap();
    let end = || RecordBuilder::of(&FileEnd { hash: [0; 32] }).unwrap();
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
        ("a frame that nobody knows", 1, one(), vec![RecordBuilder::of(&Unknown::<0x6f>(1)).unwrap()]),
    ] {
        crook.deliver(entries, records).await.assert_failed(exit, what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_and_may_be_skipped_is() {
    let crook = Crook::new().await;
    let unknown = || RecordBuilder::of(&Unknown::<0xef>(1)).unwrap();
    let run = crook.deliver(vec![file("a", 5)], vec![unknown(), content(0, b"12345"), unknown()]).await;
    run.assert_saved("a", b"12345", "unknown frames");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_not_asked_for_is_refused() {
    let crook = Crook::new().await;
    let target = crook.stage.target();
    std::fs::write(target.join("a"), "mine").unwrap();
    let code = crook.code.reveal();
    let acting = async {
        let mut session = crook.meet(offer(vec![file("a", 5), file("b", 5)])).await;
        requested(&mut session).await;
        session.out.send(content(0, b"12345")).await.unwrap();
        goodbye(session).await;
    };
    let options = ["--json", "--yes", "--skip"];
    let downloading = crook.stage.recv_with(crook.relay.addr(), code.as_str(), target.clone(), &options);
    let (run, ()) = tokio::join!(downloading, acting);
    assert_eq!(run.exit, Some(1), "{}", run.stdout);
    assert!(run.message().contains("nobody asked"), "{}", run.message());
    assert_eq!(tree(&target), [target.join("a")]);
    assert_eq!(std::fs::read(target.join("a")).unwrap(), b"mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn special_permissions_are_not_taken() {
    let crook = Crook::new().await;
    let entries = vec![RawEntry { mode: 0o107_777, ..file("a", 5) }, RawEntry { mode: u32::MAX, ..file("b", 5) }];
    let run = crook.deliver(entries, vec![content(0, b"12345"), content(1, b"54321")]).await;
    assert_eq!(run.exit, Some(0), "{}", run.stdout);
    for name in ["a", "b"] {
        assert_eq!(run.mode(name) & 0o7000, 0, "{name}: {:o}", run.mode(name));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_that_never_comes_is_not_waited_for() {
    let crook = Crook::new().await;
    let acting = async {
        let mut session = crook.meet(offer(vec![file("a", 5)])).await;
        requested(&mut session).await;
        session.out.send(content(0, b"12345")).await.unwrap();
        while said(&mut session).await.is_some_and(|said| !matches!(said, ReceiverMessage::Done(_))) {}
        session // held open, and silent
    };
    let (run, _session) = crook.against(acting).await;
    run.assert_saved("a", b"12345", "no acknowledgement");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sender_says_of_its_failure_cannot_touch_the_terminal() {
    let crook = Crook::new().await;
    let nasty = format!("\x1b[2J\x1b]0;owned\x07\r\u{202e}{}", "x".repeat(50_000));
    let code = crook.code.reveal();
    for early in [true, false] {
        for options in [&["--yes"][..], &["--yes", "--json"]] {
            let failure = Failure { reason: FailureReason::Source, message: nasty.clone() };
            let acting = async {
                let first = if early { RecordBuilder::new() } else { offer(vec![file("a", 5)]) };
                let mut session = crook.meet(first).await;
                if !early {
                    requested(&mut session).await;
                }
                session.out.end(RecordBuilder::of(&failure).unwrap()).unwrap().delivered().await;
            };
            let target = crook.stage.target();
            let downloading = crook.stage.recv_with(crook.relay.addr(), code.as_str(), target, options);
            let (run, ()) = tokio::join!(downloading, acting);
            assert_eq!(run.exit, Some(1), "{}{}", run.stdout, run.stderr);
            let shown = format!("{}{}", run.stdout, run.stderr);
            assert!(shown.contains("u{1b}[2J"), "the message is not shown: {shown}");
            assert!(!shown.contains(['\x1b', '\x07', '\r', '\u{202e}']), "{shown:?}");
            assert!(shown.len() < 5_000, "{} bytes of a message", shown.len());
            assert_eq!(tree(&run.target), Vec::<std::path::PathBuf>::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_in_an_offer_are_shown_harmlessly() {
    let crook = Crook::new().await;
    let head = ManifestHeader { share: ShareId::random(), name: "\x1b[2J\u{202e}\u{9b}x".into(), entries: 1 };
    let mut early = RecordBuilder::of(&ManifestStart(head)).unwrap();
    early.push(&ManifestPart(vec![file("a", 5)])).unwrap();
    let code = crook.code.reveal();
    let acting = async { goodbye(crook.meet(early).await).await };
    let target = crook.stage.target();
    let listing = crook.stage.recv_with(crook.relay.addr(), code.as_str(), target, &["--list"]);
    let (run, ()) = tokio::join!(listing, acting);
    assert_eq!(run.exit, Some(0), "{}{}", run.stdout, run.stderr);
    let shown = format!("{}{}", run.stdout, run.stderr);
    assert!(shown.contains("u{1b}"), "{shown:?}");
    assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown:?}");
}

/// More than 256 KiB were never granted. Whoever sends more is cut before it fills the memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_ignores_credit_is_cut() {
    let crook = Crook::new().await;
    // The first window is used up by the manifest, so that the first content is too much already.
    let mut early = offer(vec![file("a", 64 * 1024 * 1024)]);
    early.push(&Filler(vec![0; 200_000])).unwrap();
    let acting = async {
        let mut session = crook.meet(early).await;
        requested(&mut session).await;
        let piece = noise(3, 200_000);
        let mut next = RecordBuilder::of(&FileStart { entry: 0, offset: 0 }).unwrap();
        loop {
            data(&mut next, &piece);
            if session.out.send(std::mem::take(&mut next)).await.is_err() {
                return;
            }
        }
    };
    let (run, ()) = crook.against(acting).await;
    run.assert_failed(1, "a flood");
    assert!(run.message().contains("protocol"), "{}", run.message());
    assert!(run.peak.is_none_or(|kilobytes| kilobytes < 100 * 1024), "{:?} kB", run.peak);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_before_the_end_is_a_cut() {
    let crook = Crook::new().await;
    let harmless = || RecordBuilder::of(&Unknown::<0xef>(1)).unwrap();
    for (what, in_manifest, with_finish) in [
        ("the last record in the manifest", true, true),
        ("the last record and a reset in the manifest", true, false),
        ("the last record in the content", false, true),
        ("the last record and a reset in the content", false, false),
    ] {
        let acting = async {
            let first = if in_manifest { offer_of(2, vec![file("a", 5)]) } else { offer(vec![file("a", 5)]) };
            let mut session = crook.meet(first).await;
            if !in_manifest {
                requested(&mut session).await;
            }
            if with_finish {
                session.out.end(harmless()).unwrap().delivered().await;
            } else {
                drop(session.out); // resets what was written
            }
            while let Ok(Some(_)) = session.incoming.opened(&mut session.opener).await {}
        };
        let (run, ()) = crook.against(acting).await;
        run.assert_failed(5, what);
    }
}

/// A failure is the sender's last word; whoever then holds the stream open does not hold the receiver.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_final_though_the_stream_stays_open() {
    let crook = Crook::new().await;
    let acting = async {
        let mut session = crook.meet(offer(vec![file("a", 5)])).await;
        requested(&mut session).await;
        let failure = Failure { reason: FailureReason::DownloadLimitReached, message: "full".into() };
        session.out.send(RecordBuilder::of(&failure).unwrap()).await.unwrap();
        while said(&mut session).await.is_some() {}
    };
    let (run, ()) = crook.against(acting).await;
    run.assert_failed(7, "a failure");
    assert!(run.took < std::time::Duration::from_secs(20), "{:?}", run.took);
}
