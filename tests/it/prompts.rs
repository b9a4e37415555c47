//! Prompts at a terminal, and users who do not answer them.

use std::{fs, os::unix::fs::PermissionsExt};

use rustix::process::Signal;

use crate::support::{FileTree, TestEnv};

#[test]
fn without_a_terminal_the_receiver_does_not_prompt() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let human = env.qshare(&["recv", sender.code()]).via(&relay).run().expect(2);
    assert!(human.stderr.contains("--yes"), "{human}");
    let json = env.qshare(&["recv", sender.code(), "--json"]).via(&relay);
    json.run().expect_error(2, "usage", "cannot ask for confirmation");
    let (json, _keyboard) = env.qshare(&["recv", sender.code(), "--json"]).via(&relay).start_at_a_terminal();
    json.end().expect_error(2, "usage", "cannot ask for confirmation");
    assert!(sender.stop().all("download_started").is_empty());
}

#[test]
fn y_or_enter_starts_the_download_and_n_or_ctrl_d_declines_it() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let sender = env.send(&[&file]).via(&relay).share();
    for (n, (answer, code)) in [("y", 0), ("", 0), ("n", 7), ("\u{4}", 7)].into_iter().enumerate() {
        let into = env.path(&format!("in{n}"));
        let (receiver, mut keyboard) = env.recv_until_prompt(sender.code(), &relay, &into);
        match answer {
            "\u{4}" => keyboard.end(),
            answer => keyboard.line(answer),
        }
        let ended = receiver.end().expect(code);
        if code == 0 {
            assert_eq!(ended.text(), "file\n");
            assert_eq!(FileTree::of(&into.join("file")), FileTree::of(&file));
        } else {
            assert!(ended.stderr.contains("\nDeclined.") && !ended.stderr.contains("error:"), "{ended}");
            assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
        }
    }
    let sent = sender.stop();
    assert_eq!((sent.all("download_started").len(), sent.all("download_declined").len()), (2, 2), "{sent}");
}

#[test]
fn a_conflict_is_a_question_at_a_terminal() {
    let env = TestEnv::new();
    let relay = env.relay();
    let paths = ["a", "b", "c"].map(|name| env.file(&format!("s/{name}"), name));
    let sender = env.send(&paths.each_ref().map(|path| path.as_path())).via(&relay).share();
    let into = env.folder("in");
    let run = |answers: &[&str], code| {
        for name in ["a", "b", "c"] {
            fs::write(into.join(name), "mine").unwrap();
        }
        let command = env.qshare(&["recv", sender.code()]).via(&relay).dir(&into);
        let (receiver, mut keyboard) = command.start_at_a_terminal();
        for (n, answer) in answers.iter().enumerate() {
            receiver.wait_for_messages("[q]uit", n + 1);
            keyboard.line(answer);
        }
        if code == 0 {
            receiver.wait_for_message("Download?");
            keyboard.line("y");
        }
        let ended = receiver.end().expect(code);
        let content = ["a", "b", "c", "b (1)"].map(|name| fs::read_to_string(into.join(name)).unwrap_or_default());
        (ended, content)
    };
    let (ended, content) = run(&["what", "s", "r", "o"], 0);
    assert_eq!(content, ["mine", "mine", "c", "b"], "{ended}");
    assert!(ended.stderr.contains("a already exists.") && ended.stderr.contains("Skipped 1 file"), "{ended}");
    let (ended, content) = run(&["O"], 0);
    assert_eq!(content, ["a", "b", "c", "b"], "{ended}");
    let (ended, content) = run(&["q"], 7);
    assert_eq!(content[..3], ["mine"; 3], "{ended}");
    sender.stop();
}

