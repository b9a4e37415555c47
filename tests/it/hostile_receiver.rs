//! A hostile receiver, who knows the code or not, against a real sender: it gets no more than it may, and everybody
//! else is served.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::Bytes;
use qshare::{
    code::{Code, Secret},
    crypto::Opener,
    net::{RecvHalf, RelayConnection, SendHalf, StreamError},
    relay::RelayConfig,
    transfer::{
        handshake::{Established, Initiator},
        session::{RECORD, RecordBuilder, SessionError, SessionReader},
    },
    wire::{
        Frame, Message,
        peer::{
            Credit, Done, DoneAck, DownloadOutcome, Failure, FailureReason, FileEnd, FileRequest, FileStart,
            INITIAL_CREDIT, StagedGroups,
        },
        relay::{ConnectReply, ConnectRequest},
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    hostile::{
        evil::bytes_of,
        stage::{Sender, Stage, noise, within},
    },
    hostile_sender::Relay,
};

const NAME: &str = "shared/400kB.bin";

/// A relay, and a sender that shares a folder with one file.
struct Scene {
    stage: Stage,
    relay: Relay,
    sender: Sender,
    content: Vec<u8>,
}

/// A session of a receiver that does as it likes.
struct Crook {
    session: Established,
    _line: RelayConnection,
}

impl Scene {
    async fn new(options: &[&str]) -> Self {
        let (stage, relay) = (Stage::new(), Relay::start(RelayConfig::default()));
        let content = noise(77, 400_000);
        let path: PathBuf = stage.file("400kB.bin", &content).parent().unwrap().into();
        let sender = stage.sender(relay.addr(), &[&path], options).await;
        Self { stage, relay, sender, content }
    }

    fn code(&self) -> Code {
        Code::parse(self.sender.code()).unwrap()
    }

    async fn crook(&self) -> Crook {
        let (line, stream) = self.connect(&self.code()).await;
        let session = stream.finish().await.unwrap_or_else(|e| panic!("no session: {e}"));
        Crook { session, _line: line }
    }

    /// Flight 1 is on its way.
    async fn connect(&self, code: &Code) -> (RelayConnection, AcceptedDownload) {
        let line = self.relay.connect().await;
        let (mut send, mut recv) = line.connection.open_stream().await.unwrap();
        let initiator = Initiator::new(code).unwrap();
        let request = bytes_of(&ConnectRequest { slot: code.slot(), token: None, pass: None });
        send.write(request.into()).await.unwrap();
        send.write(initiator.hello().clone()).await.unwrap();
        recv.read_frame(4096).await.unwrap().frame().decode::<ConnectReply>().unwrap();
        (line, AcceptedDownload { initiator, send, recv })
    }

    async fn assert_alive(&mut self) {
        let run = self.stage.recv(self.relay.addr(), self.sender.code()).await;
        assert_eq!(run.exit, Some(0), "{}{}", run.stdout, run.stderr);
        assert!(std::fs::read(run.target.join(NAME)).unwrap() == self.content);
        self.sender.event("download_finished").await;
    }
}

struct AcceptedDownload {
    initiator: Initiator,
    send: SendHalf,
    recv: RecvHalf,
}

impl AcceptedDownload {
    async fn finish(self) -> qshare::error::Result<Established> {
        within("flight 2", self.initiator.finish(self.send, self.recv)).await
    }
}

/// What came before the end of a session.
#[derive(Default)]
struct Heard {
    bytes: u64,
    failure: Option<Failure>,
    acknowledged: bool,
}

impl Crook {
    async fn say<M: Message>(&mut self, message: &M) {
        let _ = self.session.out.send(RecordBuilder::of(message).unwrap()).await;
    }

    /// Everything that the sender says, to the end.
    async fn hear(self) -> Result<Heard, SessionError> {
        let Self { session: Established { out: _out, incoming, opener, .. }, _line } = self;
        hear(incoming, opener).await
    }

    /// Reads until the first content has come.
    async fn hear_content(&mut self) {
        loop {
            let record = self.session.incoming.opened(&mut self.session.opener).await.unwrap().unwrap();
            if Frame::split(&mut &record[..]).unwrap().kind == FileStart::TYPE {
                return;
            }
        }
    }
}

async fn hear(mut incoming: SessionReader, mut opener: Opener) -> Result<Heard, SessionError> {
    let mut heard = Heard::default();
    while let Some(record) = within("a record", incoming.opened(&mut opener)).await? {
        heard.bytes = incoming.received();
        let mut rest = &record[..];
        while !rest.is_empty() {
            let frame = Frame::split(&mut rest).unwrap();
            match frame.kind {
                Failure::TYPE => heard.failure = Some(frame.decode().unwrap()),
                DoneAck::TYPE => heard.acknowledged = true,
                _ => {}
            }
        }
    }
    Ok(heard)
}

fn wanted(wanted: &[(u32, u32)]) -> FileRequest {
    FileRequest { wanted: wanted.to_vec() }
}

fn done(outcome: DownloadOutcome) -> Done {
    Done { outcome, message: String::new() }
}

/// A frame of a type that this version does not have.
#[derive(Serialize, Deserialize)]
struct Unknown<const TYPE: u8>(u32);

impl<const TYPE: u8> Message for Unknown<TYPE> {
    const TYPE: u8 = TYPE;
}

/// A request made of anything.
#[derive(Serialize, Deserialize)]
struct Garbage(Vec<u8>);

impl Message for Garbage {
    const TYPE: u8 = FileRequest::TYPE;
}

/// The share has two entries: the folder and the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_for_what_is_not_there_are_refused() {
    let mut scene = Scene::new(&[]).await;
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
        refused(&mut scene, &request).await;
    }
    scene.assert_alive().await;
}

