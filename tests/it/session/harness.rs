//! A handshake between an honest receiver and an honest sender, with an attacker in between.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use qshare::internals::{
    code::{Code, Secret, Slot},
    error::Error,
    net::{RecvHalf, SendHalf, StreamError, duplex},
    processor::Aes,
    transfer::{
        GuessBudget,
        handshake::{Credential, Established, HandshakeFailure, Initiator, InitiatorOptions, Responder},
        session::RecordBuilder,
    },
    wire::{Frame, Message, peer::DoneAck, relay::SourceTag},
};
use tokio::{task::JoinSet, time::sleep};

use super::manual_clock::ManualClock;
use crate::support::bytes_of;

pub(super) type HandshakeStream = (SendHalf, RecvHalf);

/// The results of a handshake at both ends.
pub(super) struct HandshakeOutcomes {
    pub(super) receiver: Result<Established, Error>,
    pub(super) sender: Result<Established, HandshakeFailure>,
    /// Forwards the streams as long as this lives.
    _forwarding: JoinSet<()>,
}

/// An attacker between the two ends: it gets each frame in the clear and decides what to forward instead.
pub(super) type Attacker = Arc<dyn Fn(ClearFrame, Vec<u8>) -> Tampering + Send + Sync>;

/// A frame of the handshake, which is in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClearFrame {
    Hello,
    HelloReply,
    SenderTag,
    ReceiverTag,
}

pub(super) const CLEAR_FRAMES: [ClearFrame; 4] =
    [ClearFrame::Hello, ClearFrame::HelloReply, ClearFrame::SenderTag, ClearFrame::ReceiverTag];

/// What the attacker forwards in place of a frame.
pub(super) enum Tampering {
    /// Forwards these bytes.
    Forward(Vec<u8>),
    /// Forwards these bytes, then finishes the stream.
    ForwardThenFinish(Vec<u8>),
    /// Forwards these bytes, then resets the stream.
    ForwardThenReset(Vec<u8>),
    /// Forwards these bytes after this time.
    Delay(Vec<u8>, Duration),
}

pub(super) fn new_budget() -> (GuessBudget, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at_ms(1_000_000_000));
    (GuessBudget::load(None, 5, clock.clone()).unwrap(), clock)
}

/// Returns the tag of a network that no other receiver of this test connects from.
pub(super) fn any_source() -> SourceTag {
    static LAST: AtomicU64 = AtomicU64::new(0);
    SourceTag::alone(LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes())
}

pub(super) fn new_code() -> Code {
    Code::new(Slot::from_number(4_711), Secret::random(5).unwrap())
}

/// Returns another code for the same slot.
pub(super) fn wrong_code(right: &Code) -> Code {
    loop {
        let guess = Code::new(right.slot(), Secret::random(5).unwrap());
        if guess != *right {
            return guess;
        }
    }
}

/// Returns the record that the sender sends with flight 2.
pub(super) fn first_record() -> RecordBuilder {
    RecordBuilder::from_message(&DoneAck {}).unwrap()
}

/// Runs the receiver's side of a handshake.
pub(super) async fn initiate(code: &Code, stream: HandshakeStream) -> Result<Established, Error> {
    initiate_on(Aes::InHardware, code, stream).await
}

/// Runs the receiver's side of a handshake on a processor with or without AES.
pub(super) async fn initiate_on(
    aes: Aes,
    code: &Code,
    (mut send, recv): HandshakeStream,
) -> Result<Established, Error> {
    let initiator =
        Initiator::new(Credential::Code(code), InitiatorOptions { aes, ..InitiatorOptions::default() }).unwrap();
    let _ = send.write(initiator.flight_1().clone()).await; // a failure shows in `finish` too
    Ok(initiator.complete(send, recv).await?)
}

/// Runs a handshake between a receiver and a sender, each with its own code.
pub(super) async fn run_handshake(
    receivers_code: &Code,
    senders_code: &Code,
    budget: &GuessBudget,
    attacker: Attacker,
) -> HandshakeOutcomes {
    run_handshake_on([Aes::InHardware; 2], [receivers_code, senders_code], budget, attacker).await
}

