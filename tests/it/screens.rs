//! What people see at terminals of 80 and 50 columns. The expected screens are in `tests/it/snapshots`.
//!
//! After an intended change, run `INSTA_UPDATE=always cargo test --test it screens` and review the difference.

use std::path::Path;

use insta::assert_snapshot;
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::support::{Process, RelayProcess, TestEnv, screen};

const WIDTHS: [u16; 2] = [80, 50];

/// What differs in each run and is replaced by text of the same width, before the terminal wraps its lines.
struct Masks(Vec<(String, char)>);

impl Masks {
    fn new(into: &Path, relay: &RelayProcess, code: &str) -> Self {
        let spec = relay.spec();
        let (addr, pin) = spec.split_once('#').unwrap();
        let (_, port) = addr.split_once(':').unwrap();
        let into = into.to_str().unwrap().to_owned();
        Self(vec![(code.to_owned(), 'C'), (pin.to_owned(), 'P'), (port.to_owned(), '5'), (into, 'D')])
    }

    fn screen(&self, process: &Process, columns: u16) -> String {
        let mut output = process.messages();
        for (text, mask) in &self.0 {
            output = output.replace(text, &mask.to_string().repeat(text.chars().count()));
        }
        without_speed(&screen(&output, columns))
    }
}

/// Removes the duration and the rate from the last line of a download.
fn without_speed(screen: &str) -> String {
    let line = |line: &str| match (line.find(" B in "), line.find(['(', ')'])) {
        (Some(at), Some(_)) => format!("{} B in …", &line[..at]),
        _ => line.to_owned(),
    };
    screen.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_sender_and_a_receiver() {
    for columns in WIDTHS {
        let env = TestEnv::new();
        let relay = env.relay();
        env.file("s/holiday/a.txt", "content");
        env.file("s/holiday/.hidden", "");
        let into = tempfile::tempdir_in("/tmp").unwrap(); // a path of the same length everywhere
        let shared = env.qshare(&["send"]).arg(env.path("s/holiday")).via(&relay).env("QSHARE_LAN", "127.0.0.1:9");
        let (sender, _keyboard) = shared.start_on_a_screen(columns);
        sender.wait_for_message("ends the share.");
        let text = sender.messages();
        let code = text.split("qshare recv ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
        let masks = Masks::new(into.path(), &relay, code);
        assert_snapshot!(format!("send_waiting_{columns}"), masks.screen(&sender, columns));

        let recv = || env.qshare(&["recv", code]).via(&relay).dir(into.path()).env("NO_COLOR", "1");
        let (receiver, mut keyboard) = recv().start_on_a_screen(columns);
        receiver.wait_for_message("[Y/n]");
        assert_snapshot!(format!("recv_question_{columns}"), masks.screen(&receiver, columns));
        keyboard.line("y");
        receiver.wait_for_message("B/s)");
        assert!(!receiver.messages().contains("\x1b[3"), "there are no colors");
        sender.wait_for_message("receiver 1: done");
        let (again, mut keyboard) = recv().start_on_a_screen(columns);
        again.wait_for_message("[q]uit:");
        keyboard.line("s");
        again.wait_for_message("[Y/n]");
        assert_snapshot!(format!("recv_conflict_{columns}"), masks.screen(&again, columns));
        again.signal(Signal::INT);
        again.wait_for_message("nothing was downloaded");
        assert_snapshot!(format!("recv_interrupted_{columns}"), masks.screen(&again, columns));
        again.end();
        sender.signal(Signal::INT);
        sender.wait_for_message("Stopped.");
        if columns == 80 {
            // In 50 columns, the speed decides where the lines wrap.
            assert_snapshot!("recv_end_80", masks.screen(&receiver, columns));
            assert_snapshot!("send_end_80", masks.screen(&sender, columns));
        }
        receiver.end();
        sender.end();
    }
}

#[test]
fn a_text_and_a_pipe() {
    for columns in WIDTHS {
        let env = TestEnv::new();
        let relay = env.relay();
        mknodat(CWD, env.path("log"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for (kind, args) in [("text", ["send", "--text", "See you at nine."].as_slice()), ("pipe", &["send", "log"])] {
            let into = tempfile::tempdir_in("/tmp").unwrap(); // a path of the same length everywhere
            let (sender, _keyboard) = env.qshare(args).via(&relay).env("NO_COLOR", "1").start_on_a_screen(columns);
            sender.wait_for_message("ends the share.");
            let text = sender.messages();
            let code = text.split("Code: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
            let masks = Masks::new(into.path(), &relay, code);
            assert_snapshot!(format!("send_{kind}_{columns}"), masks.screen(&sender, columns));
            let recv = env.qshare(&["recv", code]).via(&relay).dir(into.path()).env("NO_COLOR", "1");
            let (receiver, _keyboard) = recv.start_on_a_screen(columns);
            receiver.wait_for_message(if kind == "text" { "at nine." } else { "[Y/n]" });
            assert_snapshot!(format!("recv_{kind}_{columns}"), masks.screen(&receiver, columns));
        }
    }
}

/// Checks that a screen shows a whole QR code, and replaces it: its modules and its size differ in each run.
fn without_qr_code(screen: &str) -> String {
    let is_module = |c: char| matches!(c, '█' | '▀' | '▄');
    let is_row = |line: &&str| line.contains(is_module) && line.chars().all(|c| is_module(c) || c == ' ');
    let rows: Vec<_> = screen.lines().filter(is_row).map(|line| line.chars().count()).collect();
    assert!(rows.len() > 10 && rows.iter().all(|columns| columns.div_ceil(2) == rows.len()), "{screen}");
    screen.lines().filter(|line| !line.is_empty() && !is_row(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_whole_qr_code_with_the_code_below_it() {
    for columns in [80, 50, 30] {
        let env = TestEnv::new();
        let relay = env.relay();
        let shared = env.qshare(&["send", "--qr"]).arg(env.file("a.txt", "content")).via(&relay);
        let (sender, _keyboard) = shared.env("NO_COLOR", "1").start_on_a_screen(columns);
        sender.wait_for_message("ends the share.");
        let text = sender.messages();
        let code = text.split("Code: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
        let screen = Masks::new(&env.path("home"), &relay, code).screen(&sender, columns);
        if columns == 30 {
            for part in ["(the QR code needs ", "qshare://", "Code: CCCC"] {
                assert!(screen.contains(part), "{screen}");
            }
        } else {
            assert_snapshot!(format!("send_qr_{columns}"), without_qr_code(&screen));
        }
    }
}

#[test]
fn a_relay() {
    for columns in WIDTHS {
        let env = TestEnv::new();
        let listen = ["relay", "--listen", "127.0.0.1:0"];
        let (relay, _keyboard) = env.qshare(&listen).start_on_a_screen(columns);
        relay.wait_for_message("PATH");
        let text = relay.messages();
        let spec = text.split_whitespace().find(|word| word.contains('#')).unwrap();
        let (addr, pin) = spec.split_once('#').unwrap();
        let (_, port) = addr.split_once(':').unwrap();
        let masks = Masks(vec![(pin.to_owned(), 'P'), (port.to_owned(), '5')]);
        relay.signal(Signal::INT);
        relay.wait_for_message("Stopped.");
        assert_snapshot!(format!("relay_{columns}"), masks.screen(&relay, columns));
        relay.end();
    }
}

#[test]
fn errors() {
    for columns in WIDTHS {
        let env = TestEnv::new();
        let commands: [&[&str]; 4] = [
            &["recv", "XKY9-7HQ2MF"],
            &["send", "/no/such/file"],
            &["send", "https://example.com/a.zip"],
            &["send", "a", "--frob"],
        ];
        let mut shown = Vec::new();
        for args in commands {
            let (failing, _keyboard) = env.qshare(args).start_on_a_screen(columns);
            failing.wait_for_message("\n");
            let ended = failing.end();
            assert!(ended.stderr.contains("\x1b[31m"), "errors are red: {ended}");
            shown.push(screen(&ended.stderr, columns));
        }
        assert_snapshot!(format!("errors_{columns}"), shown.join("\n\n"));
    }
}

#[test]
fn the_menu() {
    for columns in WIDTHS {
        let env = TestEnv::new();
        let (menu, mut keyboard) = env.qshare(&[]).start_on_a_screen(columns);
        let answers = ["XKY9-7HQ2MF", "/no/such", "x", "1", "/no/such", "q"];
        for (n, answer) in answers.iter().enumerate() {
            menu.wait_for_messages("> ", n + 1);
            keyboard.line(answer);
        }
        let ended = menu.end().expect(0);
        assert_snapshot!(format!("menu_{columns}"), screen(&ended.stderr, columns));
    }
}
