//! Guesses from several networks, and senders that are killed while guesses are outstanding.

use super::attacked_share::AttackedShare;

/// The guesses of a share: see `guess_budget`.
const BURST: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_networks_cannot_use_up_the_guesses_of_a_share() {
    let test = AttackedShare::new().await;
    let mut answered = 0;
    for source in [1, 2, 1, 2, 1, 2, 1, 2] {
        answered += usize::from(test.guess(source).await.is_some());
    }
    assert_eq!(answered, 4);
    for _ in 0..3 {
        test.assert_served("one guess is left").await;
    }
    assert!(test.guess(3).await.is_some());
    assert!(test.guess(4).await.is_none(), "the sixth guess was answered");
}

/// A guess is on the disk before its answer leaves, so a sender that is killed at any time forgives nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sender_forgives_no_guess() {
    for is_outstanding in [true, false] {
        let mut test = AttackedShare::new().await;
        let (mut answered, mut source) = (0, 0);
        for _ in 0..4 {
            let mut held = Vec::new();
            for _ in 0..2 {
                source += 1;
                if let Some(stream) = test.guess(source).await {
                    answered += 1;
                    held.push(stream);
                }
            }
            if !is_outstanding {
                for stream in held.drain(..) {
                    drop(stream);
                    test.sender.wait_for("wrong_code").await;
                }
            }
            test.kill_and_restart().await;
        }
        assert_eq!(answered, BURST, "outstanding: {is_outstanding}");
    }
}

/// The lost guesses are counted for the life of the code, because a short code retires after 150 of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_guesses_are_counted_across_kills() {
    let mut test = AttackedShare::new().await;
    for lost in 1..=3 {
        let guess = test.guess(lost).await.unwrap();
        test.kill_and_restart().await;
        drop(guess);
        assert_eq!(test.machine.lost_guesses(), lost, "an outstanding guess is not counted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guess_that_cannot_be_saved_is_refused_and_not_lost() {
    let mut test = AttackedShare::new().await;
    let shares = test.machine.state().join("shares");
    std::fs::rename(&shares, shares.with_extension("away")).unwrap();
    for source in 0..20 {
        assert!(test.guess(source).await.is_none(), "the sender answered a guess that is not on the disk");
    }
    let warning = test.sender.wait_for("warning").await;
    assert_eq!(warning["kind"], "state", "{warning}");
    std::fs::rename(shares.with_extension("away"), &shares).unwrap();
    test.assert_served("the budget can be saved again").await;
    let mut answered = 0;
    for source in 100..110 {
        answered += usize::from(test.guess(source).await.is_some());
    }
    assert_eq!(answered, BURST);
}