/// Runs a handshake with these processors and codes, the receiver's first.
pub(super) async fn run_handshake_on(
    aes: [Aes; 2],
    codes: [&Code; 2],
    budget: &GuessBudget,
    attacker: Attacker,
) -> HandshakeOutcomes {
    let ([receiver, near], [far, sender]) = (duplex(), duplex());
    let to_sender = forward(near.1, far.0, [ClearFrame::Hello, ClearFrame::ReceiverTag], attacker.clone());
    let to_receiver = forward(far.1, near.0, [ClearFrame::HelloReply, ClearFrame::SenderTag], attacker);
    let mut _forwarding = JoinSet::new();
    _forwarding.spawn(async {
        let _ = tokio::join!(to_sender, to_receiver); // the streams of a failed handshake break
    });
    let (receiver, sender) = tokio::join!(
        initiate_on(aes[0], codes[0], receiver),
        Responder::new(codes[1], budget, any_source()).with_aes(aes[1]).accept(first_record(), sender)
    );
    HandshakeOutcomes { receiver, sender, _forwarding }
}

/// Forwards the frames of one direction as the attacker decides, and then all other bytes unchanged.
async fn forward(
    mut from: RecvHalf,
    mut to: SendHalf,
    frames: [ClearFrame; 2],
    attacker: Attacker,
) -> Result<(), StreamError> {
    for frame in frames {
        let bytes = match from.read_frame(4096).await {
            Ok(frame) => frame.bytes().to_vec(),
            Err(e) => return Err(propagate_end(&mut to, e)),
        };
        let end: fn(&mut SendHalf) = match attacker(frame, bytes) {
            Tampering::Forward(bytes) => {
                to.write(bytes.into()).await?;
                continue;
            }
            Tampering::Delay(bytes, time) => {
                sleep(time).await;
                to.write(bytes.into()).await?;
                continue;
            }
            Tampering::ForwardThenFinish(bytes) => {
                to.write(bytes.into()).await?;
                SendHalf::finish
            }
            Tampering::ForwardThenReset(bytes) => {
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
            Err(e) => return Err(propagate_end(&mut to, e)),
        }
    }
}

/// Ends the outgoing stream in the way in which the incoming one ended.
fn propagate_end(to: &mut SendHalf, e: StreamError) -> StreamError {
    match e {
        StreamError::Aborted(code) => to.reset(code),
        _ => to.finish(),
    }
    e
}

/// Returns an attacker that forwards everything unchanged.
pub(super) fn passive() -> Attacker {
    Arc::new(|_, bytes| Tampering::Forward(bytes))
}

/// Returns an attacker that tampers with one frame.
pub(super) fn tamper_with(
    target: ClearFrame,
    tamper: impl Fn(Vec<u8>) -> Tampering + Send + Sync + 'static,
) -> Attacker {
    Arc::new(move |frame, bytes| if frame == target { tamper(bytes) } else { Tampering::Forward(bytes) })
}

/// Returns an attacker that replaces one frame.
pub(super) fn replace(target: ClearFrame, replacement: Vec<u8>) -> Attacker {
    tamper_with(target, move |_| Tampering::Forward(replacement.clone()))
}

/// Returns the frames of an honest handshake.
pub(super) async fn record_frames(code: &Code) -> Vec<(ClearFrame, Vec<u8>)> {
    let frames = Arc::new(Mutex::new(Vec::new()));
    let recording = frames.clone();
    let attacker: Attacker = Arc::new(move |frame, bytes| {
        recording.lock().unwrap().push((frame, bytes.clone()));
        Tampering::Forward(bytes)
    });
    let outcomes = run_handshake(code, code, &new_budget().0, attacker).await;
    assert!(outcomes.receiver.is_ok() && outcomes.sender.is_ok());
    let frames = frames.lock().unwrap().clone();
    assert_eq!(frames.len(), CLEAR_FRAMES.len());
    frames
}

/// Returns the bytes of one of the recorded frames.
pub(super) fn find_frame(frames: &[(ClearFrame, Vec<u8>)], wanted: ClearFrame) -> Vec<u8> {
    frames.iter().find(|(frame, _)| *frame == wanted).unwrap().1.clone()
}

/// Checks that the sender has no session, and neither has the receiver. The exception is an attack on the last frame:
/// the receiver has verified the sender before it sends that frame.
#[track_caller]
pub(super) fn assert_no_session(outcomes: &HandshakeOutcomes, attacked: ClearFrame, what: &str) {
    assert!(outcomes.sender.is_err(), "{attacked:?}: {what}: the sender has a session");
    let receiver_has_session = attacked == ClearFrame::ReceiverTag;
    assert_eq!(outcomes.receiver.is_ok(), receiver_has_session, "{attacked:?}: {what}: the receiver has a session");
}

/// Changes the message of a frame.
pub(super) fn edit<M: Message>(frame: &[u8], change: fn(&mut M)) -> Vec<u8> {
    let mut message: M = Frame::split(&mut &frame[..]).unwrap().decode().unwrap();
    change(&mut message);
    bytes_of(&message)
}
