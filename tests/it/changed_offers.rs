//! Offers that differ from the one that the user has accepted, because the sender or the receiver was restarted.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use rustix::process::Signal;

use crate::support::{
    FileTree, ProcessOutput, QshareCommand, RelayProcess, SenderProcess, TestEnv, assert_only_staged, entry_names,
    wait_until, write_random_file,
};

const MIB: u64 = 1024 * 1024;

const SIZE: u64 = 60 * MIB;

/// A download that is in progress while its sender is killed.
struct InterruptedDownload {
    env: TestEnv,
    relay: RelayProcess,
    sender: SenderProcess,
    into: PathBuf,
}

impl InterruptedDownload {
    fn new() -> Self {
        let env = TestEnv::new();
        env.file("t/a", "first");
        write_random_file(&env.path("t/big"), SIZE);
        fs::set_permissions(env.path("t/big"), fs::Permissions::from_mode(0o644)).unwrap();
        let relay = env.relay();
        let sender = env.send(&[&env.path("t")]).via(&relay).share();
        let into = env.folder("in");
        Self { env, relay, sender, into }
    }

    fn recv(&self) -> QshareCommand {
        self.env.recv(self.sender.code(), &self.into).via(&self.relay).args(&["--limit-down", "30MB"])
    }

    /// Kills the sender once the receiver has staged a part, changes what it shares, and starts it again.
    fn restart_sender(&mut self, change: impl FnOnce(&TestEnv)) {
        let staged = || {
            fs::read_dir(&self.into).unwrap().any(|entry| {
                let big = entry.unwrap().path().join("files/t/big");
                fs::metadata(big).is_ok_and(|meta| meta.len() > 8 * MIB)
            })
        };
        wait_until("a staged part", staged);
        self.sender.process.kill();
        change(&self.env);
        let code = self.sender.code().to_owned();
        self.sender = self.env.send(&[&self.env.path("t")]).via(&self.relay).share();
        assert_eq!(self.sender.code(), code);
    }

    fn assert_complete(&self) {
        assert_eq!(FileTree::of(&self.into.join("t")), FileTree::of(&self.env.path("t")));
        assert_eq!(entry_names(&self.into), ["t"], "no staging folder is left");
    }
}

/// Adds an executable that was not offered.
fn plant(env: &TestEnv) {
    let planted = env.file("t/planted", "#!/bin/sh");
    fs::set_permissions(planted, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Checks that the second offer was reported, and that the staged data was not sent again.
fn assert_second_offer(ended: &ProcessOutput) {
    let offers = ended.all("offer");
    assert_eq!(offers.len(), 2, "{ended}");
    assert_eq!((&offers[0]["changed"], &offers[1]["changed"]), (&false.into(), &true.into()));
    assert!(offers[1]["resumed_bytes"].as_u64().unwrap() >= 8 * MIB, "{ended}");
}

#[test]
fn with_yes_another_offer_of_a_restarted_sender_is_reported_and_downloaded() {
    let mut test = InterruptedDownload::new();
    let receiver = test.recv().start();
    test.restart_sender(plant);
    let ended = receiver.end().expect(0);
    assert_second_offer(&ended);
    let offers = ended.all("offer");
    assert_eq!((&offers[0]["executables"], &offers[1]["executables"]), (&0.into(), &1.into()));
    test.assert_complete();
}

/// A mode is a difference too; the same content is not.
#[test]
fn acceptance_covers_modes_but_not_times() {
    let mut test = InterruptedDownload::new();
    let receiver = test.recv().start();
    test.restart_sender(|env| {
        fs::set_permissions(env.path("t/big"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    assert_second_offer(&receiver.end().expect(0));
    test.assert_complete();

    let mut test = InterruptedDownload::new();
    let receiver = test.recv().start();
    test.restart_sender(|env| drop(env.file("t/a", "later")));
    let ended = receiver.end().expect(0);
    assert_eq!(ended.all("offer").len(), 1, "{ended}");
    test.assert_complete();
}

#[test]
fn another_offer_above_the_limit_of_the_user_is_refused_and_keeps_what_is_staged() {
    let mut test = InterruptedDownload::new();
    let receiver = test.recv().args(&["--max-size", "70MB"]).start();
    test.restart_sender(|env| write_random_file(&env.path("t/more"), 20 * MIB));
    let ended = receiver.end();
    ended.expect_error(6, "disk", "--max-size");
    assert_only_staged(&test.into, "too large");
    let again = test.recv().run().expect(0);
    assert!(again.event("offer")["resumed_bytes"].as_u64().unwrap() >= 8 * MIB, "{again}");
    test.assert_complete();
}

#[test]
fn at_a_terminal_another_offer_is_another_question() {
    for (answer, code) in [("n", 7), ("y", 0)] {
        let mut test = InterruptedDownload::new();
        let command = test.env.qshare(&["recv", "--limit-down", "30MB", test.sender.code()]).via(&test.relay);
        let (receiver, mut keyboard) = command.dir(&test.into).start_at_a_terminal();
        receiver.wait_for_message("Download?");
        keyboard.line("y");
        keyboard.line("y"); // older than the second question, so it does not answer it
        test.restart_sender(plant);
        receiver.wait_for_message("have changed since you accepted");
        receiver.wait_for_message("1 executable file");
        let is_asked_again = || receiver.messages().matches("Download?").count() == 2;
        wait_until("the second question", is_asked_again);
        keyboard.line(answer);
        let ended = receiver.end().expect(code);
        if code == 0 {
            test.assert_complete();
        } else {
            assert!(ended.stderr.contains("Declined."), "{ended}");
            assert_only_staged(&test.into, "declined");
            let again = test.recv().run().expect(0);
            assert!(again.event("offer")["resumed_bytes"].as_u64().unwrap() >= 8 * MIB, "{again}");
        }
    }
}

#[test]
fn a_restarted_receiver_reports_that_the_offer_has_changed() {
    let mut test = InterruptedDownload::new();
    let receiver = test.recv().start();
    test.restart_sender(|_| {});
    receiver.signal(Signal::KILL);
    receiver.end();
    test.sender.process.kill();
    plant(&test.env);
    test.sender = test.env.send(&[&test.env.path("t")]).via(&test.relay).share();
    let listed = test.recv().arg("--list").run().expect(0);
    assert_eq!(listed.event("offer")["changed"], true);
    let ended = test.recv().run().expect(0);
    assert_eq!(ended.event("offer")["changed"], true);
    test.assert_complete();
}
