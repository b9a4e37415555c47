//! The choice of the cipher suite, and peers of other versions.

use std::sync::{Arc, Mutex};

use qshare::internals::{
    code::Code,
    crypto::{self, Cipher, Opener, PakeExchange, Password, PeerMessage, Role, SessionKeys, Transcript},
    error::Kind,
    net::duplex,
    processor::Aes,
    transfer::{
        handshake::{Responder, guess_budget::BURST},
        session::RecordBuilder,
    },
    wire::{
        Frame,
        frame::encode,
        peer::{
            AES_IS_SLOW, Alert, AlertReason, Confirm, DoneAck, Hello, HelloMode, HelloReply, PakeMessage,
            SUITE_SPAKE2_AES256GCM, SUITE_SPAKE2_CHACHA20POLY1305, SUITES, VERSION,
        },
    },
};

use super::harness::{
    Attacker, ClearFrame, HandshakeStream, Tampering, any_source, assert_no_session, edit, first_record, initiate_on,
    new_budget, new_code, run_handshake, run_handshake_on, tamper_with,
};
use crate::support::bytes_of;

/// Returns an attacker that changes the receiver's hello.
fn edit_hello(change: fn(&mut Hello)) -> Attacker {
    tamper_with(ClearFrame::Hello, move |bytes| Tampering::Forward(edit(&bytes, change)))
}

/// Returns an attacker that changes the sender's reply.
fn edit_reply(change: fn(&mut HelloReply)) -> Attacker {
    tamper_with(ClearFrame::HelloReply, move |bytes| Tampering::Forward(edit(&bytes, change)))
}

