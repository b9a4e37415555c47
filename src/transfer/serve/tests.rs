use super::*;
use crate::{
    code::{Code, Secret, Slot},
    manifest::ShareId,
    net::transport::duplex,
    transfer::{Budget, Events, Settings, SystemClock, handshake::Initiator},
    wire::{
        frame,
        peer::{INITIAL_CREDIT, MAX_EARLY_MANIFEST},
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
    let budget = Budget::open(None, 5, Arc::new(SystemClock)).unwrap();
    Share::new(Settings { paths, ..Settings::default() }, source, code, budget, Events::channel().0)
}

/// A receiver whose session is proved, and the task that serves it.
async fn receiver_of(share: &Arc<Share>, number: u64) -> (Established, tokio::task::JoinHandle<()>) {
    let [(mut send, recv), far] = duplex();
    let serving = tokio::spawn(serve(Arc::clone(share), number, far));
    let initiator = Initiator::new(&share.code().0).unwrap();
    let mut bytes = Vec::new();
    frame::encode(&FromRelay {}, &mut bytes).unwrap();
    bytes.extend_from_slice(initiator.hello());
    send.write(bytes.into()).await.unwrap();
    (initiator.finish(send, recv).await.unwrap(), serving)
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
        out.send(Record::of(&credit).unwrap()).await.unwrap();
        let done = Done { outcome: Outcome::Listed, message: String::new() };
        let _half = out.send_last(Record::of(&done).unwrap()).await.unwrap();
        let mut last = 0;
        while let Some(record) = incoming.opened(&mut opener).await.unwrap() {
            last = Frame::split(&mut &record[..]).unwrap().kind;
        }
        assert_eq!(last, DoneAck::TYPE, "try {number}");
        serving.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_says_that_it_has_everything_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let share = share_of(1, home.path());
    let (session, serving) = receiver_of(&share, 1).await;
    let Established { mut out, mut incoming, mut opener, .. } = session;
    out.send(Record::of(&Request { wanted: vec![(0, 2)] }).unwrap()).await.unwrap();
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
    assert_eq!(failures, [FailureReason::Waited]);
    assert!(asked.elapsed() >= STUCK);
    serving.await.unwrap();
}
