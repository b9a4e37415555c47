//! Wrong codes and the budget.

use qshare::code::{Code, Secret};

use crate::support::{FileTree, SenderProcess, TestEnv};

/// The code of `sender` with another secret and the check character that goes with it.
fn wrong(sender: &SenderProcess) -> String {
    let code = Code::parse(sender.code()).unwrap();
    let secret = Secret::random(code.secret().length()).unwrap();
    assert_ne!(&secret, code.secret());
    Code::new(code.slot(), secret).reveal().to_string()
}

#[test]
fn a_wrong_secret_is_told_at_both_ends_and_costs_a_guess() {
    let env = TestEnv::new();
    let relay = env.relay();
    let mut sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let into = env.path("in");
    let guessed = env.recv(&wrong(&sender), &into).via(&relay).run();
    guessed.expect_error(4, "wrong_code", "the code is wrong");
    assert!(guessed.all("offer").is_empty());
    let told = sender.process.wait_for("wrong_code");
    assert_eq!(told["guesses_left"], 4);
    assert!(told["download"].is_u64() && told["peer"].is_string(), "{told}");
    env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(FileTree::of(&into.join("file")), FileTree::of(&env.path("file")));
}

#[test]
fn after_five_wrong_guesses_everybody_waits() {
    let env = TestEnv::new();
    let relay = env.relay();
    let mut sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    for left in (0..5).rev() {
        env.recv(&wrong(&sender), &env.path("in")).via(&relay).run().expect(4);
        assert_eq!(sender.process.wait_for("wrong_code")["guesses_left"], left);
    }
    for code in [sender.code().to_owned(), wrong(&sender)] {
        let refused = env.recv(&code, &env.path("in")).via(&relay).run();
        let told = refused.expect_error(7, "refused", "too often");
        assert!(told.contains("10 minutes"), "{told}");
    }
    assert_eq!(sender.stop().all("wrong_code").len(), 5);
}

#[test]
fn guesses_at_the_same_time_never_exceed_the_budget() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let guessers: Vec<_> = (0..12).map(|_| env.recv(&wrong(&sender), &env.path("in")).via(&relay).start()).collect();
    let codes: Vec<_> = guessers.into_iter().map(|guesser| guesser.end().code.unwrap()).collect();
    let count = |code: i32| codes.iter().filter(|c| **c == code).count();
    assert_eq!((count(4), count(7)), (5, 7), "{codes:?}");
}
