//! Tests of the sender, from the stream that the relay opens to the end of the download, over streams in memory.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    admission::serve_stream,
    record_sender::RECEIVER_STALL_TIMEOUT,
    share::{Share, ShareSettings},
};
use crate::{
    code::{Code, Secret, Slot},
    crypto::Opener,
    disk::{ScanOptions, Source},
    event::Events,
    event::StopReason,
    manifest::ShareId,
    net::{RecvHalf, SendHalf, StreamError, duplex},
    route::Route,
    transfer::{
        handshake::{
            Credential, Established, Initiator, InitiatorOptions,
            clock::{Clock, SystemClock},
            guess_budget::GuessBudget,
            manual_clock::ManualClock,
        },
        session::{RecordBuilder, SessionReader, SessionWriter},
    },
    wire::{
        Frame, Message, frame,
        peer::{
            Alert, AttachReply, AttachRequest, Credit, Done, DoneAck, DownloadOutcome, Failure, FailureReason,
            FileRequest, FileStart, INITIAL_CREDIT, MAX_EARLY_MANIFEST, StagedFiles, StagedGroups,
        },
        relay::{IncomingDownload, SourceTag},
    },
};

/// Creates a share of `files` empty files with long names in `home`.
fn share_of(files: usize, home: &Path) -> Arc<Share> {
    for n in 0..files {
        std::fs::write(home.join(format!("{n:0>150}")), "").unwrap();
    }
    share_with(home, ShareSettings::default(), Arc::new(SystemClock))
}

fn share_with(home: &Path, settings: ShareSettings, clock: Arc<dyn Clock>) -> Arc<Share> {
    let source = Source::scan(&[home.to_owned()], None, ShareId::random(), ScanOptions::default()).unwrap();
    let code = Code::new(Slot::from_number(1), Secret::random(5).unwrap());
    let guess_budget = GuessBudget::load(None, 5, clock).unwrap();
    Share::new(settings, source, code, guess_budget, Events::channel().0)
}

/// Opens a stream from network `source` to the share and sends `hello`. Returns the stream and the task that serves it.
async fn open_stream(share: &Arc<Share>, source: u64, hello: &[u8]) -> ((SendHalf, RecvHalf), JoinHandle<()>) {
    let [(mut send, recv), far] = duplex();
    let serving = tokio::spawn(serve_stream(Arc::clone(share), far));
    let mut bytes = Vec::new();
    frame::encode(
        &IncomingDownload { source: SourceTag::alone(source.to_be_bytes()), route: Route::Relay },
        &mut bytes,
    )
    .unwrap();
    bytes.extend_from_slice(hello);
    send.write(bytes.into()).await.unwrap();
    ((send, recv), serving)
}

/// Returns the session of an authenticated receiver, and the task that serves it.
async fn establish_session(share: &Arc<Share>, source: u64) -> (Established, JoinHandle<()>) {
    let initiator = Initiator::new(Credential::Code(&share.credentials().code), InitiatorOptions::default()).unwrap();
    let ((send, recv), serving) = open_stream(share, source, initiator.flight_1()).await;
    (initiator.complete(send, recv).await.unwrap(), serving)
}

/// Ends a session that only listed the share, and returns the type of the sender's last frame.
async fn end_session(writer: SessionWriter, mut reader: SessionReader, mut opener: Opener) -> u8 {
    let done = Done { outcome: DownloadOutcome::Listed, message: String::new() };
    let mut closing = writer.close(RecordBuilder::from_message(&done).unwrap()).unwrap();
    closing.deliver().await;
    let mut last = 0;
    while let Some(record) = reader.read_record(&mut opener).await.unwrap() {
        last = Frame::split(&mut &record[..]).unwrap().kind;
    }
    last
}

