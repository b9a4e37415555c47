//! Wrong codes and the guess budget.

use qshare::internals::code::{Code, Secret};

use crate::support::{FileTree, SenderProcess, TestEnv};

/// Returns the sender's code with another secret and the matching check character.
fn wrong_code(sender: &SenderProcess) -> String {
    let code = Code::parse(sender.code()).unwrap();
    let secret = Secret::random(code.secret().length()).unwrap();
    assert_ne!(&secret, code.secret());
    Code::new(code.slot(), secret).reveal().to_string()
}

#[test]
fn both_ends_report_a_wrong_secret_and_it_costs_a_guess() {
    let env = TestEnv::new();
    let relay = env.relay();
    let mut sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let into = env.path("in");
    let guessed = env.recv(&wrong_code(&sender), &into).via(&relay).run();
    guessed.expect_error(4, "wrong_code", "the code is wrong");
    assert!(guessed.all("offer").is_empty());
    let reported = sender.process.wait_for("wrong_code");
    assert_eq!(reported["guesses_left"], 4);
    assert!(reported["download"].is_u64() && reported["peer"].is_string(), "{reported}");
    env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(FileTree::of(&into.join("file")), FileTree::of(&env.path("file")));
}

/// All receivers of these tests connect from loopback, which is one network. The budget for several networks is tested
/// in `session` and `hostile`.
#[test]
fn after_two_wrong_codes_a_network_is_refused_with_a_retry_time() {
    let env = TestEnv::new();
    let relay = env.relay();
    let mut sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    for left in [4, 3] {
        env.recv(&wrong_code(&sender), &env.path("in")).via(&relay).run().expect(4);
        assert_eq!(sender.process.wait_for("wrong_code")["guesses_left"], left);
    }
    for code in [sender.code().to_owned(), wrong_code(&sender)] {
        let refused = env.recv(&code, &env.path("in")).via(&relay).run();
        let message = refused.expect_error(7, "refused", "too many wrong attempts");
        assert!(message.contains("10 minutes"), "{message}");
    }
    assert_eq!(sender.stop().all("wrong_code").len(), 2);
}

#[test]
fn parallel_guesses_do_not_exceed_the_budget() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let guessers: Vec<_> =
        (0..12).map(|_| env.recv(&wrong_code(&sender), &env.path("in")).via(&relay).start()).collect();
    let codes: Vec<_> = guessers.into_iter().map(|guesser| guesser.end().code.unwrap()).collect();
    let count = |code: i32| codes.iter().filter(|c| **c == code).count();
    assert_eq!((count(4), count(7)), (2, 10), "{codes:?}");
}