/// Says `what` in flight 4, for which the sender must end the session.
async fn refused<M: Message + std::fmt::Debug>(scene: &mut Scene, what: &M) {
    let mut crook = scene.crook().await;
    crook.say(what).await;
    let heard = crook.hear().await.unwrap();
    let failure = heard.failure.unwrap_or_else(|| panic!("{what:?} passes"));
    assert_eq!(failure.reason, FailureReason::Protocol, "{what:?}");
    assert!(!heard.acknowledged && heard.bytes < 10_000, "{what:?}: {} bytes came", heard.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_what_is_not_there_are_refused() {
    let mut scene = Scene::new(&[]).await;
    let groups = |count| vec![[1; 32]; count];
    for (entry, groups) in [(0, groups(1)), (1, groups(0)), (1, groups(1000)), (2, groups(1)), (u32::MAX, groups(1))] {
        refused(&mut scene, &StagedGroups { entry, groups }).await;
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_out_of_turn_ends_the_session() {
    type Fill = fn(&mut RecordBuilder);
    let mut scene = Scene::new(&[]).await;
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
        ("a frame that nobody knows", |r| r.push(&Unknown::<0x6f>(1)).unwrap()),
        ("credit that falls", |r| r.push(&Credit { limit: 1, received: 0 }).unwrap()),
        ("credit for what was not sent", |r| r.push(&Credit { limit: 1 << 30, received: 1 << 29 }).unwrap()),
        ("content", |r| {
            r.push_data(3, |b| Ok::<_, ()>(b.len())).unwrap();
        }),
    ];
    for (what, fill) in records {
        let mut crook = scene.crook().await;
        let mut record = RecordBuilder::new();
        fill(&mut record);
        crook.session.out.send(record).await.unwrap();
        let heard = crook.hear().await.unwrap();
        let failure = heard.failure.unwrap_or_else(|| panic!("{what} passes"));
        assert_eq!(failure.reason, FailureReason::Protocol, "{what}");
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credit_that_falls_or_lies_in_the_middle_ends_the_download() {
    let mut scene = Scene::new(&[]).await;
    for credit in [
        Credit { limit: 0, received: 0 },
        Credit { limit: INITIAL_CREDIT - 1, received: 100 },
        Credit { limit: u64::MAX, received: u64::MAX },
        Credit { limit: INITIAL_CREDIT, received: INITIAL_CREDIT + 1 },
    ] {
        let mut crook = scene.crook().await;
        crook.say(&wanted(&[(1, 2)])).await;
        crook.hear_content().await;
        crook.say(&credit).await;
        let heard = crook.hear().await.unwrap();
        assert_eq!(heard.failure.unwrap().reason, FailureReason::Protocol, "{credit:?}");
        let failed = scene.sender.event("download_failed").await;
        assert_eq!(failed["kind"], "transfer", "{credit:?}: {failed}");
    }
    scene.assert_alive().await;
}

/// Without credit the sender sends what fits into the first window, and stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credit_no_content() {
    let mut scene = Scene::new(&[]).await;
    let mut crook = scene.crook().await;
    crook.say(&wanted(&[(0, 2)])).await;
    crook.hear_content().await;
    let Crook { session: Established { out, mut incoming, mut opener, .. }, _line } = crook;
    while incoming.received() + RECORD as u64 <= INITIAL_CREDIT {
        within("the rest of the window", incoming.opened(&mut opener)).await.unwrap().unwrap();
    }
    assert!(incoming.received() <= INITIAL_CREDIT);
    tokio::select! {
        _ = incoming.opened(&mut opener) => panic!("more than the window came"),
        () = scene.assert_alive() => {} // a whole download beside it
    }
    out.end(RecordBuilder::of(&done(DownloadOutcome::Failed)).unwrap()).unwrap().delivered().await;
    let ended = within("the end", incoming.opened(&mut opener)).await.err();
    assert!(matches!(ended, Some(SessionError::Line(StreamError::Aborted(_)))), "{ended:?}");
    scene.sender.event("download_failed").await;
    scene.assert_alive().await;
}

/// All credit there is at once: it is the receiver's own memory. The sender sends, and counts right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credit_without_end_is_only_as_much_as_there_is() {
    let mut scene = Scene::new(&[]).await;
    let mut crook = scene.crook().await;
    crook.say(&Credit { limit: u64::MAX, received: 0 }).await;
    crook.say(&Unknown::<0xef>(1)).await;
    crook.say(&wanted(&[(0, 2)])).await;
    let last = async {
        let session = &mut crook.session;
        while session.incoming.received() < 400_000 {
            session.incoming.opened(&mut session.opener).await.unwrap().unwrap();
        }
    };
    within("the content", last).await;
    let Crook { session: Established { out, incoming, opener, .. }, _line } = crook;
    out.end(RecordBuilder::of(&done(DownloadOutcome::Ok)).unwrap()).unwrap().delivered().await;
    let heard = hear(incoming, opener).await.unwrap();
    assert!(heard.acknowledged);
    let finished = scene.sender.event("download_finished").await;
    assert_eq!(finished["bytes"], 400_000);
    scene.assert_alive().await;
}

/// A confirmed receiver that never asks holds nobody up, and takes no place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_confirms_and_never_requests_takes_no_place() {
    let mut scene = Scene::new(&["--max-downloads", "2"]).await;
    let mut idle = Vec::new();
    for _ in 0..30 {
        idle.push(scene.crook().await);
    }
    scene.assert_alive().await;
    scene.assert_alive().await;
    // The share is over for those who have not accepted, too.
    for crook in idle {
        assert_eq!(crook.hear().await.unwrap().failure.unwrap().reason, FailureReason::ShareEnded);
    }
    scene.sender.event("stopped").await;
    assert_eq!(scene.sender.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_handshake_does_not_hold_up_the_end_of_a_share() {
    let mut scene = Scene::new(&["--once"]).await;
    let (_silent, _stream) = scene.connect(&scene.code()).await; // flight 2 came and is not answered
    let line = scene.relay.connect().await;
    let (mut send, mut recv) = line.connection.open_stream().await.unwrap();
    send.write(bytes_of(&ConnectRequest { slot: scene.code().slot(), token: None, pass: None }).into()).await.unwrap();
    recv.read_frame(4096).await.unwrap().frame().decode::<ConnectReply>().unwrap();
    scene.assert_alive().await;
    let over = Instant::now();
    assert_eq!(scene.sender.ended().await, Some(0));
    assert!(over.elapsed() < Duration::from_secs(8), "{:?}", over.elapsed());
}

/// Those who took a place and vanish give it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_vanishes_gives_its_place_back() {
    let mut scene = Scene::new(&["--once"]).await;
    for goodbye in 0..3 {
        let mut crook = scene.crook().await;
        crook.say(&wanted(&[(0, 2)])).await;
        crook.hear_content().await;
        let mut second = scene.crook().await;
        second.say(&wanted(&[(0, 2)])).await;
        assert_eq!(second.hear().await.unwrap().failure.unwrap().reason, FailureReason::DownloadLimitReached);
        let Crook { session: Established { mut out, incoming, .. }, _line } = crook;
        match goodbye {
            0 => _line.connection.close(),
            1 => drop(out),
            _ => {
                drop(incoming); // asks the sender to stop
                let _ = out.send(RecordBuilder::of(&Credit { limit: 1 << 30, received: 0 }).unwrap()).await;
            }
        }
        scene.sender.event("download_failed").await;
    }
    scene.assert_alive().await;
    assert_eq!(scene.sender.ended().await, Some(0));
}

/// Sixteen streams of one connection, and four connections: whoever speaks no protocol costs no guess and no place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_that_say_nothing_or_nonsense_do_not_matter() {
    let mut scene = Scene::new(&[]).await;
    let code = scene.code();
    let (mut open, mut lines) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let line = scene.relay.connect().await;
        for n in 0..16 {
            let (mut send, mut recv) = line.connection.open_stream().await.unwrap();
            let request = bytes_of(&ConnectRequest { slot: code.slot(), token: None, pass: None });
            send.write(request.into()).await.unwrap();
            recv.read_frame(4096).await.unwrap().frame().decode::<ConnectReply>().unwrap();
            match n % 4 {
                0 => {}
                1 => send.write(Bytes::from_static(&[0x31])).await.unwrap(),
                2 => send.write(noise(n, 300).into()).await.unwrap(),
                _ => send.finish(),
            }
            open.push((send, recv));
        }
        lines.push(line);
        scene.assert_alive().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_codes_are_told_to_the_sender_and_stop_at_the_budget() {
    let mut scene = Scene::new(&[]).await;
    let right = scene.code();
    let mut answered = 0;
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let wrong = Code::new(right.slot(), Secret::random(5).unwrap());
        let (line, begun) = scene.connect(&wrong).await;
        guesses.spawn(async move {
            let ended = begun.finish().await.err().unwrap();
            drop(line);
            ended.kind()
        });
    }
    while let Some(kind) = guesses.join_next().await {
        match kind.unwrap() {
            qshare::error::Kind::WrongCode => answered += 1,
            kind => assert_eq!(kind, qshare::error::Kind::Refused),
        }
    }
    assert_eq!(answered, 5);
    let mut left = Vec::new();
    for _ in 0..5 {
        left.push(scene.sender.event("wrong_code").await["guesses_left"].as_u64().unwrap());
    }
    assert_eq!(left.last(), Some(&0));
    let run = scene.stage.recv(scene.relay.addr(), scene.sender.code()).await;
    run.assert_failed(7, "the budget is spent");
    assert!(run.last()["hint"].as_str().unwrap().contains("minute"), "{}", run.last());
}