/// The sender chooses the name of the share freely, so the question shows what will be created instead.
#[test]
fn the_question_shows_the_names_that_will_be_created_and_where() {
    let env = TestEnv::new();
    let relay = env.relay();
    env.file("s/repo/.git/hooks/pre-commit", "");
    let paths = [env.file("s/.bash_aliases", ""), env.file("s/tool", ""), env.path("s/repo")];
    fs::set_permissions(&paths[1], fs::Permissions::from_mode(0o755)).unwrap();
    let harmless: Vec<_> = (0..12).map(|n| env.file(&format!("s/photo {n:02}.jpg"), "")).collect();
    let paths: Vec<_> = harmless.iter().chain(&paths).map(|path| path.as_path()).collect();
    let sender = env.send(&paths).via(&relay).args(&["--name", "holiday.jpg"]).share();
    let into = env.folder("in");
    fs::write(into.join("tool"), "mine").unwrap();
    let command = env.qshare(&["recv", "--rename", sender.code()]).via(&relay).dir(&into);
    let (receiver, mut keyboard) = command.start_at_a_terminal();
    receiver.wait_for_message("Download?");
    keyboard.line("n");
    let shown = receiver.end().expect(7).stderr.replace('\r', "");
    for line in [
        "  .bash_aliases  (hidden, auto-run)\n",
        "  tool (1)  (executable)\n",
        "  photo 00.jpg\n",
        "  and 5 more\n",
        "including 2 hidden, 1 executable and 2 auto-run files\n",
        "may run automatically:\n  repo/.git/hooks/pre-commit\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(shown.contains("15 files, 0 B, to be saved in ") && !shown.contains("holiday.jpg"), "{shown}");
}

#[test]
fn a_receiver_without_a_code_prompts_for_it() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let sender = env.send(&[&file]).via(&relay).share();
    let into = env.folder("in");
    let (receiver, mut keyboard) = env.qshare(&["recv", "--yes"]).via(&relay).dir(&into).start_at_a_terminal();
    receiver.wait_for_message("Code or link:");
    keyboard.line(sender.code());
    receiver.end().expect(0);
    assert_eq!(FileTree::of(&into.join("file")), FileTree::of(&file));
}

/// A pasted code often has an empty line behind it.
#[test]
fn input_from_before_the_question_does_not_answer_it() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let command = env.qshare(&["recv"]).via(&relay).dir(&env.folder("in"));
    let (receiver, mut keyboard) = command.start_at_a_terminal();
    receiver.wait_for_message("Code or link:");
    keyboard.line(&format!("{}\n\ny", sender.code()));
    receiver.wait_for_message("Download?");
    keyboard.line("n");
    receiver.end().expect(7);
}

#[test]
fn a_receiver_at_its_prompt_does_not_block_others() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let sender = env.send(&[&file]).via(&relay).arg("--once").share();
    let (waiting, mut keyboard) = env.recv_until_prompt(sender.code(), &relay, &env.path("waiting"));
    let (killed, _) = env.recv_until_prompt(sender.code(), &relay, &env.path("killed"));
    killed.signal(Signal::KILL);
    let into = env.path("in");
    env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(FileTree::of(&into.join("file")), FileTree::of(&file));
    let sent = sender.process.end().expect(0);
    assert!(sent.all("download_failed").is_empty(), "{sent}");
    keyboard.line("y");
    let late = waiting.end().expect(3);
    assert!(late.stderr.contains("the sender is gone"), "{late}");
}

#[test]
fn ctrl_c_at_the_prompt_exits_with_130_and_downloads_nothing() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let into = env.path("in");
    let (receiver, _keyboard) = env.recv_until_prompt(sender.code(), &relay, &into);
    receiver.signal(Signal::INT);
    receiver.end().expect(130);
    assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
    assert!(sender.stop().all("download_started").is_empty());
}

#[test]
fn a_receiver_reports_that_its_sender_stopped_during_the_prompt() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let (receiver, mut keyboard) = env.recv_until_prompt(sender.code(), &relay, &env.path("in"));
    sender.stop();
    keyboard.line("y");
    let ended = receiver.end().expect(3);
    assert!(ended.stderr.contains("the sender is gone"), "{ended}");
}

#[test]
fn the_menu_can_send_and_receive() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("a file.txt", "content");
    let (sender, mut keyboard) = env.qshare(&[]).env("QSHARE_RELAY", relay.spec()).start_at_a_terminal();
    sender.wait_for_message("1");
    keyboard.line("1");
    keyboard.line(&format!("'{}' ", file.display()));
    let code = sender.wait_for_lines(1).remove(0);
    let into = env.folder("in");
    let menu = env.qshare(&[]).env("QSHARE_RELAY", relay.spec()).dir(&into);
    let (receiver, mut keys) = menu.start_at_a_terminal();
    receiver.wait_for_message("2");
    keys.line("2");
    keys.line(&code);
    receiver.wait_for_message("Download?");
    keys.line("y");
    receiver.end().expect(0);
    assert_eq!(FileTree::of(&into.join("a file.txt")), FileTree::of(&file));
    sender.signal(Signal::INT);
    sender.end().expect(0);
}
