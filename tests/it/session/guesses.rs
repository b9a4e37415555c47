//! The guess budget under attack.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use qshare::internals::{
    code::Code,
    net::duplex,
    state::StateDir,
    transfer::{
        GuessBudget,
        handshake::{
            Credential, HandshakeFailure, Initiator, InitiatorOptions, Responder,
            guess_budget::{BURST, CONFIRM_TIMEOUT, REFILL_INTERVAL},
        },
    },
    wire::{Message, peer::HelloReply},
};
use tokio::{task::JoinSet, time::sleep};

use super::{
    harness::{
        ClearFrame, Tampering, any_source, assert_no_session, first_record, new_budget, new_code, passive,
        run_handshake, tamper_with, wrong_code,
    },
    manual_clock::ManualClock,
};

/// Runs a guesser that takes flight 2, confirms nothing and keeps its stream open for `hold`. Counts flight 2 in
/// `replies`, and returns how the sender's side ended.
async fn guess_without_confirming(
    code: Code,
    budget: GuessBudget,
    replies: Arc<AtomicUsize>,
    hold: Duration,
) -> HandshakeFailure {
    let [mut near, far] = duplex();
    let guesser = async {
        let initiator = Initiator::new(Credential::Code(&wrong_code(&code)), InitiatorOptions::default()).unwrap();
        near.0.write(initiator.flight_1().clone()).await.unwrap();
        if let Ok(frame) = near.1.read_frame(4096).await
            && frame.frame().kind == HelloReply::TYPE
        {
            replies.fetch_add(1, Ordering::Relaxed);
        }
        sleep(hold).await;
        drop(near);
    };
    tokio::join!(Responder::new(&code, &budget, any_source()).accept(first_record(), far), guesser).0.err().unwrap()
}