/// A manifest of several records is acknowledged as soon as its first record arrives, so the acknowledgement may arrive
/// together with flight 3. The sender polls its two directions in random order, so the test repeats.
#[tokio::test]
async fn credit_may_arrive_together_with_the_confirmation() {
    let home = tempfile::tempdir().unwrap();
    let share = share_of(700, home.path());
    for number in 0..40 {
        let (session, serving) = establish_session(&share, number).await;
        let Established { mut writer, mut reader, mut opener, .. } = session;
        reader.read_record(&mut opener).await.unwrap().unwrap();
        assert!(reader.received_bytes() > MAX_EARLY_MANIFEST as u64, "the manifest is too short for this test");
        let credit = Credit { limit: INITIAL_CREDIT * 2, received: reader.received_bytes() };
        writer.send(RecordBuilder::from_message(&credit).unwrap()).await.unwrap();
        assert_eq!(end_session(writer, reader, opener).await, DoneAck::TYPE, "session {number}");
        serving.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_confirms_completion_is_abandoned() {
    let home = tempfile::tempdir().unwrap();
    let share = share_of(1, home.path());
    let (session, serving) = establish_session(&share, 1).await;
    let Established { mut writer, mut reader, mut opener, .. } = session;
    writer.send(RecordBuilder::from_message(&FileRequest { wanted: vec![(0, 2)] }).unwrap()).await.unwrap();
    let requested = Instant::now();
    let mut failures = Vec::new();
    while let Some(record) = reader.read_record(&mut opener).await.unwrap() {
        let mut rest = &record[..];
        while !rest.is_empty() {
            let frame = Frame::split(&mut rest).unwrap();
            if frame.kind == Failure::TYPE {
                failures.push(frame.decode::<Failure>().unwrap().reason);
            }
        }
    }
    assert_eq!(failures, [FailureReason::ReceiverTimeout]);
    assert!(requested.elapsed() >= RECEIVER_STALL_TIMEOUT);
    serving.await.unwrap();
}

/// The files that a sender has started, with their offsets, and the reason of its failure.
#[derive(Default)]
struct SentFiles {
    started: Vec<(u32, u64)>,
    failure: Option<FailureReason>,
}

impl SentFiles {
    /// Reads records until `is_enough`, or to the end of the session.
    async fn read(&mut self, reader: &mut SessionReader, opener: &mut Opener, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self)
            && let Some(record) = reader.read_record(opener).await.unwrap()
        {
            let mut rest = &record[..];
            while !rest.is_empty() {
                let frame = Frame::split(&mut rest).unwrap();
                match frame.kind {
                    FileStart::TYPE => {
                        let FileStart { entry, offset } = frame.decode().unwrap();
                        self.started.push((entry, offset));
                    }
                    Failure::TYPE => self.failure = Some(frame.decode::<Failure>().unwrap().reason),
                    _ => {}
                }
            }
        }
    }
}

/// Shares a folder with the files `a` and `b`. The receiver has staged all of `a` and requests both.
async fn resume_session(home: &Path) -> (Established, JoinHandle<()>) {
    std::fs::write(home.join("a"), [1; 300]).unwrap();
    std::fs::write(home.join("b"), [2; 300]).unwrap();
    let share = share_with(home, ShareSettings::default(), Arc::new(SystemClock));
    let (mut session, serving) = establish_session(&share, 1).await;
    let mut request = RecordBuilder::from_message(&StagedFiles { files: vec![(1, 300)] }).unwrap();
    request.push(&FileRequest { wanted: vec![(0, 3)] }).unwrap();
    session.writer.send(request).await.unwrap();
    (session, serving)
}

#[tokio::test(start_paused = true)]
async fn content_flows_while_the_receiver_hashes_other_files() {
    let home = tempfile::tempdir().unwrap();
    let (session, serving) = resume_session(home.path()).await;
    let Established { mut writer, mut reader, mut opener, .. } = session;
    let mut sent = SentFiles::default();
    sent.read(&mut reader, &mut opener, |sent| !sent.started.is_empty()).await;
    assert_eq!(sent.started, [(2, 0)]);
    let groups = vec![*blake3::hash(&[1; 300]).as_bytes()];
    writer.send(RecordBuilder::from_message(&StagedGroups { entry: 1, groups }).unwrap()).await.unwrap();
    sent.read(&mut reader, &mut opener, |sent| sent.started.len() == 2).await;
    assert_eq!(sent.started, [(2, 0), (1, 300)]);
    drop((writer, reader));
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_offers_its_groups_is_abandoned() {
    let home = tempfile::tempdir().unwrap();
    let (session, serving) = resume_session(home.path()).await;
    let Established { writer: _writer, mut reader, mut opener, .. } = session;
    let requested = Instant::now();
    let mut sent = SentFiles::default();
    sent.read(&mut reader, &mut opener, |_| false).await;
    assert_eq!((sent.started, sent.failure), (vec![(2, 0)], Some(FailureReason::ReceiverTimeout)));
    assert!(requested.elapsed() >= RECEIVER_STALL_TIMEOUT);
    serving.await.unwrap();
}

fn reattaching() -> InitiatorOptions {
    InitiatorOptions { can_reattach: true, ..InitiatorOptions::default() }
}

/// A receiver that can reattach, and its session.
struct ReattachingReceiver {
    share: Arc<Share>,
    session: Established,
}

impl ReattachingReceiver {
    async fn new(home: &Path) -> Self {
        let share = share_of(700, home);
        let initiator = Initiator::new(Credential::Code(&share.credentials().code), reattaching()).unwrap();
        let ((send, recv), _) = open_stream(&share, 1, initiator.flight_1()).await;
        let mut session = initiator.complete(send, recv).await.unwrap();
        session.stream.enable_reattach();
        session.reader.read_record(&mut session.opener).await.unwrap().unwrap();
        Self { share, session }
    }

    /// Creates an authentic request and then applies `change`.
    fn request(&self, number: u64, received: u64, change: impl FnOnce(&mut AttachRequest)) -> AttachRequest {
        let key = &self.session.attach_key;
        let tag = key.request_tag(number, received);
        let mut request = AttachRequest { id: key.id(), number, received, tag };
        change(&mut request);
        request
    }

    /// Sends a request over a new stream. Returns the type of the reply, and the stream.
    async fn send(&self, request: &AttachRequest) -> (u8, (SendHalf, RecvHalf)) {
        let [(mut send, mut recv), far] = duplex();
        tokio::spawn(serve_stream(Arc::clone(&self.share), far));
        send.send_message(&IncomingDownload { source: SourceTag::alone([0; 8]), route: Route::Relay }).await.unwrap();
        send.send_message(request).await.unwrap();
        let reply = recv.read_frame(4_096).await.unwrap().frame().kind;
        (reply, (send, recv))
    }
}

#[tokio::test]
async fn only_the_receiver_of_a_session_can_reattach() {
    let home = tempfile::tempdir().unwrap();
    let receiver = ReattachingReceiver::new(home.path()).await;
    let received = receiver.session.reader.received_bytes();
    let reply_to = async |request: AttachRequest| receiver.send(&request).await.0;
    let request = |number, received| receiver.request(number, received, |_| ());
    assert_eq!(reply_to(receiver.request(1, received, |r| r.tag[3] ^= 1)).await, Alert::TYPE);
    assert_eq!(reply_to(receiver.request(1, received, |r| r.number = 2)).await, Alert::TYPE);
    assert_eq!(reply_to(receiver.request(1, received, |r| r.received -= 1)).await, Alert::TYPE);
    assert_eq!(reply_to(receiver.request(1, received, |r| r.id[0] ^= 1)).await, Alert::TYPE);
    assert_eq!(reply_to(request(1, u64::MAX)).await, Alert::TYPE, "an offset that was never sent");
    assert_eq!(reply_to(request(0, received)).await, Alert::TYPE, "numbers start at 1");
    let (reply, stream) = receiver.send(&request(5, received)).await;
    assert_eq!(reply, AttachReply::TYPE);
    for number in [1, 4, 5] {
        assert_eq!(reply_to(request(number, received)).await, Alert::TYPE, "replay of request {number}");
    }
    // The session continues over the stream of the accepted request.
    receiver.session.stream.mark_broken(StreamError::EndedEarly);
    receiver.session.stream.attach(stream.0, stream.1, 0, received).unwrap();
    let Established { writer, reader, opener, .. } = receiver.session;
    assert_eq!(end_session(writer, reader, opener).await, DoneAck::TYPE);
}

/// After a restart of the sender all receivers resume at the same time.
#[tokio::test]
async fn forty_receivers_resume_at_once() {
    let home = tempfile::tempdir().unwrap();
    let share = share_of(3, home.path());
    let credentials = share.credentials();
    let mut streams = Vec::new();
    for number in 0..40 {
        let resumption = credentials.key.issue_resumption(share.id().as_bytes());
        let credential = Credential::Resumption { slot: credentials.code.slot(), resumption: &resumption };
        let initiator = Initiator::new(credential, reattaching()).unwrap();
        let ((send, recv), _) = open_stream(&share, number, initiator.flight_1()).await;
        streams.push((initiator, send, recv));
    }
    for (initiator, send, recv) in streams {
        initiator.complete(send, recv).await.unwrap();
    }
}

/// An attacker who knows only the slot must not be able to end the session of an authenticated receiver.
#[tokio::test(start_paused = true)]
async fn unauthenticated_peers_evict_no_session() {
    let home = tempfile::tempdir().unwrap();
    let receiver = ReattachingReceiver::new(home.path()).await;
    let request = receiver.request(1, receiver.session.reader.received_bytes(), |_| ());
    let (reply, stream) = receiver.send(&request).await;
    assert_eq!(reply, AttachReply::TYPE);
    drop(stream); // the receiver loses its connection
    sleep(Duration::from_secs(11)).await; // the session may be evicted after 10 s
    let slot = receiver.share.credentials().code.slot();
    let mut streams = Vec::new();
    for number in 10..310 {
        // More peers than the share admits at the same time.
        let wrong = Code::new(slot, Secret::random(5).unwrap());
        let initiator = Initiator::new(Credential::Code(&wrong), InitiatorOptions::default()).unwrap();
        let (stream, _) = open_stream(&receiver.share, number, initiator.flight_1()).await;
        streams.push(stream);
    }
    sleep(Duration::from_secs(3)).await; // longer than an evicted session may take to end
    let request = receiver.request(2, receiver.session.reader.received_bytes(), |_| ());
    assert_eq!(receiver.send(&request).await.0, AttachReply::TYPE);
}

/// The monotonic clock stops while the machine sleeps; the wall clock does not.
#[tokio::test(start_paused = true)]
async fn a_share_expires_while_the_machine_sleeps() {
    let home = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_ms(1_000));
    let settings = ShareSettings { expire: Some(Duration::from_secs(7_200)), ..ShareSettings::default() };
    let share = share_with(home.path(), settings, clock.clone());
    let start = Instant::now();
    let sleeping = async {
        sleep(Duration::from_secs(100)).await;
        clock.set_ms(8_000_000);
    };
    let (end, ()) = tokio::join!(share.wait_for_end(), sleeping);
    assert_eq!(end.into_result(0).unwrap(), StopReason::Expired);
    assert!(start.elapsed() < Duration::from_secs(200), "{:?}", start.elapsed());
}
