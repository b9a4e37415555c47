use std::sync::atomic::{AtomicU64, Ordering};

use tokio::{task::JoinHandle, time::Instant};

use super::*;
use crate::{
    code::{Code, Secret, Slot},
    crypto::Opener,
    event::StopReason,
    manifest::ShareId,
    net::{StreamError, duplex},
    transfer::{
        Clock, Events, GuessBudget, ShareSettings, Source, SystemClock,
        handshake::{Established, Initiator},
        sender::download::STUCK,
        session::SessionWriter,
    },
    wire::{
        Frame, frame,
        peer::{
            Alert, AttachReply, Credit, Done, DoneAck, DownloadOutcome, Failure, FailureReason, FileRequest,
            INITIAL_CREDIT, MAX_EARLY_MANIFEST,
        },
    },
};

/// A share of so many empty files with long names.
fn share_of(files: usize, home: &std::path::Path) -> Arc<Share> {
    for n in 0..files {
        std::fs::write(home.join(format!("{n:0>150}")), "").unwrap();
    }
    let paths = vec![home.to_owned()];
    let source = Source::scan(&paths, None, ShareId::random()).unwrap();
    let code = Code::new(Slot::from_number(1), Secret::random(5).unwrap());
    let budget = GuessBudget::open(None, 5, Arc::new(SystemClock)).unwrap();
    Share::new(ShareSettings { paths, ..ShareSettings::default() }, source, code, budget, Events::channel().0)
}

/// A stream whose first words are these, and the task that answers it.
async fn knock(share: &Arc<Share>, number: u64, hello: &[u8]) -> ((SendHalf, RecvHalf), JoinHandle<()>) {
    let [(mut send, recv), far] = duplex();
    let answering = tokio::spawn(open(Arc::clone(share), number, far));
    let mut bytes = Vec::new();
    frame::encode(&IncomingDownload {}, &mut bytes).unwrap();
    bytes.extend_from_slice(hello);
    send.write(bytes.into()).await.unwrap();
    ((send, recv), answering)
}

/// A receiver whose session is proved, and the task that serves it.
async fn receiver_of(share: &Arc<Share>, number: u64) -> (Established, JoinHandle<()>) {
    let initiator = Initiator::new(&share.code().0).unwrap();
    let ((send, recv), serving) = knock(share, number, initiator.hello()).await;
    (initiator.finish(send, recv).await.unwrap(), serving)
}

/// Ends a session that only looked, and gives the kind of the last frame that the sender says.
async fn last_word(
    out: SessionWriter,
    mut incoming: crate::transfer::session::SessionReader,
    mut opener: Opener,
) -> u8 {
    let done = Done { outcome: DownloadOutcome::Listed, message: String::new() };
    let mut leaving = out.end(RecordBuilder::of(&done).unwrap()).unwrap();
    leaving.delivered().await;
    let mut last = 0;
    while let Some(record) = incoming.opened(&mut opener).await.unwrap() {
        last = Frame::split(&mut &record[..]).unwrap().kind;
    }
    last
}

