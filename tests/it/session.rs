//! The handshake and the guess budget under attack, over streams in memory and in virtual time.
//!
//! [`meet`] runs an honest receiver and an honest sender with somebody in between who may change, cut, hold back or
//! make up any of the four frames in the clear.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use qshare::{
    code::{Code, Secret, Slot},
    crypto::{self, Cipher, Opener, PakeExchange, Password, Role, SessionKeys, Transcript},
    error::{Error, Kind},
    net::{RecvHalf, SendHalf, StreamError, duplex},
    processor::Aes,
    state::StateDir,
    transfer::{
        Clock, GuessBudget,
        handshake::guess_budget::{BURST, CONFIRM_WITHIN, REFILL},
        handshake::{Established, HandshakeFailure, Initiator, respond, respond_on},
        session::RecordBuilder,
    },
    wire::{
        Frame, HEADER, Message,
        frame::encode,
        peer::{
            AES_IS_SLOW, Alert, AlertReason, Confirm, DoneAck, Hello, HelloMode, HelloReply, PakeMessage,
            SUITE_SPAKE2_AES256GCM, SUITE_SPAKE2_CHACHA20POLY1305, SUITES, VERSION,
        },
    },
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

type Stream = (SendHalf, RecvHalf);

/// What both ends made of a meeting.
struct Outcome {
    receiver: Result<Established, Error>,
    sender: Result<Established, HandshakeFailure>,
    /// Whoever is in between goes on for as long as this lives.
    _between: JoinSet<()>,
}

/// Whoever is in between gets each frame in the clear and says what goes on instead.
type Meddler = Arc<dyn Fn(Place, Vec<u8>) -> ConflictOutcome + Send + Sync>;

/// A frame in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Hello,
    HelloReply,
    SenderTag,
    ReceiverTag,
}

const PLACES: [Place; 4] = [Place::Hello, Place::HelloReply, Place::SenderTag, Place::ReceiverTag];

enum ConflictOutcome {
    /// This goes on in its place.
    Pass(Vec<u8>),
    /// This goes on, and then the stream ends as if it were complete.
    Finish(Vec<u8>),
    /// This goes on, and then the stream is reset.
    Reset(Vec<u8>),
    /// It goes on after this time.
    Late(Vec<u8>, Duration),
}

#[derive(Default)]
struct TestClock(AtomicU64);

