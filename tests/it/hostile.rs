//! A hostile relay between a real sender and a real receiver.
//!
//! A receiver may fail, with a code that says what happened: 4 where it saw that something was changed, 5 where it saw
//! a cut. It never ends with 0 and a wrong file, never leaves anything behind, and the sender serves the next one.

pub(crate) mod evil;
pub(crate) mod stage;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use qshare::{
    code::Slot,
    wire::relay::{ConnectReply, RegisterReply, RejectReason, RelayLimits},
};

use self::{
    evil::{Answer, Evil, Plan, RECORDS, Step, Tamper, Then, Way, bytes_of, honest, pass},
    stage::{Sender, Stage, noise},
};

const NAME: &str = "400kB.bin";

/// The records of the sender: the manifest, the content in four, its goodbye.
const MANIFEST: usize = RECORDS;
const FIRST: usize = MANIFEST + 1;
const MIDDLE: usize = MANIFEST + 2;
const TAIL: usize = MANIFEST + 4;
const GOODBYE: usize = MANIFEST + 5;

/// The records of the receiver: the request, then credit; its last one is [`is_last`].
const REQUEST: usize = RECORDS;
const CREDIT: usize = RECORDS + 1;

/// A relay, a sender that shares one file, and what is in it.
struct Scene {
    stage: Stage,
    evil: Evil,
    sender: Sender,
    content: Vec<u8>,
}

impl Scene {
    async fn new(seed: u64) -> Self {
        let (stage, evil) = (Stage::new(), Evil::start());
        let content = noise(seed, 400_000);
        let path = stage.file(NAME, &content);
        let sender = stage.sender(evil.addr(), &[&path], &[]).await;
        Self { stage, evil, sender, content }
    }

    async fn download(&self, plan: Plan) -> stage::Run {
        self.evil.plan(plan);
        self.stage.recv(self.evil.addr(), self.sender.code()).await
    }

    /// The sender has survived whatever was before.
    async fn assert_alive(&mut self) {
        let run = self.download(Plan::tamper(honest())).await;
        run.assert_saved(NAME, &self.content, "an honest download afterwards");
        self.sender.event("download_finished").await;
    }
}

/// Does something to one unit of one direction.
fn at(way: Way, number: usize, what: impl Fn(Vec<u8>) -> Step + Send + Sync + 'static) -> Tamper {
    Arc::new(move |w, n, bytes| if (w, n) == (way, number) { what(bytes) } else { pass(bytes) })
}

fn flip(way: Way, number: usize, byte: impl Fn(usize) -> usize + Send + Sync + 'static, bit: u8) -> Tamper {
    at(way, number, move |mut bytes| {
        let byte = byte(bytes.len());
        bytes[byte] ^= 1 << bit;
        Step(bytes, Then::GoOn)
    })
}

/// Makes the announced length of a record shorter.
fn shorten(way: Way, number: usize) -> Tamper {
    at(way, number, |mut bytes| {
        let byte = (1..4).rev().find(|i| bytes[*i] != 0).unwrap();
        bytes[byte] &= bytes[byte] - 1;
        Step(bytes, Then::GoOn)
    })
}

fn cut(way: Way, number: usize, half: bool, then: Then) -> Tamper {
    at(way, number, move |mut bytes| {
        if half {
            bytes.truncate(bytes.len() / 2);
        }
        Step(bytes, then)
    })
}

/// Holds back a unit until the next one is through.
fn swap(way: Way, number: usize) -> Tamper {
    let held = Mutex::new(Vec::new());
    Arc::new(move |w, n, bytes| {
        let mut held = held.lock().unwrap();
        match (w == way, n) {
            (true, n) if n == number => {
                *held = bytes;
                Step(Vec::new(), Then::GoOn)
            }
            (true, n) if n == number + 1 => Step([bytes, std::mem::take(&mut *held)].concat(), Then::GoOn),
            _ => pass(bytes),
        }
    })
}

/// The units of one direction as they passed.
type Tape = Arc<Mutex<Vec<Vec<u8>>>>;

fn record(way: Way) -> (Tape, Tamper) {
    let tape = Tape::default();
    let recording = tape.clone();
    let tamper: Tamper = Arc::new(move |w, _, bytes| {
        if w == way {
            recording.lock().unwrap().push(bytes.clone());
        }
        pass(bytes)
    });
    (tape, tamper)
}

