//! Handshake frames that an attacker changes, cuts, replays or reflects.

use std::sync::{Arc, Mutex};

use qshare::internals::{
    error::Kind,
    net::duplex,
    transfer::handshake::{HandshakeFailure, Responder},
    wire::{
        Frame, HEADER,
        peer::{Alert, AlertReason, Hello, HelloReply},
    },
};

use super::harness::{
    Attacker, CLEAR_FRAMES, ClearFrame, Tampering, any_source, assert_no_session, find_frame, first_record, new_budget,
    new_code, record_frames, replace, run_handshake, tamper_with,
};
use crate::support::bytes_of;

#[tokio::test(start_paused = true)]
async fn any_flipped_bit_prevents_a_session() {
    let code = new_code();
    for (frame, bytes) in record_frames(&code).await {
        for bit in 0..bytes.len() * 8 {
            let flip = tamper_with(frame, move |mut bytes| {
                bytes[bit / 8] ^= 1 << (bit % 8);
                Tampering::Forward(bytes)
            });
            let outcomes = run_handshake(&code, &code, &new_budget().0, flip).await;
            assert_no_session(&outcomes, frame, &format!("bit {bit}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_cut_at_any_byte_prevents_a_session() {
    let code = new_code();
    for (frame, bytes) in record_frames(&code).await {
        for length in 0..bytes.len() {
            for reset in [false, true] {
                let cut = tamper_with(frame, move |mut bytes| {
                    bytes.truncate(length);
                    if reset { Tampering::ForwardThenReset(bytes) } else { Tampering::ForwardThenFinish(bytes) }
                });
                let outcomes = run_handshake(&code, &code, &new_budget().0, cut).await;
                assert_no_session(&outcomes, frame, &format!("cut at {length}, reset: {reset}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_inserted_byte_prevents_a_session() {
    let code = new_code();
    for (frame, bytes) in record_frames(&code).await {
        for position in [0, HEADER, bytes.len() / 2] {
            let insert = tamper_with(frame, move |mut bytes| {
                bytes.insert(position, 0);
                Tampering::Forward(bytes)
            });
            let outcomes = run_handshake(&code, &code, &new_budget().0, insert).await;
            assert_no_session(&outcomes, frame, &format!("a byte at {position}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_appended_to_a_message_prevents_a_session() {
    let code = new_code();
    for frame in [ClearFrame::Hello, ClearFrame::HelloReply] {
        let append = tamper_with(frame, |mut bytes| {
            bytes.push(0);
            bytes[4] += 1; // both ends skip fields of a later version, but both must see the same bytes
            Tampering::Forward(bytes)
        });
        let outcomes = run_handshake(&code, &code, &new_budget().0, append).await;
        assert_no_session(&outcomes, frame, "an appended field");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_refuses_its_own_hello() {
    let code = new_code();
    let hello = Arc::new(Mutex::new(Vec::new()));
    for as_reply in [false, true] {
        let hello = hello.clone();
        let reflect: Attacker = Arc::new(move |frame, bytes| {
            match frame {
                ClearFrame::Hello => *hello.lock().unwrap() = bytes.clone(),
                ClearFrame::HelloReply => return Tampering::Forward(reflected(&hello.lock().unwrap(), as_reply)),
                ClearFrame::SenderTag | ClearFrame::ReceiverTag => {}
            }
            Tampering::Forward(bytes)
        });
        let outcomes = run_handshake(&code, &code, &new_budget().0, reflect).await;
        assert_no_session(&outcomes, ClearFrame::HelloReply, "the receiver's own flight");
        assert_eq!(outcomes.receiver.err().unwrap().kind(), Kind::WrongCode);
    }
}

/// Returns the receiver's own flight 1, either unchanged or converted to a reply.
fn reflected(hello: &[u8], as_reply: bool) -> Vec<u8> {
    if !as_reply {
        return hello.to_vec();
    }
    let hello: Hello = Frame::split(&mut &hello[..]).unwrap().decode().unwrap();
    let Hello { version, suites, capabilities, random, mut exchanges, .. } = hello;
    bytes_of(&HelloReply { version, suites, capabilities, random, exchange: exchanges.remove(0) })
}

#[tokio::test(start_paused = true)]
async fn a_sender_refuses_its_own_tag() {
    let code = new_code();
    let tag = Arc::new(Mutex::new(Vec::new()));
    let reflect: Attacker = Arc::new(move |frame, bytes| match frame {
        ClearFrame::SenderTag => {
            *tag.lock().unwrap() = bytes.clone();
            Tampering::Forward(bytes)
        }
        ClearFrame::ReceiverTag => Tampering::Forward(tag.lock().unwrap().clone()),
        ClearFrame::Hello | ClearFrame::HelloReply => Tampering::Forward(bytes),
    });
    let outcomes = run_handshake(&code, &code, &new_budget().0, reflect).await;
    assert_no_session(&outcomes, ClearFrame::ReceiverTag, "the sender's tag");
}

#[tokio::test(start_paused = true)]
async fn replayed_frames_prevent_a_session() {
    let code = new_code();
    let recorded = record_frames(&code).await;
    for frame in CLEAR_FRAMES {
        let replay = replace(frame, find_frame(&recorded, frame));
        let outcomes = run_handshake(&code, &code, &new_budget().0, replay).await;
        assert_no_session(&outcomes, frame, "a replay");
    }
    let frames = recorded.clone();
    let replay_sender: Attacker = Arc::new(move |frame, bytes| match frame {
        ClearFrame::HelloReply | ClearFrame::SenderTag => Tampering::Forward(find_frame(&frames, frame)),
        ClearFrame::Hello | ClearFrame::ReceiverTag => Tampering::Forward(bytes),
    });
    let (budget, _) = new_budget();
    let outcomes = run_handshake(&code, &code, &budget, replay_sender).await;
    assert_no_session(&outcomes, ClearFrame::HelloReply, "a replayed sender");

    let [mut replayer, sender] = duplex();
    replayer.0.write(find_frame(&recorded, ClearFrame::Hello).into()).await.unwrap();
    replayer.0.write(find_frame(&recorded, ClearFrame::ReceiverTag).into()).await.unwrap();
    let left = budget.remaining();
    let refused = Responder::new(&code, &budget, any_source()).accept(first_record(), sender).await.err();
    assert_eq!(refused, Some(HandshakeFailure::Unconfirmed), "a replayed receiver");
    assert_eq!(budget.remaining(), left - 1, "a replay costs a guess");
}

/// An alert in the clear only ends the handshake, whatever it contains.
#[tokio::test(start_paused = true)]
async fn a_forged_alert_only_ends_the_handshake() {
    let code = new_code();
    for (reason, kind) in [
        (AlertReason::Version, Kind::Transfer),
        (AlertReason::Suite, Kind::Transfer),
        (AlertReason::GuessBudgetSpent, Kind::Refused),
        (AlertReason::Busy, Kind::Refused),
        (AlertReason::Malformed, Kind::WrongCode),
    ] {
        for retry_after in [0, 1, u32::MAX] {
            let alert = bytes_of(&Alert { reason, retry_after });
            let forge = tamper_with(ClearFrame::HelloReply, move |_| Tampering::ForwardThenFinish(alert.clone()));
            let outcomes = run_handshake(&code, &code, &new_budget().0, forge).await;
            assert_eq!(outcomes.receiver.err().unwrap().kind(), kind);
        }
    }
    let alert = bytes_of(&Alert { reason: AlertReason::Busy, retry_after: 0 });
    let outcomes = run_handshake(&code, &code, &new_budget().0, replace(ClearFrame::SenderTag, alert)).await;
    assert_no_session(&outcomes, ClearFrame::SenderTag, "an alert in place of the tag");
}