#[tokio::test(start_paused = true)]
async fn an_attacker_cannot_change_versions_suites_or_capabilities() {
    let code = new_code();
    let hellos: [fn(&mut Hello); 11] = [
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
        let outcomes = run_handshake(&code, &code, &new_budget().0, edit_hello(change)).await;
        assert_no_session(&outcomes, ClearFrame::Hello, &format!("change {n}"));
    }
    let replies: [fn(&mut HelloReply); 8] = [
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
        let outcomes = run_handshake(&code, &code, &new_budget().0, edit_reply(change)).await;
        assert_no_session(&outcomes, ClearFrame::HelloReply, &format!("change {n}"));
    }
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
async fn the_cipher_is_aes_if_both_processors_have_it_and_chacha20_otherwise() {
    let code = new_code();
    for processors in PROCESSORS {
        let chosen = Arc::new(Mutex::new(Vec::new()));
        let recording = chosen.clone();
        let observe: Attacker = Arc::new(move |frame, bytes| {
            if frame == ClearFrame::HelloReply {
                let reply: HelloReply = Frame::split(&mut &bytes[..]).unwrap().decode().unwrap();
                assert_eq!(reply.suites, SUITES, "a sender announces all suites, whatever its processor");
                recording.lock().unwrap().push(reply.exchange.suite);
            }
            Tampering::Forward(bytes)
        });
        let outcomes = run_handshake_on(processors, [&code; 2], &new_budget().0, observe).await;
        let (mut receiver, mut sender) = (outcomes.receiver.unwrap(), outcomes.sender.unwrap());
        assert_eq!(*chosen.lock().unwrap(), [expected_suite(processors)], "{processors:?}");
        let first = receiver.reader.read_record(&mut receiver.opener).await.unwrap().unwrap();
        assert_eq!(&first[..], first_record().frames());
        receiver.writer.send(RecordBuilder::from_message(&DoneAck {}).unwrap()).await.unwrap();
        sender.reader.read_record(&mut sender.opener).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_attacker_cannot_change_the_choice_of_the_cipher() {
    fn other(suite: u16) -> u16 {
        SUITE_SPAKE2_AES256GCM + SUITE_SPAKE2_CHACHA20POLY1305 - suite
    }
    let code = new_code();
    let attackers: [(&str, ClearFrame, Attacker); 8] = [
        ("the receiver's bit", ClearFrame::Hello, edit_hello(|m| m.capabilities ^= AES_IS_SLOW)),
        ("no ChaCha20 at the receiver", ClearFrame::Hello, edit_hello(|m| m.suites = vec![SUITE_SPAKE2_AES256GCM])),
        ("no AES at the receiver", ClearFrame::Hello, edit_hello(|m| m.suites = vec![SUITE_SPAKE2_CHACHA20POLY1305])),
        ("the sender's bit", ClearFrame::HelloReply, edit_reply(|m| m.capabilities ^= AES_IS_SLOW)),
        ("the choice", ClearFrame::HelloReply, edit_reply(|m| m.exchange.suite = other(m.exchange.suite))),
        (
            "the sender's bit and the choice",
            ClearFrame::HelloReply,
            edit_reply(|m| {
                m.capabilities ^= AES_IS_SLOW;
                m.exchange.suite = other(m.exchange.suite);
            }),
        ),
        (
            "the sender's list and the choice",
            ClearFrame::HelloReply,
            edit_reply(|m| {
                m.exchange.suite = other(m.exchange.suite);
                m.suites = vec![m.exchange.suite];
            }),
        ),
        (
            "both bits",
            ClearFrame::Hello,
            Arc::new(|frame, bytes| {
                Tampering::Forward(match frame {
                    ClearFrame::Hello => edit::<Hello>(&bytes, |m| m.capabilities ^= AES_IS_SLOW),
                    ClearFrame::HelloReply => edit::<HelloReply>(&bytes, |m| m.capabilities ^= AES_IS_SLOW),
                    ClearFrame::SenderTag | ClearFrame::ReceiverTag => bytes,
                })
            }),
        ),
    ];
    for processors in PROCESSORS {
        for (what, frame, attacker) in &attackers {
            let outcomes = run_handshake_on(processors, [&code; 2], &new_budget().0, attacker.clone()).await;
            assert_no_session(&outcomes, *frame, &format!("{what}, {processors:?}"));
            assert_eq!(outcomes.receiver.err().unwrap().kind(), Kind::WrongCode, "{what}, {processors:?}");
        }
    }
}

/// Even a sender with the right code must not choose the slower suite.
#[tokio::test(start_paused = true)]
async fn a_receiver_refuses_a_sender_that_chooses_the_worse_cipher() {
    let code = new_code();
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
            let key =
                exchange.finish(&PeerMessage::parse(Role::Receiver, &first.exchanges[0].message).unwrap()).unwrap();
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
        let (receiver, _far) = tokio::join!(initiate_on(aes, &code, near), sender);
        assert_eq!(receiver.err().unwrap().kind(), Kind::WrongCode, "{aes:?}");
    }
}

/// Runs a receiver whose hello differs from the hello of this version. It confirms the code, and returns the suite that
/// the sender chose and the cipher that opens its first record.
async fn receive_with_hello(
    code: &Code,
    change: fn(&mut Hello),
    (mut send, mut recv): HandshakeStream,
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
    let key = exchange.finish(&PeerMessage::parse(Role::Sender, &reply.exchange.message).unwrap()).unwrap();
    let keys = |cipher| {
        let transcript = Transcript::new(code.slot(), crypto::ExchangeMode::Code, &hello, answer.bytes());
        SessionKeys::derive(&key, transcript, cipher)
    };
    let confirm: Confirm = recv.read_frame(4096).await.unwrap().frame().decode().unwrap();
    keys(Cipher::Aes256Gcm).verify_tag(Role::Sender, &confirm.tag).unwrap();
    let opener = |cipher| -> Opener { keys(cipher).into_record_layer(Role::Receiver).1 };
    let tag = keys(Cipher::Aes256Gcm).receiver_tag();
    send.write(bytes_of(&Confirm { tag }).into()).await.unwrap();
    let record = recv.read().await.unwrap().unwrap();
    let opens = |cipher: &Cipher| opener(*cipher).open(&mut record.to_vec()).is_ok();
    let ciphers: Vec<Cipher> = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305].into_iter().filter(opens).collect();
    assert_eq!(ciphers.len(), 1, "{ciphers:?} open the first record");
    send.finish(); // a drop would reset the stream, and the reset might overtake flight 3
    Ok((reply.exchange.suite, ciphers[0]))
}

#[tokio::test(start_paused = true)]
async fn a_sender_serves_newer_receivers_with_a_common_suite_and_refuses_others_with_an_alert() {
    let code = new_code();
    type Change = fn(&mut Hello);
    type Expected = Result<(u16, Cipher), AlertReason>;
    const AES: Expected = Ok((SUITE_SPAKE2_AES256GCM, Cipher::Aes256Gcm));
    const CHACHA20: Expected = Ok((SUITE_SPAKE2_CHACHA20POLY1305, Cipher::ChaCha20Poly1305));
    let cases: [(Change, Expected); 11] = [
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
        let (budget, _) = new_budget();
        let [near, far] = duplex();
        let sender = Responder::new(&code, &budget, any_source()).with_aes(Aes::InHardware).accept(first_record(), far);
        let (receiver, sender) = tokio::join!(receive_with_hello(&code, change, near), sender);
        assert_eq!(receiver.map_err(|alert| alert.reason), expected, "case {n}");
        assert_eq!(sender.is_ok(), expected.is_ok(), "case {n}");
        assert_eq!(budget.remaining(), BURST, "case {n}");
    }
}