/// Puts the units of another download in the place of these.
fn splice(way: Way, tape: &Tape, numbers: std::ops::Range<usize>) -> Tamper {
    let tape = tape.lock().unwrap().clone();
    Arc::new(move |w, n, bytes| {
        if w == way && numbers.contains(&n) { pass(tape.get(n).cloned().unwrap_or_default()) } else { pass(bytes) }
    })
}

/// Whether a unit claims to be the last record of its direction.
fn is_last(number: usize, unit: &[u8]) -> bool {
    number >= RECORDS && unit.first() == Some(&1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_bit_on_the_way_to_the_receiver_is_seen() {
    let mut scene = Scene::new(1).await;
    let way = Way::ToReceiver;
    for unit in [MANIFEST, FIRST, TAIL] {
        for (what, tamper) in [
            ("a type that no record has", flip(way, unit, |_| 0, 1)),
            ("a type that claims to be the last", flip(way, unit, |_| 0, 0)),
            ("a length beyond all records", flip(way, unit, |_| 1, 7)),
            ("a shorter length", shorten(way, unit)),
            ("the first byte of the ciphertext", flip(way, unit, |_| 4, 0)),
            ("the middle of the ciphertext", flip(way, unit, |length| length / 2, 3)),
            ("the tag", flip(way, unit, |length| length - 1, 7)),
        ] {
            let run = scene.download(Plan::tamper(tamper)).await;
            run.assert_failed(4, &format!("unit {unit}: {what}"));
        }
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_dropped_repeated_swapped_or_made_up_are_seen() {
    let mut scene = Scene::new(2).await;
    let way = Way::ToReceiver;
    let forged = |unit| {
        at(way, unit, |bytes| {
            let forgery = [&[0, 0, 0, 100][..], &noise(9, 116)].concat();
            Step([bytes, forgery].concat(), Then::GoOn)
        })
    };
    let reflected = Mutex::new(Vec::new());
    let reflect: Tamper = Arc::new(move |w, n, bytes| match (w, n) {
        (Way::ToSender, REQUEST) => {
            *reflected.lock().unwrap() = bytes.clone();
            pass(bytes)
        }
        (Way::ToReceiver, FIRST) => pass(reflected.lock().unwrap().clone()),
        _ => pass(bytes),
    });
    for (what, tamper) in [
        ("dropped", at(way, MIDDLE, |_| Step(Vec::new(), Then::GoOn))),
        ("the manifest twice", at(way, MANIFEST, |b| Step(b.repeat(2), Then::GoOn))),
        ("content twice", at(way, FIRST, |b| Step(b.repeat(2), Then::GoOn))),
        ("swapped", swap(way, MIDDLE)),
        ("a record made up after the manifest", forged(MANIFEST)),
        ("a record made up after content", forged(FIRST)),
        ("the receiver's own record", reflect),
    ] {
        let run = scene.download(Plan::tamper(tamper)).await;
        run.assert_failed(4, what);
    }
    // Whether the second copy is still looked at is a matter of time.
    let run = scene.download(Plan::tamper(at(way, TAIL, |b| Step(b.repeat(2), Then::GoOn)))).await;
    match run.exit {
        Some(0) => run.assert_saved(NAME, &scene.content, "the last content twice"),
        _ => run.assert_failed(4, "the last content twice"),
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_a_cut_however_it_looks() {
    let mut scene = Scene::new(3).await;
    let way = Way::ToReceiver;
    for unit in [MANIFEST, FIRST, MIDDLE] {
        for half in [true, false] {
            for then in [Then::Finish, Then::Reset] {
                let run = scene.download(Plan::tamper(cut(way, unit, half, then))).await;
                run.assert_failed(5, &format!("unit {unit}, in the middle: {half}, {then:?}"));
            }
        }
    }
    let run = scene.download(Plan::tamper(cut(way, TAIL, true, Then::Finish))).await;
    run.assert_failed(5, "the middle of the last content");
    scene.assert_alive().await;
}

/// Everything has arrived and is verified: what becomes of the sender's goodbye is of no consequence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_to_the_goodbye_changes_no_file() {
    let mut scene = Scene::new(4).await;
    let way = Way::ToReceiver;
    for (what, tamper) in [
        ("changed", flip(way, GOODBYE, |length| length - 1, 0)),
        ("swallowed", at(way, GOODBYE, |_| Step(Vec::new(), Then::Finish))),
        ("reset", at(way, GOODBYE, |_| Step(Vec::new(), Then::Reset))),
        ("bytes behind it", at(way, GOODBYE, |b| Step([b, noise(1, 1_000)].concat(), Then::GoOn))),
        ("records behind it", at(way, GOODBYE, |b| Step(b.repeat(3), Then::GoOn))),
    ] {
        let run = scene.download(Plan::tamper(tamper)).await;
        run.assert_saved(NAME, &scene.content, what);
        scene.sender.event("download_finished").await;
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_on_the_way_to_the_sender_ends_that_download_only() {
    let mut scene = Scene::new(5).await;
    let way = Way::ToSender;
    let (tape, recorder) = record(way);
    scene.download(Plan::tamper(recorder)).await.assert_saved(NAME, &scene.content, "the tape");
    for (what, begun, tamper) in [
        ("the request changed", false, flip(way, REQUEST, |length| length - 1, 0)),
        ("the request of another type", false, flip(way, REQUEST, |_| 0, 1)),
        ("the request too long", false, flip(way, REQUEST, |_| 1, 7)),
        ("the request shorter", false, shorten(way, REQUEST)),
        ("the request of another download", false, splice(way, &tape, REQUEST..REQUEST + 1)),
        ("the request twice", false, at(way, REQUEST, |b| Step(b.repeat(2), Then::GoOn))),
        ("credit changed", true, flip(way, CREDIT, |_| 6, 0)),
        ("credit twice", true, at(way, CREDIT, |b| Step(b.repeat(2), Then::GoOn))),
        ("finished in the middle", true, cut(way, CREDIT, true, Then::Finish)),
        ("reset in the middle", true, cut(way, CREDIT, true, Then::Reset)),
        ("finished after the request", false, cut(way, REQUEST, false, Then::Finish)),
        ("reset in the request", false, cut(way, REQUEST, true, Then::Reset)),
    ] {
        let run = scene.download(Plan::tamper(tamper)).await;
        run.assert_failed(5, what);
        if begun {
            scene.sender.event("download_failed").await;
        }
    }
    scene.assert_alive().await;
}

/// The receiver has the file; whether the sender hears of it is up to whoever is in between. It counts only what it
/// was truly told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_counts_only_where_its_end_arrives_untouched() {
    let mut scene = Scene::new(6).await;
    let last = |what: fn(Vec<u8>) -> Step| -> Tamper {
        Arc::new(move |w, n, bytes| if w == Way::ToSender && is_last(n, &bytes) { what(bytes) } else { pass(bytes) })
    };
    for (what, tamper) in [
        ("changed", last(|mut b| (b[5] ^= 1, pass(b)).1)),
        ("swallowed", last(|_| Step(Vec::new(), Then::Finish))),
        ("cut", last(|mut b| (b.pop(), Step(b, Then::Finish)).1)),
        ("not the last any more", last(|mut b| (b[0] = 0, pass(b)).1)),
        ("twice", last(|b| Step(b.repeat(2), Then::GoOn))),
        ("reset behind it", last(|b| Step(b, Then::Reset))),
    ] {
        let run = scene.download(Plan::tamper(tamper)).await;
        run.assert_saved(NAME, &scene.content, what);
        let told = scene.sender.first_of(&["download_finished", "download_failed"]).await;
        assert_eq!(told["event"], "download_failed", "{what}: {told}");
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_another_download_of_the_same_share_do_not_fit() {
    let mut scene = Scene::new(7).await;
    let way = Way::ToReceiver;
    let (tape, recorder) = record(way);
    scene.download(Plan::tamper(recorder)).await.assert_saved(NAME, &scene.content, "the tape");
    for units in [MANIFEST..MANIFEST + 1, FIRST..FIRST + 1, MIDDLE..MIDDLE + 1, MANIFEST..99, 1..99, 0..99] {
        let run = scene.download(Plan::tamper(splice(way, &tape, units.clone()))).await;
        run.assert_failed(4, &format!("units {units:?} of another download"));
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_downloads_at_once_cannot_be_crossed() {
    let mut scene = Scene::new(8).await;
    let crossed = Tape::default();
    // The second one gets the middle record of the first.
    let cross = |tape: &Tape| -> Tamper {
        let tape = tape.clone();
        Arc::new(move |way, n, bytes| {
            if way != Way::ToReceiver || n != MIDDLE {
                return pass(bytes);
            }
            let mut tape = tape.lock().unwrap();
            tape.push(bytes);
            pass(tape[0].clone())
        })
    };
    scene.evil.plan(Plan::tamper(cross(&crossed)));
    scene.evil.plan(Plan::tamper(cross(&crossed)));
    let recv = || scene.stage.recv(scene.evil.addr(), scene.sender.code());
    let (one, other) = tokio::join!(recv(), recv());
    let (whole, crossed) = if one.exit == Some(0) { (one, other) } else { (other, one) };
    whole.assert_saved(NAME, &scene.content, "the one that got its own");
    crossed.assert_failed(4, "the one that got the other's");
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_handshake_costs_a_guess_and_nothing_more() {
    let mut scene = Scene::new(9).await;
    for (what, exit, tamper) in [
        ("the receiver's random bytes", 4, flip(Way::ToSender, 0, |_| 12, 0)),
        ("the sender's point", 4, flip(Way::ToReceiver, 0, |length| length - 1, 0)),
        ("the sender's tag", 4, flip(Way::ToReceiver, 1, |length| length - 1, 0)),
        ("the receiver's tag", 5, flip(Way::ToSender, 1, |length| length - 1, 0)),
    ] {
        let run = scene.download(Plan::tamper(tamper)).await;
        run.assert_failed(exit, what);
        let ended = Instant::now();
        scene.sender.event("wrong_code").await;
        // A receiver that gives up says so: its sender does not wait for a proof until the 10 s are over.
        assert!(ended.elapsed() < Duration::from_secs(8), "{what}: {:?}", ended.elapsed());
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_handshakes_cost_no_guess_where_none_was_made() {
    let mut scene = Scene::new(10).await;
    for round in 0..2 {
        for (what, exit, tamper) in [
            ("no hello", 4, flip(Way::ToSender, 0, |_| 0, 0)),
            ("a hello without end", 4, flip(Way::ToSender, 0, |_| 1, 0)),
            ("half a hello", 5, cut(Way::ToSender, 0, true, Then::Reset)),
            ("another version", 1, flip(Way::ToSender, 0, |_| 5, 1)),
        ] {
            let run = scene.download(Plan::tamper(tamper)).await;
            run.assert_failed(exit, &format!("{what}, round {round}"));
        }
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_senders_behind_one_slot_are_told_apart() {
    let mut scene = Scene::new(11).await;
    let other_content = noise(12, 400_000);
    let path = scene.stage.file("other.bin", &other_content);
    let mut other = scene.stage.sender(scene.evil.addr(), &[&path], &[]).await;
    let slot = |code: &str| Slot::try_from(<[u8; 4]>::try_from(&code.as_bytes()[..4]).unwrap()).unwrap();
    let plan = Plan { to: Some(slot(other.code())), ..Plan::tamper(honest()) };
    scene.download(plan).await.assert_failed(4, "the wrong sender");
    other.event("wrong_code").await;
    let run = scene.stage.recv(scene.evil.addr(), other.code()).await;
    run.assert_saved("other.bin", &other_content, "the right one");
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_relay_answers_a_receiver_ends() {
    let scene = Scene::new(13).await;
    let limits = RelayLimits { bridge_bytes: 1 };
    let registered = bytes_of(&RegisterReply { slot: Slot::from_number(1), ticket: vec![], limits });
    let connected = bytes_of(&ConnectReply { limits, pass: Vec::new() });
    for (what, exit, answer) in [
        ("another answer", 5, Answer::Raw(registered, Then::GoOn)),
        ("garbage", 5, Answer::Raw(noise(1, 500), Then::GoOn)),
        ("a length without end", 5, Answer::Raw(vec![0x12, 0xff, 0xff, 0xff, 0xff], Then::GoOn)),
        ("a body that is none", 5, Answer::Raw(vec![0x12, 0, 0, 0, 1, 0x80], Then::GoOn)),
        ("the end", 5, Answer::Raw(vec![0x12], Then::Finish)),
        ("a reset", 5, Answer::Raw(Vec::new(), Then::Reset)),
        ("connected to nobody", 4, Answer::Raw(connected.clone(), Then::Finish)),
        ("connected to garbage", 4, Answer::Raw([&connected[..], &noise(2, 500)].concat(), Then::GoOn)),
        ("no such code", 3, Answer::rejected(RejectReason::NotFound)),
        ("a token is missing", 7, Answer::rejected(RejectReason::Token)),
        ("full", 7, Answer::rejected(RejectReason::Full)),
    ] {
        let run = scene.download(Plan::answer(answer)).await;
        run.assert_failed(exit, what);
        assert!(run.took < Duration::from_secs(10), "{what}: {:?}", run.took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_never_answers_is_given_up_after_ten_seconds() {
    let (stage, evil) = (Stage::new(), Evil::start());
    let scene = Scene::new(14).await;
    evil.answer_sender(Answer::Silence);
    let path = stage.file(NAME, b"x");
    let (send, recv) = tokio::join!(stage.try_send(evil.addr(), &path), scene.download(Plan::answer(Answer::Silence)));
    for (what, run) in [("send", send), ("recv", recv)] {
        run.assert_failed(5, what);
        assert!(run.message().contains("relay"), "{what}: {}", run.message());
        assert!(run.took > Duration::from_secs(9) && run.took < Duration::from_secs(30), "{what}: {:?}", run.took);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_relay_answers_a_sender_ends() {
    let (stage, evil) = (Stage::new(), Evil::start());
    let path = stage.file(NAME, b"x");
    let connected = bytes_of(&ConnectReply { limits: RelayLimits { bridge_bytes: 1 }, pass: Vec::new() });
    for (what, exit, answer) in [
        ("another answer", 5, Answer::Raw(connected, Then::GoOn)),
        ("garbage", 5, Answer::Raw(noise(1, 500), Then::GoOn)),
        ("a length without end", 5, Answer::Raw(vec![0x11, 0xff, 0xff, 0xff, 0xff], Then::GoOn)),
        ("a slot that is none", 5, Answer::Raw(b"\x11\0\0\0\x06abcd\0\0".to_vec(), Then::GoOn)),
        ("the end", 5, Answer::Raw(Vec::new(), Then::Finish)),
        ("a reset", 5, Answer::Raw(Vec::new(), Then::Reset)),
        ("a token is missing", 7, Answer::rejected(RejectReason::Token)),
        ("full", 7, Answer::rejected(RejectReason::Full)),
    ] {
        evil.answer_sender(answer);
        let run = stage.try_send(evil.addr(), &path).await;
        run.assert_failed(exit, what);
        assert!(!run.stdout.contains("sharing"), "{what}: a code was shown");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_about_limits_change_nothing() {
    let mut scene = Scene::new(15).await;
    for bridge_bytes in [0, 1, u64::MAX] {
        let run = scene.download(Plan::answer(Answer::Limit(bridge_bytes))).await;
        run.assert_saved(NAME, &scene.content, &format!("a bridge of {bridge_bytes} bytes"));
        scene.sender.event("download_finished").await;
    }
    scene.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_dies_is_told_to_both() {
    let mut scene = Scene::new(16).await;
    let run = scene.download(Plan::tamper(cut(Way::ToReceiver, FIRST, true, Then::Die))).await;
    run.assert_failed(5, "the relay died");
    scene.sender.event("reconnecting").await;
}

/// The relay gets the slot and sealed bytes. Neither a name nor content nor the secret nor what could be worked out of
/// it with a guess.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_learns_nothing_from_all_it_is_sent() {
    let (stage, evil) = (Stage::new(), Evil::start());
    let content = "A SENTENCE THAT NOBODY ELSE MAY READ. ".repeat(10_000);
    stage.file("a-folder-with-a-name/a-name-nobody-may-know.txt", content.as_bytes());
    let folder = stage.root().join("shared/a-folder-with-a-name");
    let mut sender = stage.sender(evil.addr(), &[Path::new(&folder)], &["--name", "a title of its own"]).await;
    let run = stage.recv(evil.addr(), sender.code()).await;
    assert_eq!(run.exit, Some(0), "{}{}", run.stdout, run.stderr);
    sender.event("download_finished").await;

    let log = evil.log();
    let says = |part: &[u8]| log.windows(part.len()).any(|window| window == part);
    assert!(log.len() > content.len(), "the relay saw {} bytes only", log.len());
    assert!(says(&sender.code().as_bytes()[..4]), "not even the slot: this test looks at the wrong bytes");
    let secret = sender.secret();
    let code = sender.code().as_bytes().to_vec();
    for hidden in [
        &b"a-folder-with-a-name"[..],
        b"a-name-nobody-may-know",
        b"a title of its own",
        b"NOBODY",
        stage.root().to_str().unwrap().as_bytes(),
        &secret,
        &code,
        &code[5..],
        secret.to_ascii_lowercase().as_slice(),
        blake3::hash(&secret).as_bytes(),
        blake3::hash(&code).as_bytes(),
        blake3::hash(content.as_bytes()).as_bytes(),
        &sha256(&secret),
        &sha256(&code),
    ] {
        assert!(!says(hidden), "the relay was told {:?}", String::from_utf8_lossy(hidden));
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}