/// A manifest of more than one record is acknowledged as soon as its first record is there: together with flight 3,
/// where the line makes them arrive at once. Which of the two directions the sender looks at first is chance, so that
/// one try does not show much.
#[tokio::test]
async fn credit_may_come_together_with_the_confirmation() {
    let home = tempfile::tempdir().unwrap();
    let share = share_of(700, home.path());
    for number in 0..40 {
        let (session, serving) = receiver_of(&share, number).await;
        let Established { mut out, mut incoming, mut opener, .. } = session;
        incoming.opened(&mut opener).await.unwrap().unwrap();
        assert!(incoming.received() > MAX_EARLY_MANIFEST as u64, "the manifest is too short for this test");
        let credit = Credit { limit: INITIAL_CREDIT * 2, received: incoming.received() };
        out.send(RecordBuilder::of(&credit).unwrap()).await.unwrap();
        assert_eq!(last_word(out, incoming, opener).await, DoneAck::TYPE, "try {number}");
        serving.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_says_that_it_has_everything_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let share = share_of(1, home.path());
    let (session, serving) = receiver_of(&share, 1).await;
    let Established { mut out, mut incoming, mut opener, .. } = session;
    out.send(RecordBuilder::of(&FileRequest { wanted: vec![(0, 2)] }).unwrap()).await.unwrap();
    let asked = Instant::now();
    let mut failures = Vec::new();
    while let Some(record) = incoming.opened(&mut opener).await.unwrap() {
        let mut rest = &record[..];
        while !rest.is_empty() {
            let frame = Frame::split(&mut rest).unwrap();
            if frame.kind == Failure::TYPE {
                failures.push(frame.decode::<Failure>().unwrap().reason);
            }
        }
    }
    assert_eq!(failures, [FailureReason::ReceiverTimeout]);
    assert!(asked.elapsed() >= STUCK);
    serving.await.unwrap();
}

/// A receiver that comes back, its session, and how it asks.
struct Returning {
    share: Arc<Share>,
    session: Established,
}

impl Returning {
    async fn new(home: &std::path::Path) -> Self {
        let share = share_of(700, home);
        let initiator = Initiator::returning(&share.code().0).unwrap();
        let ((send, recv), _) = knock(&share, 1, initiator.hello()).await;
        let mut session = initiator.finish(send, recv).await.unwrap();
        session.carrier.outlive();
        session.incoming.opened(&mut session.opener).await.unwrap().unwrap();
        Self { share, session }
    }

    /// What is asked honestly, and then changed.
    fn question(&self, number: u64, received: u64, change: impl FnOnce(&mut AttachRequest)) -> AttachRequest {
        let attaching = &self.session.attaching;
        let tag = attaching.question(number, received);
        let mut question = AttachRequest { id: attaching.id(), number, received, tag };
        change(&mut question);
        question
    }

    /// Asks over a new stream: the answer, and the stream.
    async fn ask(&self, question: &AttachRequest) -> (u8, (SendHalf, RecvHalf)) {
        let [(mut send, mut recv), far] = duplex();
        tokio::spawn(open(Arc::clone(&self.share), 2, far));
        send.send_message(&IncomingDownload {}).await.unwrap();
        send.send_message(question).await.unwrap();
        let answer = recv.read_frame(4_096).await.unwrap().frame().kind;
        (answer, (send, recv))
    }
}

#[tokio::test]
async fn only_its_receiver_goes_on_with_a_session() {
    let home = tempfile::tempdir().unwrap();
    let receiver = Returning::new(home.path()).await;
    let received = receiver.session.incoming.received();
    let ask = async |question: AttachRequest| receiver.ask(&question).await.0;
    let question = |number, received| receiver.question(number, received, |_| ());
    assert_eq!(ask(receiver.question(1, received, |q| q.tag[3] ^= 1)).await, Alert::TYPE);
    assert_eq!(ask(receiver.question(1, received, |q| q.number = 2)).await, Alert::TYPE);
    assert_eq!(ask(receiver.question(1, received, |q| q.received -= 1)).await, Alert::TYPE);
    assert_eq!(ask(receiver.question(1, received, |q| q.id[0] ^= 1)).await, Alert::TYPE);
    assert_eq!(ask(question(1, u64::MAX)).await, Alert::TYPE, "what was never sent");
    assert_eq!(ask(question(0, received)).await, Alert::TYPE, "numbers begin with 1");
    let (answer, stream) = receiver.ask(&question(5, received)).await;
    assert_eq!(answer, AttachReply::TYPE);
    for number in [1, 4, 5] {
        assert_eq!(ask(question(number, received)).await, Alert::TYPE, "{number}, played again");
    }
    // And the session goes on over the stream of the one good question.
    receiver.session.carrier.breaks(StreamError::EndedEarly);
    receiver.session.carrier.attach(stream.0, stream.1, 0, received).unwrap();
    let Established { out, incoming, opener, .. } = receiver.session;
    assert_eq!(last_word(out, incoming, opener).await, DoneAck::TYPE);
}

/// After a restart of the sender all its receivers come back at once.
#[tokio::test]
async fn many_come_back_at_once() {
    let home = tempfile::tempdir().unwrap();
    let share = share_of(3, home.path());
    let (code, key) = share.code();
    let mut streams = Vec::new();
    for number in 0..40 {
        let resumption = key.welcome(share.id().as_bytes());
        let initiator = Initiator::resuming(code.slot(), &resumption, true).unwrap();
        let ((send, recv), _) = knock(&share, number, initiator.hello()).await;
        streams.push((initiator, send, recv));
    }
    for (initiator, send, recv) in streams {
        initiator.finish(send, recv).await.unwrap();
    }
}

/// Whoever knows the slot only is nobody for whom a receiver gives way that has proved itself.
#[tokio::test(start_paused = true)]
async fn strangers_push_nobody_out() {
    let home = tempfile::tempdir().unwrap();
    let receiver = Returning::new(home.path()).await;
    let question = receiver.question(1, receiver.session.incoming.received(), |_| ());
    let (answer, stream) = receiver.ask(&question).await;
    assert_eq!(answer, AttachReply::TYPE);
    drop(stream); // its line dies
    sleep(Duration::from_secs(11)).await;
    let slot = receiver.share.code().0.slot();
    let mut streams = Vec::new();
    for number in 10..310 {
        let wrong = Code::new(slot, Secret::random(5).unwrap());
        streams.push(knock(&receiver.share, number, Initiator::new(&wrong).unwrap().hello()).await.0);
    }
    sleep(Duration::from_secs(3)).await;
    let question = receiver.question(2, receiver.session.incoming.received(), |_| ());
    assert_eq!(receiver.ask(&question).await.0, AttachReply::TYPE);
}

/// Tells whatever time it is told to be.
struct Dial(AtomicU64);

impl Clock for Dial {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The clock that a process measures with stands still while its machine sleeps, and the day goes on.
#[tokio::test(start_paused = true)]
async fn time_is_up_though_the_machine_slept() {
    let home = tempfile::tempdir().unwrap();
    let paths = vec![home.path().to_owned()];
    let source = Source::scan(&paths, None, ShareId::random()).unwrap();
    let code = Code::new(Slot::from_number(1), Secret::random(5).unwrap());
    let clock = Arc::new(Dial(AtomicU64::new(1_000)));
    let budget = GuessBudget::open(None, 5, clock.clone()).unwrap();
    let settings = ShareSettings { paths, expire: Some(Duration::from_secs(7_200)), ..ShareSettings::default() };
    let share = Share::new(settings, source, code, budget, Events::channel().0);
    let began = Instant::now();
    let sleeping = async {
        sleep(Duration::from_secs(100)).await;
        clock.0.store(8_000_000, Ordering::Relaxed);
    };
    let (ended, ()) = tokio::join!(share.end(), sleeping);
    assert_eq!(ended.unwrap(), StopReason::Expired);
    assert!(began.elapsed() < Duration::from_secs(200), "{:?}", began.elapsed());
}
