//! Right codes, wrong codes and codes of another slot.

use qshare::internals::{
    code::{Code, Slot},
    error::Kind,
    net::duplex,
    transfer::{
        handshake::{HandshakeFailure, Responder, guess_budget::BURST},
        session::RecordBuilder,
    },
    wire::peer::DoneAck,
};

use super::harness::{
    ClearFrame, any_source, assert_no_session, first_record, initiate, new_budget, new_code, passive, run_handshake,
    wrong_code,
};

#[tokio::test(start_paused = true)]
async fn the_right_code_gives_a_session_that_carries_records() {
    let code = new_code();
    let (budget, _) = new_budget();
    let outcomes = run_handshake(&code, &code, &budget, passive()).await;
    let (mut receiver, mut sender) = (outcomes.receiver.unwrap(), outcomes.sender.unwrap());
    let first = receiver.reader.read_record(&mut receiver.opener).await.unwrap().unwrap();
    assert_eq!(&first[..], first_record().frames());
    receiver.writer.send(RecordBuilder::from_message(&DoneAck {}).unwrap()).await.unwrap();
    sender.reader.read_record(&mut sender.opener).await.unwrap().unwrap();
    assert_eq!(budget.remaining(), BURST, "the right code costs no guess");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_code_costs_a_guess_and_the_receiver_reports_it() {
    let code = new_code();
    let (budget, _) = new_budget();
    for lost in 1..=BURST {
        let outcomes = run_handshake(&wrong_code(&code), &code, &budget, passive()).await;
        assert_eq!(outcomes.receiver.err().unwrap().kind(), Kind::WrongCode);
        assert_eq!(outcomes.sender.err().unwrap(), HandshakeFailure::Unconfirmed);
        assert_eq!(budget.remaining(), BURST - lost);
    }
    let outcomes = run_handshake(&code, &code, &budget, passive()).await;
    let refused = outcomes.receiver.err().unwrap();
    assert_eq!(refused.kind(), Kind::Refused);
    assert!(refused.hint_text().unwrap().contains("10 minutes"), "{refused:?}");
    assert_eq!(outcomes.sender.err().unwrap(), HandshakeFailure::NotCharged);
}

#[tokio::test(start_paused = true)]
async fn a_code_is_valid_for_its_slot_only() {
    let code = new_code();
    let elsewhere = Code::new(Slot::from_number(1), code.secret().clone());
    let outcomes = run_handshake(&elsewhere, &code, &new_budget().0, passive()).await;
    assert_no_session(&outcomes, ClearFrame::Hello, "another slot");
}

#[tokio::test(start_paused = true)]
async fn two_receivers_or_two_senders_have_no_session_with_each_other() {
    let code = new_code();
    let [a, b] = duplex();
    let (one, other) = tokio::join!(initiate(&code, a), initiate(&code, b));
    let kinds = [one, other].map(|end| end.err().unwrap().kind());
    // The first to fail resets the stream, which may overtake its hello.
    assert!(kinds.contains(&Kind::WrongCode), "{kinds:?}");
    assert!(kinds.iter().all(|kind| matches!(kind, Kind::WrongCode | Kind::Network)), "{kinds:?}");
    let (budget, _) = new_budget();
    let [a, b] = duplex();
    let (one, other) = tokio::join!(
        Responder::new(&code, &budget, any_source()).accept(first_record(), a),
        Responder::new(&code, &budget, any_source()).accept(first_record(), b)
    );
    assert_eq!((one.err(), other.err()), (Some(HandshakeFailure::NotCharged), Some(HandshakeFailure::NotCharged)));
    assert_eq!(budget.remaining(), BURST, "no guess was made");
}