#[tokio::test(start_paused = true)]
async fn leaving_after_flight_2_costs_a_guess() {
    let (code, (budget, _)) = (new_code(), new_budget());
    let replies = Arc::new(AtomicUsize::new(0));
    for (n, hold) in [Duration::ZERO, CONFIRM_TIMEOUT * 2].into_iter().enumerate() {
        let failure = guess_without_confirming(code.clone(), budget.clone(), replies.clone(), hold).await;
        assert_eq!(failure, HandshakeFailure::Unconfirmed);
        assert_eq!(budget.remaining(), BURST - 1 - n as u32);
    }
    assert_eq!(replies.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn parallel_guesses_get_no_more_replies_than_the_budget_allows() {
    for hold in [Duration::ZERO, Duration::from_secs(1), CONFIRM_TIMEOUT * 4] {
        let (code, (budget, clock)) = (new_code(), new_budget());
        let replies = Arc::new(AtomicUsize::new(0));
        let mut expected = 0;
        for (time, new_guesses) in [
            (Duration::ZERO, BURST),
            (REFILL_INTERVAL, 1),
            (REFILL_INTERVAL / 2, 0),
            (REFILL_INTERVAL / 2 + REFILL_INTERVAL, 2),
        ] {
            clock.advance(time);
            let mut guessers = JoinSet::new();
            for _ in 0..60 {
                guessers.spawn(guess_without_confirming(code.clone(), budget.clone(), replies.clone(), hold));
            }
            while let Some(failure) = guessers.join_next().await {
                failure.unwrap();
            }
            expected += new_guesses as usize;
            assert_eq!(replies.load(Ordering::Relaxed), expected, "after {time:?}, guessers that stay for {hold:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_honest_receivers_at_once_are_all_served() {
    let (code, (budget, _)) = (new_code(), new_budget());
    let mut handshakes = JoinSet::new();
    for n in 0..20 {
        let (code, budget) = (code.clone(), budget.clone());
        handshakes.spawn(async move {
            let latency = Duration::from_millis(100 * n);
            let slow = tamper_with(ClearFrame::ReceiverTag, move |bytes| Tampering::Delay(bytes, latency));
            let outcomes = run_handshake(&code, &code, &budget, slow).await;
            outcomes.receiver.is_ok() && outcomes.sender.is_ok()
        });
    }
    let served = handshakes.join_all().await;
    assert_eq!(served, [true; 20]);
    assert_eq!(budget.remaining(), BURST);
}

#[tokio::test(start_paused = true)]
async fn honest_receivers_are_served_one_after_another_while_one_guess_is_left() {
    let (code, (budget, _)) = (new_code(), new_budget());
    let replies = Arc::new(AtomicUsize::new(0));
    let mut guessers = JoinSet::new();
    for _ in 0..BURST - 1 {
        guessers.spawn(guess_without_confirming(code.clone(), budget.clone(), replies.clone(), CONFIRM_TIMEOUT * 2));
    }
    while budget.remaining() > 1 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        let outcomes = run_handshake(&code, &code, &budget, passive()).await;
        assert!(outcomes.receiver.is_ok() && outcomes.sender.is_ok());
    }
    while let Some(failure) = guessers.join_next().await {
        assert_eq!(failure.unwrap(), HandshakeFailure::Unconfirmed);
    }
    assert_eq!(budget.remaining(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_confirmation_is_refused_and_costs_a_guess() {
    let (code, (budget, _)) = (new_code(), new_budget());
    let delay = |time| tamper_with(ClearFrame::ReceiverTag, move |bytes| Tampering::Delay(bytes, time));
    let outcomes = run_handshake(&code, &code, &budget, delay(CONFIRM_TIMEOUT + Duration::from_millis(1))).await;
    assert_no_session(&outcomes, ClearFrame::ReceiverTag, "too late");
    assert_eq!(budget.remaining(), BURST - 1);
    let outcomes = run_handshake(&code, &code, &budget, delay(CONFIRM_TIMEOUT - Duration::from_secs(1))).await;
    assert!(outcomes.sender.is_ok());
    assert_eq!(budget.remaining(), BURST - 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_refill_the_budget() {
    let home = tempfile::tempdir().unwrap();
    let (code, clock) = (new_code(), Arc::new(ManualClock::at_ms(5)));
    let file = || Some((StateDir::open(home.path()).unwrap(), "guesses".to_owned()));
    let replies = Arc::new(AtomicUsize::new(0));
    for (restart, expected) in [2, 4, 5, 5].into_iter().enumerate() {
        let budget = GuessBudget::load(file(), 5, clock.clone()).unwrap();
        let before = replies.load(Ordering::Relaxed);
        let mut guessers = JoinSet::new();
        for _ in 0..2 {
            let guess = guess_without_confirming(code.clone(), budget.clone(), replies.clone(), CONFIRM_TIMEOUT * 4);
            guessers.spawn(guess);
        }
        while replies.load(Ordering::Relaxed) < expected {
            sleep(Duration::from_millis(1)).await; // virtual time
        }
        if expected == before {
            while guessers.join_next().await.is_some() {} // no guess is left: both are refused
        }
        guessers.abort_all(); // as a kill does while the guesses are unconfirmed
        assert_eq!(replies.load(Ordering::Relaxed), expected, "restart {restart}");
    }
    clock.advance(REFILL_INTERVAL);
    assert_eq!(GuessBudget::load(file(), 5, clock.clone()).unwrap().remaining(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_cannot_be_saved_sends_no_flight_2() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let file = Some((StateDir::open(&state).unwrap(), "guesses".to_owned()));
    let budget = GuessBudget::load(file, 5, Arc::new(ManualClock::default())).unwrap();
    std::fs::remove_dir_all(&state).unwrap();
    let replies = Arc::new(AtomicUsize::new(0));
    let failure = guess_without_confirming(new_code(), budget, replies.clone(), Duration::ZERO).await;
    assert!(matches!(failure, HandshakeFailure::Disk(_)), "{failure:?}");
    assert_eq!(replies.load(Ordering::Relaxed), 0, "flight 2 left before the guess was on disk");
}

#[tokio::test(start_paused = true)]
async fn a_short_code_is_retired_after_150_lost_guesses() {
    let (code, (budget, clock)) = (new_code(), new_budget());
    let replies = Arc::new(AtomicUsize::new(0));
    let guess = || guess_without_confirming(code.clone(), budget.clone(), replies.clone(), Duration::ZERO);
    for _ in 0..150 {
        clock.advance(REFILL_INTERVAL);
        assert_eq!(guess().await, HandshakeFailure::Unconfirmed);
    }
    clock.advance(REFILL_INTERVAL);
    assert_eq!(guess().await, HandshakeFailure::Retired);
    assert_eq!(replies.load(Ordering::Relaxed), 150);
    assert!(budget.is_retired());
}