impl TestClock {
    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn budget() -> (GuessBudget, Arc<TestClock>) {
    let clock = Arc::new(TestClock(AtomicU64::new(1_000_000_000)));
    (GuessBudget::open(None, 5, clock.clone()).unwrap(), clock)
}

fn code() -> Code {
    Code::new(Slot::from_number(4_711), Secret::random(5).unwrap())
}

/// Another code for the same slot.
fn wrong(right: &Code) -> Code {
    loop {
        let guess = Code::new(right.slot(), Secret::random(5).unwrap());
        if guess != *right {
            return guess;
        }
    }
}

fn early() -> RecordBuilder {
    RecordBuilder::of(&DoneAck {}).unwrap()
}

async fn receive(code: &Code, stream: Stream) -> Result<Established, Error> {
    receive_on(Aes::InHardware, code, stream).await
}

async fn receive_on(aes: Aes, code: &Code, (mut send, recv): Stream) -> Result<Established, Error> {
    let initiator = Initiator::on(aes, code).unwrap();
    let _ = send.write(initiator.hello().clone()).await;
    initiator.finish(send, recv).await
}

async fn meet(of_receiver: &Code, of_sender: &Code, budget: &GuessBudget, meddler: Meddler) -> Outcome {
    meet_on([Aes::InHardware; 2], [of_receiver, of_sender], budget, meddler).await
}

/// A meeting on such processors and with such codes, the receiver's first.
async fn meet_on(aes: [Aes; 2], codes: [&Code; 2], budget: &GuessBudget, meddler: Meddler) -> Outcome {
    let ([receiver, near], [far, sender]) = (duplex(), duplex());
    let there = between(near.1, far.0, [Place::Hello, Place::ReceiverTag], meddler.clone());
    let back = between(far.1, near.0, [Place::HelloReply, Place::SenderTag], meddler);
    let mut _between = JoinSet::new();
    _between.spawn(async {
        let _ = tokio::join!(there, back);
    });
    let (receiver, sender) =
        tokio::join!(receive_on(aes[0], codes[0], receiver), respond_on(aes[1], codes[1], budget, early(), sender));
    Outcome { receiver, sender, _between }
}

/// Passes frames on, each as the meddler wants it, and then whatever follows.
async fn between(
    mut from: RecvHalf,
    mut to: SendHalf,
    places: [Place; 2],
    meddler: Meddler,
) -> Result<(), StreamError> {
    for place in places {
        let frame = match from.read_frame(4096).await {
            Ok(frame) => frame.bytes().to_vec(),
            Err(e) => return Err(ended(&mut to, e)),
        };
        let end: fn(&mut SendHalf) = match meddler(place, frame) {
            ConflictOutcome::Pass(bytes) => {
                to.write(bytes.into()).await?;
                continue;
            }
            ConflictOutcome::Late(bytes, time) => {
                sleep(time).await;
                to.write(bytes.into()).await?;
                continue;
            }
            ConflictOutcome::Finish(bytes) => {
                to.write(bytes.into()).await?;
                SendHalf::finish
            }
            ConflictOutcome::Reset(bytes) => {
                to.write(bytes.into()).await?;
                |to: &mut SendHalf| to.reset(1)
            }
        };
        end(&mut to);
        return std::future::pending().await;
    }
    loop {
        match from.read().await {
            Ok(Some(bytes)) => to.write(bytes).await?,
            Ok(None) => {
                to.finish();
                return Ok(());
            }
            Err(e) => return Err(ended(&mut to, e)),
        }
    }
}

fn ended(to: &mut SendHalf, e: StreamError) -> StreamError {
    match e {
        StreamError::Aborted(code) => to.reset(code),
        _ => to.finish(),
    }
    e
}

fn honest() -> Meddler {
    Arc::new(|_, bytes| ConflictOutcome::Pass(bytes))
}

/// Changes one frame and passes the others on.
fn at(place: Place, change: impl Fn(Vec<u8>) -> ConflictOutcome + Send + Sync + 'static) -> Meddler {
    Arc::new(move |here, bytes| if here == place { change(bytes) } else { ConflictOutcome::Pass(bytes) })
}

/// The frames of an honest meeting.
async fn recorded(code: &Code) -> Vec<(Place, Vec<u8>)> {
    let frames = Arc::new(Mutex::new(Vec::new()));
    let seen = frames.clone();
    let meddler: Meddler = Arc::new(move |place, bytes| {
        seen.lock().unwrap().push((place, bytes.clone()));
        ConflictOutcome::Pass(bytes)
    });
    let outcome = meet(code, code, &budget().0, meddler).await;
    assert!(outcome.receiver.is_ok() && outcome.sender.is_ok());
    let frames = frames.lock().unwrap().clone();
    assert_eq!(frames.len(), PLACES.len());
    frames
}

fn frame_at(frames: &[(Place, Vec<u8>)], place: Place) -> Vec<u8> {
    frames.iter().find(|(p, _)| *p == place).unwrap().1.clone()
}

/// Nobody has a session. Where only the last flight was touched, the receiver did prove the sender before it sent it.
fn assert_no_session(outcome: &Outcome, place: Place, what: &str) {
    assert!(outcome.sender.is_err(), "{place:?}: {what}: the sender has a session");
    let receiver_is_through = outcome.receiver.is_ok();
    assert_eq!(receiver_is_through, place == Place::ReceiverTag, "{place:?}: {what}: the receiver");
}

#[tokio::test(start_paused = true)]
async fn the_right_code_gives_a_session_that_carries_records() {
    let code = code();
    let (budget, _) = budget();
    let outcome = meet(&code, &code, &budget, honest()).await;
    let (mut receiver, mut sender) = (outcome.receiver.unwrap(), outcome.sender.unwrap());
    let first = receiver.incoming.opened(&mut receiver.opener).await.unwrap().unwrap();
    assert_eq!(&first[..], early().frames());
    receiver.out.send(RecordBuilder::of(&DoneAck {}).unwrap()).await.unwrap();
    sender.incoming.opened(&mut sender.opener).await.unwrap().unwrap();
    assert_eq!(budget.left(), BURST, "a guess that was right is given back");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_code_is_told_to_the_receiver_and_charged_at_the_sender() {
    let code = code();
    let (budget, _) = budget();
    for lost in 1..=BURST {
        let outcome = meet(&wrong(&code), &code, &budget, honest()).await;
        assert_eq!(outcome.receiver.err().unwrap().kind(), Kind::WrongCode);
        assert_eq!(outcome.sender.err().unwrap(), HandshakeFailure::Unproved);
        assert_eq!(budget.left(), BURST - lost);
    }
    let outcome = meet(&code, &code, &budget, honest()).await;
    let refused = outcome.receiver.err().unwrap();
    assert_eq!(refused.kind(), Kind::Refused);
    assert!(refused.hint_text().unwrap().contains("10 minutes"), "{refused:?}");
    assert_eq!(outcome.sender.err().unwrap(), HandshakeFailure::Broken);
}

#[tokio::test(start_paused = true)]
async fn a_code_is_good_for_its_slot_only() {
    let code = code();
    let elsewhere = Code::new(Slot::from_number(1), code.secret().clone());
    let outcome = meet(&elsewhere, &code, &budget().0, honest()).await;
    assert_no_session(&outcome, Place::Hello, "another slot");
}

#[tokio::test(start_paused = true)]
async fn every_flipped_bit_of_every_flight_ends_it() {
    let code = code();
    for (place, frame) in recorded(&code).await {
        for bit in 0..frame.len() * 8 {
            let meddler = at(place, move |mut bytes| {
                bytes[bit / 8] ^= 1 << (bit % 8);
                ConflictOutcome::Pass(bytes)
            });
            let (budget, _) = budget();
            let outcome = meet(&code, &code, &budget, meddler).await;
            assert_no_session(&outcome, place, &format!("bit {bit}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_flight_cut_at_any_byte_ends_it() {
    let code = code();
    for (place, frame) in recorded(&code).await {
        for length in 0..frame.len() {
            for reset in [false, true] {
                let meddler = at(place, move |mut bytes| {
                    bytes.truncate(length);
                    if reset { ConflictOutcome::Reset(bytes) } else { ConflictOutcome::Finish(bytes) }
                });
                let outcome = meet(&code, &code, &budget().0, meddler).await;
                assert_no_session(&outcome, place, &format!("cut at {length}, reset: {reset}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_inserted_byte_ends_it() {
    let code = code();
    for (place, frame) in recorded(&code).await {
        for position in [0, HEADER, frame.len() / 2] {
            let meddler = at(place, move |mut bytes| {
                bytes.insert(position, 0);
                ConflictOutcome::Pass(bytes)
            });
            let outcome = meet(&code, &code, &budget().0, meddler).await;
            assert_no_session(&outcome, place, &format!("a byte at {position}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_a_message_in_its_frame_end_it() {
    let code = code();
    for place in [Place::Hello, Place::HelloReply] {
        let meddler = at(place, |mut bytes| {
            bytes.push(0);
            bytes[4] += 1; // both ends skip what a later version may have appended, but both must see the same
            ConflictOutcome::Pass(bytes)
        });
        let outcome = meet(&code, &code, &budget().0, meddler).await;
        assert_no_session(&outcome, place, "an appended field");
    }
}

#[tokio::test(start_paused = true)]
async fn reflected_flights_are_refused() {
    let code = code();
    let hello = Arc::new(Mutex::new(Vec::new()));
    for as_reply in [false, true] {
        let kept = hello.clone();
        let meddler: Meddler = Arc::new(move |place, bytes| {
            match place {
                Place::Hello => *kept.lock().unwrap() = bytes.clone(),
                Place::HelloReply => return ConflictOutcome::Pass(reflected(&kept.lock().unwrap(), as_reply)),
                Place::SenderTag | Place::ReceiverTag => {}
            }
            ConflictOutcome::Pass(bytes)
        });
        let outcome = meet(&code, &code, &budget().0, meddler).await;
        assert_no_session(&outcome, Place::HelloReply, "the receiver's own flight");
        assert_eq!(outcome.receiver.err().unwrap().kind(), Kind::WrongCode);
    }
}

/// The receiver's own flight 1, as it is or dressed up as a reply.
fn reflected(hello: &[u8], as_reply: bool) -> Vec<u8> {
    if !as_reply {
        return hello.to_vec();
    }
    let hello: Hello = Frame::split(&mut &hello[..]).unwrap().decode().unwrap();
    let Hello { version, suites, capabilities, random, mut exchanges, .. } = hello;
    bytes_of(&HelloReply { version, suites, capabilities, random, exchange: exchanges.remove(0) })
}

fn bytes_of<M: Message>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn the_senders_own_tag_does_not_prove_the_receiver() {
    let code = code();
    let tag = Arc::new(Mutex::new(Vec::new()));
    let kept = tag.clone();
    let meddler: Meddler = Arc::new(move |place, bytes| match place {
        Place::SenderTag => {
            *kept.lock().unwrap() = bytes.clone();
            ConflictOutcome::Pass(bytes)
        }
        Place::ReceiverTag => ConflictOutcome::Pass(kept.lock().unwrap().clone()),
        Place::Hello | Place::HelloReply => ConflictOutcome::Pass(bytes),
    });
    let outcome = meet(&code, &code, &budget().0, meddler).await;
    assert_no_session(&outcome, Place::ReceiverTag, "the sender's tag");
}

#[tokio::test(start_paused = true)]
async fn replayed_flights_are_worthless() {
    let code = code();
    let before = recorded(&code).await;
    for place in PLACES {
        let old = frame_at(&before, place);
        let outcome = meet(&code, &code, &budget().0, at(place, move |_| ConflictOutcome::Pass(old.clone()))).await;
        assert_no_session(&outcome, place, "a replay");
    }
    let both = Arc::new(before.clone());
    let (budget, _) = budget();
    let whole_side: Meddler = Arc::new(move |place, bytes| match place {
        Place::HelloReply | Place::SenderTag => ConflictOutcome::Pass(frame_at(&both, place)),
        Place::Hello | Place::ReceiverTag => ConflictOutcome::Pass(bytes),
    });
    assert_no_session(&meet(&code, &code, &budget, whole_side).await, Place::HelloReply, "an old sender");
    let [mut robot, sender] = duplex();
    robot.0.write(frame_at(&before, Place::Hello).into()).await.unwrap();
    robot.0.write(frame_at(&before, Place::ReceiverTag).into()).await.unwrap();
    let left = budget.left();
    let refused = respond(&code, &budget, early(), sender.0, sender.1).await.err();
    assert_eq!(refused, Some(HandshakeFailure::Unproved), "an old receiver");
    assert_eq!(budget.left(), left - 1, "a replay is a guess");
}

#[tokio::test(start_paused = true)]
async fn two_of_a_kind_have_no_session() {
    let code = code();
    let [a, b] = duplex();
    let (one, other) = tokio::join!(receive(&code, a), receive(&code, b));
    for end in [one, other] {
        assert_eq!(end.err().unwrap().kind(), Kind::WrongCode);
    }
    let (budget, _) = budget();
    let [a, b] = duplex();
    let (one, other) =
        tokio::join!(respond(&code, &budget, early(), a.0, a.1), respond(&code, &budget, early(), b.0, b.1));
    assert_eq!((one.err(), other.err()), (Some(HandshakeFailure::Broken), Some(HandshakeFailure::Broken)));
    assert_eq!(budget.left(), BURST, "nobody guessed");
}

#[tokio::test(start_paused = true)]
async fn lists_of_suites_and_versions_cannot_be_changed_on_the_way() {
    let code = code();
    type Change<M> = fn(&mut M);
    let hellos: [Change<Hello>; 11] = [
        |m| m.suites = vec![2, 1],
        |m| m.suites = vec![1, 1],
        |m| m.suites = vec![1],
        |m| m.suites = vec![2],
        |m| m.suites.clear(),
        |m| m.version = 0,
        |m| m.version = VERSION + 1,
        |m| m.capabilities = 1 << 1,
        |m| m.exchanges.clear(),
        |m| m.exchanges.reverse(),
        |m| m.exchanges.insert(0, PakeMessage { suite: 0, message: vec![] }),
    ];
    for (n, change) in hellos.into_iter().enumerate() {
        let outcome =
            meet(&code, &code, &budget().0, at(Place::Hello, move |b| ConflictOutcome::Pass(edited(&b, change)))).await;
        assert_no_session(&outcome, Place::Hello, &format!("change {n}"));
    }
    let replies: [Change<HelloReply>; 8] = [
        |m| m.suites = vec![2, 1],
        |m| m.suites = vec![1],
        |m| m.suites.clear(),
        |m| m.exchange.suite = 2,
        |m| (m.suites, m.exchange.suite) = (vec![0], 0),
        |m| m.version = 0,
        |m| m.version = VERSION + 1,
        |m| m.capabilities = 1 << 1,
    ];
    for (n, change) in replies.into_iter().enumerate() {
        let outcome =
            meet(&code, &code, &budget().0, at(Place::HelloReply, move |b| ConflictOutcome::Pass(edited(&b, change))))
                .await;
        assert_no_session(&outcome, Place::HelloReply, &format!("change {n}"));
    }
}

fn edited<M: Message>(frame: &[u8], change: fn(&mut M)) -> Vec<u8> {
    let mut message: M = Frame::split(&mut &frame[..]).unwrap().decode().unwrap();
    change(&mut message);
    bytes_of(&message)
}

const PROCESSORS: [[Aes; 2]; 4] = [
    [Aes::InHardware, Aes::InHardware],
    [Aes::InSoftware, Aes::InHardware],
    [Aes::InHardware, Aes::InSoftware],
    [Aes::InSoftware, Aes::InSoftware],
];

fn expected_suite(processors: [Aes; 2]) -> u16 {
    if processors == [Aes::InHardware; 2] { SUITE_SPAKE2_AES256GCM } else { SUITE_SPAKE2_CHACHA20POLY1305 }
}

#[tokio::test(start_paused = true)]
async fn the_cipher_is_aes_where_both_processors_have_it_and_chacha20_elsewhere() {
    let code = code();
    for processors in PROCESSORS {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let chosen = seen.clone();
        let look: Meddler = Arc::new(move |place, bytes| {
            if place == Place::HelloReply {
                let reply: HelloReply = Frame::split(&mut &bytes[..]).unwrap().decode().unwrap();
                assert_eq!(reply.suites, SUITES, "all are announced, whatever the processor");
                chosen.lock().unwrap().push(reply.exchange.suite);
            }
            ConflictOutcome::Pass(bytes)
        });
        let outcome = meet_on(processors, [&code; 2], &budget().0, look).await;
        let (mut receiver, mut sender) = (outcome.receiver.unwrap(), outcome.sender.unwrap());
        assert_eq!(*seen.lock().unwrap(), [expected_suite(processors)], "{processors:?}");
        let first = receiver.incoming.opened(&mut receiver.opener).await.unwrap().unwrap();
        assert_eq!(&first[..], early().frames());
        receiver.out.send(RecordBuilder::of(&DoneAck {}).unwrap()).await.unwrap();
        sender.incoming.opened(&mut sender.opener).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_in_between_chooses_the_cipher() {
    fn in_hello(change: fn(&mut Hello)) -> Meddler {
        at(Place::Hello, move |bytes| ConflictOutcome::Pass(edited(&bytes, change)))
    }
    fn in_reply(change: fn(&mut HelloReply)) -> Meddler {
        at(Place::HelloReply, move |bytes| ConflictOutcome::Pass(edited(&bytes, change)))
    }
    fn other(suite: u16) -> u16 {
        SUITE_SPAKE2_AES256GCM + SUITE_SPAKE2_CHACHA20POLY1305 - suite
    }
    let code = code();
    let meddlers: [(&str, Place, Meddler); 8] = [
        ("the receiver's bit", Place::Hello, in_hello(|m| m.capabilities ^= AES_IS_SLOW)),
        ("no ChaCha20 at the receiver", Place::Hello, in_hello(|m| m.suites = vec![SUITE_SPAKE2_AES256GCM])),
        ("no AES at the receiver", Place::Hello, in_hello(|m| m.suites = vec![SUITE_SPAKE2_CHACHA20POLY1305])),
        ("the sender's bit", Place::HelloReply, in_reply(|m| m.capabilities ^= AES_IS_SLOW)),
        ("the choice", Place::HelloReply, in_reply(|m| m.exchange.suite = other(m.exchange.suite))),
        (
            "the sender's bit and the choice",
            Place::HelloReply,
            in_reply(|m| {
                m.capabilities ^= AES_IS_SLOW;
                m.exchange.suite = other(m.exchange.suite);
            }),
        ),
        (
            "the sender's list and the choice",
            Place::HelloReply,
            in_reply(|m| {
                m.exchange.suite = other(m.exchange.suite);
                m.suites = vec![m.exchange.suite];
            }),
        ),
        (
            "both bits",
            Place::Hello,
            Arc::new(|place, bytes| {
                ConflictOutcome::Pass(match place {
                    Place::Hello => edited::<Hello>(&bytes, |m| m.capabilities ^= AES_IS_SLOW),
                    Place::HelloReply => edited::<HelloReply>(&bytes, |m| m.capabilities ^= AES_IS_SLOW),
                    Place::SenderTag | Place::ReceiverTag => bytes,
                })
            }),
        ),
    ];
    for processors in PROCESSORS {
        for (what, place, meddler) in &meddlers {
            let outcome = meet_on(processors, [&code; 2], &budget().0, meddler.clone()).await;
            assert_no_session(&outcome, *place, &format!("{what}, {processors:?}"));
            assert_eq!(outcome.receiver.err().unwrap().kind(), Kind::WrongCode, "{what}, {processors:?}");
        }
    }
}

/// A sender that has the code and takes the worse suite all the same.
#[tokio::test(start_paused = true)]
async fn a_sender_that_chooses_the_worse_cipher_is_refused() {
    let code = code();
    for (aes, worse) in [(Aes::InHardware, SUITE_SPAKE2_CHACHA20POLY1305), (Aes::InSoftware, SUITE_SPAKE2_AES256GCM)] {
        let [near, mut far] = duplex();
        let sender = async {
            let hello = far.1.read_frame(4096).await.unwrap();
            let first: Hello = hello.frame().decode().unwrap();
            let (exchange, message) = PakeExchange::start(
                Role::Sender,
                &Password::from(code.secret()),
                code.slot(),
                crypto::ExchangeMode::Code,
            );
            let key = exchange.finish(&first.exchanges[0].message).unwrap();
            let exchange = PakeMessage { suite: worse, message };
            let reply =
                HelloReply { version: VERSION, suites: SUITES.to_vec(), capabilities: 0, random: [7; 16], exchange };
            let mut bytes = bytes_of(&reply);
            let transcript = Transcript::new(code.slot(), crypto::ExchangeMode::Code, hello.bytes(), &bytes);
            let cipher = if worse == SUITE_SPAKE2_AES256GCM { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 };
            let keys = SessionKeys::derive(&key, transcript, cipher);
            encode(&Confirm { tag: keys.sender_tag() }, &mut bytes).unwrap();
            far.0.write(bytes.into()).await.unwrap();
            far
        };
        let (receiver, _far) = tokio::join!(receive_on(aes, &code, near), sender);
        assert_eq!(receiver.err().unwrap().kind(), Kind::WrongCode, "{aes:?}");
    }
}

/// A receiver of another version, made by hand. Proves itself, and gives the sender's choice and the cipher that opened
/// its first record.
async fn foreign_receiver(
    code: &Code,
    change: fn(&mut Hello),
    (mut send, mut recv): Stream,
) -> Result<(u16, Cipher), Alert> {
    let (exchange, message) =
        PakeExchange::start(Role::Receiver, &Password::from(code.secret()), code.slot(), crypto::ExchangeMode::Code);
    let mut hello = Hello {
        version: VERSION,
        suites: SUITES.to_vec(),
        capabilities: 0,
        random: [7; 16],
        mode: HelloMode::Code,
        exchanges: SUITES.map(|suite| PakeMessage { suite, message: message.clone() }).to_vec(),
    };
    change(&mut hello);
    let hello = bytes_of(&hello);
    send.write(hello.clone().into()).await.unwrap();
    let answer = recv.read_frame(4096).await.unwrap();
    let Ok(reply) = answer.frame().decode::<HelloReply>() else { return Err(answer.frame().decode().unwrap()) };
    let key = exchange.finish(&reply.exchange.message).unwrap();
    let keys = |cipher| {
        let transcript = Transcript::new(code.slot(), crypto::ExchangeMode::Code, &hello, answer.bytes());
        SessionKeys::derive(&key, transcript, cipher)
    };
    let confirm: Confirm = recv.read_frame(4096).await.unwrap().frame().decode().unwrap();
    keys(Cipher::Aes256Gcm).verify(Role::Sender, &confirm.tag).unwrap();
    let opener = |cipher| -> Opener { keys(cipher).into_records(Role::Receiver).1 };
    let tag = keys(Cipher::Aes256Gcm).receiver_tag();
    send.write(bytes_of(&Confirm { tag }).into()).await.unwrap();
    let record = recv.read().await.unwrap().unwrap();
    let opens = |cipher: &Cipher| opener(*cipher).open(&mut record.to_vec()).is_ok();
    let ciphers: Vec<Cipher> = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305].into_iter().filter(opens).collect();
    assert_eq!(ciphers.len(), 1, "{ciphers:?} open the first record");
    Ok((reply.exchange.suite, ciphers[0]))
}

#[tokio::test(start_paused = true)]
async fn a_newer_receiver_is_served_with_what_both_have_and_a_strange_one_is_told() {
    let code = code();
    type Change = fn(&mut Hello);
    type Served = Result<(u16, Cipher), AlertReason>;
    const AES: Served = Ok((SUITE_SPAKE2_AES256GCM, Cipher::Aes256Gcm));
    const CHACHA20: Served = Ok((SUITE_SPAKE2_CHACHA20POLY1305, Cipher::ChaCha20Poly1305));
    let cases: [(Change, Served); 11] = [
        (|_| {}, AES),
        (|h| h.capabilities = AES_IS_SLOW, CHACHA20),
        (|h| h.capabilities = !AES_IS_SLOW, AES),
        (|h| h.suites = vec![900, SUITE_SPAKE2_CHACHA20POLY1305], CHACHA20),
        (|h| (h.suites, h.capabilities) = (vec![900, SUITE_SPAKE2_AES256GCM], u64::MAX), AES),
        (|h| h.exchanges.insert(0, PakeMessage { suite: 900, message: vec![1; 900] }), AES),
        (|h| h.version = VERSION + 1, Err(AlertReason::Version)),
        (|h| h.suites = vec![900], Err(AlertReason::Suite)),
        (|h| h.exchanges[0].message[0] = b'B', Err(AlertReason::Malformed)),
        (|h| drop(h.exchanges.remove(0)), Err(AlertReason::Malformed)),
        (|h| (h.capabilities, _) = (AES_IS_SLOW, h.exchanges.pop()), Err(AlertReason::Malformed)),
    ];
    for (n, (change, expected)) in cases.into_iter().enumerate() {
        let (budget, _) = budget();
        let [near, far] = duplex();
        let sender = respond_on(Aes::InHardware, &code, &budget, early(), far);
        let (receiver, sender) = tokio::join!(foreign_receiver(&code, change, near), sender);
        assert_eq!(receiver.map_err(|alert| alert.reason), expected, "case {n}");
        assert_eq!(sender.is_ok(), expected.is_ok(), "case {n}");
        assert_eq!(budget.left(), BURST, "case {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_first_flights_cost_nothing() {
    let code = code();
    let hello = frame_at(&recorded(&code).await, Place::Hello);
    let point = |point: [u8; 33]| {
        let mut message: Hello = Frame::split(&mut &hello[..]).unwrap().decode().unwrap();
        message.exchanges[0].message = point.to_vec();
        bytes_of(&message)
    };
    let identity: [u8; 33] = std::array::from_fn(|i| [b'A', 1].get(i).copied().unwrap_or(0));
    let low_order: [u8; 33] = std::array::from_fn(|i| if i == 0 { b'A' } else { 0 });
    for flight in [
        vec![0x31, 0, 0, 0, 0],
        vec![0x31, 0xff, 0xff, 0xff, 0xff],
        vec![0x32, 0, 0, 0, 1, 1],
        vec![0x31, 0, 0, 0, 3, 0xff, 0xff, 0xff],
        vec![0xff; 5],
        point(identity),
        point(low_order),
        point([0xff; 33]),
        bytes_of(&DoneAck {}),
    ] {
        let (budget, _) = budget();
        let [mut near, far] = duplex();
        near.0.write(Bytes::from(flight.clone())).await.unwrap();
        let refused = respond(&code, &budget, early(), far.0, far.1).await.err();
        assert_eq!(refused, Some(HandshakeFailure::Broken), "{flight:x?}");
        let alert: Alert = near.1.read_frame(4096).await.unwrap().frame().decode().unwrap();
        assert_eq!(alert.reason, AlertReason::Malformed, "{flight:x?}");
        assert_eq!(budget.left(), BURST);
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_says_nothing_costs_time_and_no_guess() {
    let (code, (budget, _)) = (code(), budget());
    let [_near, far] = duplex();
    let responding = timeout(Duration::from_secs(11), respond(&code, &budget, early(), far.0, far.1));
    assert_eq!(responding.await.unwrap().err(), Some(HandshakeFailure::Broken));
    assert_eq!(budget.left(), BURST);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_says_nothing_is_given_up() {
    let code = code();
    let [near, _far] = duplex();
    let silent = timeout(Duration::from_secs(46), receive(&code, near)).await.unwrap();
    assert_eq!(silent.err().unwrap().kind(), Kind::Network);
}

/// A robot that takes flight 2 and never proves anything. It keeps its stream open for `time`.
async fn guess_and_leave(
    code: Code,
    budget: GuessBudget,
    flights: Arc<AtomicUsize>,
    time: Duration,
) -> HandshakeFailure {
    let [mut near, far] = duplex();
    let robot = async {
        let initiator = Initiator::new(&wrong(&code)).unwrap();
        near.0.write(initiator.hello().clone()).await.unwrap();
        if let Ok(frame) = near.1.read_frame(4096).await
            && frame.frame().kind == HelloReply::TYPE
        {
            flights.fetch_add(1, Ordering::Relaxed);
        }
        sleep(time).await;
        drop(near);
    };
    tokio::join!(respond(&code, &budget, early(), far.0, far.1), robot).0.err().unwrap()
}

#[tokio::test(start_paused = true)]
async fn stopping_after_flight_2_is_charged() {
    let (code, (budget, _)) = (code(), budget());
    let flights = Arc::new(AtomicUsize::new(0));
    for (n, time) in [Duration::ZERO, CONFIRM_WITHIN * 2].into_iter().enumerate() {
        let ended = guess_and_leave(code.clone(), budget.clone(), flights.clone(), time).await;
        assert_eq!(ended, HandshakeFailure::Unproved);
        assert_eq!(budget.left(), BURST - 1 - n as u32);
    }
    assert_eq!(flights.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn parallel_guesses_never_get_more_answers_than_the_budget_has() {
    for time in [Duration::ZERO, Duration::from_secs(1), CONFIRM_WITHIN * 4] {
        let (code, (budget, clock)) = (code(), budget());
        let flights = Arc::new(AtomicUsize::new(0));
        let mut answered = 0;
        for (passed, expected) in [(Duration::ZERO, BURST), (REFILL, 1), (REFILL / 2, 0), (REFILL / 2 + REFILL, 2)] {
            clock.pass(passed);
            let mut robots = JoinSet::new();
            for _ in 0..60 {
                robots.spawn(guess_and_leave(code.clone(), budget.clone(), flights.clone(), time));
            }
            while robots.join_next().await.is_some() {}
            answered += expected as usize;
            assert_eq!(flights.load(Ordering::Relaxed), answered, "after {passed:?}, robots that stay {time:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_honest_receivers_at_once_all_get_through() {
    let (code, (budget, _)) = (code(), budget());
    let mut meetings = JoinSet::new();
    for n in 0..20 {
        let (code, budget) = (code.clone(), budget.clone());
        meetings.spawn(async move {
            let slow = Duration::from_millis(100 * n);
            let outcome =
                meet(&code, &code, &budget, at(Place::ReceiverTag, move |b| ConflictOutcome::Late(b, slow))).await;
            outcome.receiver.is_ok() && outcome.sender.is_ok()
        });
    }
    while let Some(met) = meetings.join_next().await {
        assert!(met.unwrap());
    }
    assert_eq!(budget.left(), BURST);
}

#[tokio::test(start_paused = true)]
async fn honest_receivers_wait_for_robots_and_are_served_while_one_guess_is_left() {
    let (code, (budget, _)) = (code(), budget());
    let flights = Arc::new(AtomicUsize::new(0));
    let mut robots = JoinSet::new();
    for _ in 0..BURST - 1 {
        robots.spawn(guess_and_leave(code.clone(), budget.clone(), flights.clone(), CONFIRM_WITHIN * 2));
    }
    while budget.left() > 1 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        let outcome = meet(&code, &code, &budget, honest()).await;
        assert!(outcome.receiver.is_ok() && outcome.sender.is_ok());
    }
    while robots.join_next().await.is_some() {}
    assert_eq!(budget.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_proof_is_no_proof() {
    let (code, (budget, _)) = (code(), budget());
    let late = at(Place::ReceiverTag, |b| ConflictOutcome::Late(b, CONFIRM_WITHIN + Duration::from_millis(1)));
    let outcome = meet(&code, &code, &budget, late).await;
    assert_no_session(&outcome, Place::ReceiverTag, "too late");
    assert_eq!(budget.left(), BURST - 1);
    let in_time = at(Place::ReceiverTag, |b| ConflictOutcome::Late(b, CONFIRM_WITHIN - Duration::from_secs(1)));
    let outcome = meet(&code, &code, &budget, in_time).await;
    assert!(outcome.sender.is_ok());
    assert_eq!(budget.left(), BURST - 1);
}

#[tokio::test(start_paused = true)]
async fn guesses_are_counted_over_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let (code, clock) = (code(), Arc::new(TestClock(AtomicU64::new(5))));
    let file = || Some((StateDir::open(home.path()).unwrap(), "guesses".to_owned()));
    let flights = Arc::new(AtomicUsize::new(0));
    for restart in 0..4 {
        let budget = GuessBudget::open(file(), 5, clock.clone()).unwrap();
        let answered = flights.load(Ordering::Relaxed);
        let mut robots = JoinSet::new();
        for _ in 0..2 {
            robots.spawn(guess_and_leave(code.clone(), budget.clone(), flights.clone(), CONFIRM_WITHIN * 4));
        }
        let expected = [2, 4, 5, 5][restart];
        while flights.load(Ordering::Relaxed) < expected {
            sleep(Duration::from_millis(1)).await;
        }
        if expected == answered {
            while robots.join_next().await.is_some() {} // nothing is left: they are refused
        }
        robots.abort_all(); // the process is killed while they are out
        assert_eq!(flights.load(Ordering::Relaxed), expected, "restart {restart}");
    }
    clock.pass(REFILL);
    assert_eq!(GuessBudget::open(file(), 5, clock.clone()).unwrap().left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_cannot_be_written_answers_nobody() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let place = Some((StateDir::open(&state).unwrap(), "guesses".to_owned()));
    let budget = GuessBudget::open(place, 5, Arc::new(TestClock::default())).unwrap();
    std::fs::remove_dir_all(&state).unwrap();
    let code = code();
    let flights = Arc::new(AtomicUsize::new(0));
    let ended = guess_and_leave(code, budget, flights.clone(), Duration::ZERO).await;
    assert!(matches!(ended, HandshakeFailure::Disk(_)), "{ended:?}");
    assert_eq!(flights.load(Ordering::Relaxed), 0, "flight 2 left before the guess was on the disk");
}

#[tokio::test(start_paused = true)]
async fn a_short_code_is_given_up_after_150_lost_guesses() {
    let (code, (budget, clock)) = (code(), budget());
    let flights = Arc::new(AtomicUsize::new(0));
    for _ in 0..150 {
        clock.pass(REFILL);
        guess_and_leave(code.clone(), budget.clone(), flights.clone(), Duration::ZERO).await;
    }
    clock.pass(REFILL);
    let ended = guess_and_leave(code.clone(), budget.clone(), flights.clone(), Duration::ZERO).await;
    assert_eq!(ended, HandshakeFailure::Retired);
    assert_eq!(flights.load(Ordering::Relaxed), 150);
    assert!(budget.is_retired());
}

/// No alert in the clear makes a receiver do anything but give up, whatever it says.
#[tokio::test(start_paused = true)]
async fn alerts_are_hints_and_no_more() {
    let code = code();
    for (reason, kind) in [
        (AlertReason::Version, Kind::Transfer),
        (AlertReason::Suite, Kind::Transfer),
        (AlertReason::GuessBudgetSpent, Kind::Refused),
        (AlertReason::Busy, Kind::Refused),
        (AlertReason::Malformed, Kind::WrongCode),
    ] {
        for retry_after in [0, 1, u32::MAX] {
            let alert = bytes_of(&Alert { reason, retry_after });
            let outcome =
                meet(&code, &code, &budget().0, at(Place::HelloReply, move |_| ConflictOutcome::Finish(alert.clone())))
                    .await;
            assert_eq!(outcome.receiver.err().unwrap().kind(), kind);
        }
    }
    let alert = bytes_of(&Alert { reason: AlertReason::Busy, retry_after: 0 });
    let outcome =
        meet(&code, &code, &budget().0, at(Place::SenderTag, move |_| ConflictOutcome::Pass(alert.clone()))).await;
    assert_no_session(&outcome, Place::SenderTag, "an alert for a tag");
}

#[tokio::test(start_paused = true)]
async fn many_streams_of_nothing_do_not_keep_an_honest_receiver_out() {
    let (code, (budget, _)) = (code(), budget());
    let open = Arc::new(Semaphore::new(0));
    let mut silent = JoinSet::new();
    for _ in 0..200 {
        let (code, budget, open) = (code.clone(), budget.clone(), open.clone());
        silent.spawn(async move {
            let [near, far] = duplex();
            open.add_permits(1);
            let ended = respond(&code, &budget, early(), far.0, far.1).await.err();
            drop(near);
            ended
        });
    }
    let _all = open.acquire_many(200).await.unwrap();
    let outcome = meet(&code, &code, &budget, honest()).await;
    assert!(outcome.receiver.is_ok() && outcome.sender.is_ok());
    while let Some(ended) = silent.join_next().await {
        assert_eq!(ended.unwrap(), Some(HandshakeFailure::Broken));
    }
}
