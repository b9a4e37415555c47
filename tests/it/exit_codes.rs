//! Every exit code and `kind` that scripts rely on, and what the message names.

use std::{
    fs::{self, File, Permissions},
    net::UdpSocket,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use qshare::code::{Code, Secret, Slot};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::support::{ProcessOutput, TestEnv};

/// A port that never answers, and whether anything came there.
struct Silent(UdpSocket);

impl Silent {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    fn addr(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    fn heard_something(&self) -> bool {
        self.0.recv(&mut [0; 2000]).is_ok()
    }
}

/// A code that nobody has.
fn some_code() -> String {
    Code::new(Slot::from_number(1), Secret::random(5).unwrap()).reveal().to_string()
}

/// Shares these paths and checks that this is a usage error that names `part`, said before any relay was asked.
#[track_caller]
fn refuses_to_share(env: &TestEnv, paths: &[&str], part: &str) {
    let relay = Silent::new();
    let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
    let refused = env.send(&paths).args(&["--relay", &relay.addr()]).run();
    refused.expect_error(2, "usage", part);
    assert_eq!(refused.events().len(), 1, "{refused}");
    assert!(!relay.heard_something());
}

#[test]
fn what_cannot_be_shared_is_named_before_a_code_is_shown() {
    let env = TestEnv::new();
    env.file("good", "");
    env.folder("folder");
    refuses_to_share(&env, &["missing"], "missing");
    refuses_to_share(&env, &["good", "folder/missing"], "folder/missing");
    mknodat(CWD, env.path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    refuses_to_share(&env, &["pipe"], "pipe is neither a file nor a folder");
    symlink("loop", env.path("loop")).unwrap();
    refuses_to_share(&env, &["loop"], "loop");
    env.file("folder/good", "");
    refuses_to_share(&env, &["good", "folder/good"], "folder/good");
    refuses_to_share(&env, &["folder", "folder/"], "same name");
    refuses_to_share(&env, &["/"], "/");
    env.file("hostile/a\nb\x1b[2J", "");
    refuses_to_share(&env, &["hostile"], "a\\u{a}b\\u{1b}[2J");
}

#[test]
fn what_cannot_be_read_is_named_before_a_code_is_shown() {
    let env = TestEnv::new();
    let secret = env.file("folder/secret", "");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    if File::open(&secret).is_ok() {
        return; // root reads everything
    }
    refuses_to_share(&env, &["folder/secret"], "secret");
    refuses_to_share(&env, &["folder"], "secret");
    let locked = env.folder("locked");
    fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
    refuses_to_share(&env, &["locked"], "locked");
    fs::set_permissions(&locked, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_typo_in_a_code_is_said_before_anything_is_sent() {
    let env = TestEnv::new();
    let relay = Silent::new();
    let recv = |code: &str| env.recv(code, &env.path("in")).args(&["--relay", &relay.addr()]).run();
    let code = some_code();
    let (body, check) = code.split_at(code.len() - 1);
    let typo = format!("{body}{}", if check == "X" { "Y" } else { "X" });
    recv(&typo).expect_error(2, "usage", "typo");
    recv(body).expect_error(2, "usage", "9 characters");
    recv("XKY9-7HQ2M0").expect_error(2, "usage", "“0”");
    recv("").expect_error(2, "usage", "code");
    recv(&format!("qshare://{}/{typo}", relay.addr())).expect_error(2, "usage", "typo");
    assert!(!relay.heard_something());
}

#[test]
fn an_unknown_slot_is_not_found() {
    let env = TestEnv::new();
    let relay = env.relay();
    let unknown = env.recv(&some_code(), &env.path("in")).via(&relay).run();
    unknown.expect_error(3, "not_found", "no such code");
}

#[test]
fn a_relay_that_does_not_answer_is_said_within_ten_seconds() {
    let env = TestEnv::new();
    let silent = Silent::new();
    let closed = Silent::new().addr();
    let file = env.file("file", "");
    let code = some_code();
    let began = Instant::now();
    let attempts = [silent.addr(), closed].map(|addr| {
        let relay = ["--relay", &addr];
        let recv = env.recv(&code, &env.path("in")).args(&relay).start();
        (env.send(&[&file]).args(&relay).start(), recv, addr)
    });
    for (send, recv, addr) in attempts {
        send.end().expect_error(5, "network", &addr);
        recv.end().expect_error(5, "network", &addr);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(silent.heard_something());
}

#[test]
fn a_relay_with_another_key_than_its_pin_is_refused() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "")]).via(&relay).share();
    let other = TestEnv::new().relay();
    let wrong = format!("{}#{}", relay.addr, other.pin);
    let file = env.path("file");
    for refused in [
        env.recv(sender.code(), &env.path("in")).args(&["--relay", &wrong]).run(),
        env.send(&[&file]).args(&["--relay", &wrong]).run(),
        env.recv(&sender.link().replace(&relay.pin, &other.pin), &env.path("in")).run(),
    ] {
        refused.expect_error(5, "network", "another key");
        assert!(refused.all("sharing").is_empty() && refused.all("offer").is_empty());
    }
    assert!(sender.stop().all("wrong_code").is_empty());
}

#[test]
fn an_unknown_host_is_a_network_error() {
    let env = TestEnv::new();
    let unknown = env.send(&[&env.file("file", "")]).args(&["--relay", "no-such-host.invalid"]).run();
    unknown.expect_error(5, "network", "no-such-host.invalid");
}

#[test]
fn an_idle_sender_ends_well_and_is_gone() {
    let env = TestEnv::new();
    let relay = env.relay();
    for signal in [Signal::INT, Signal::TERM] {
        let sender = env.send(&[&env.file("file", "")]).via(&relay).share();
        let code = sender.code().to_owned();
        sender.process.signal(signal);
        assert_eq!(sender.process.end().expect(0).event("stopped")["reason"], "interrupted");
        let late = env.recv(&code, &env.path("in")).via(&relay).run();
        late.expect_error(3, "not_found", "no such code");
    }
}

#[test]
fn a_share_ends_when_its_time_is_up() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "")]).via(&relay).args(&["--expire", "1s"]).share();
    let code = sender.code().to_owned();
    assert_eq!(sender.process.end().expect(0).event("stopped")["reason"], "expired");
    env.recv(&code, &env.path("in")).via(&relay).run().expect_error(3, "not_found", "no such code");
}

#[test]
fn a_relay_ends_well_on_ctrl_c_and_sigterm() {
    let env = TestEnv::new();
    for signal in [Signal::INT, Signal::TERM] {
        let relay = env.relay();
        relay.process.signal(signal);
        assert_eq!(relay.process.end().expect(0).event("stopped")["reason"], "interrupted");
    }
}

#[test]
fn two_relays_cannot_have_one_port() {
    let env = TestEnv::new();
    let relay = env.relay();
    let second = env.qshare(&["relay", "--json", "--listen", &relay.addr]).run();
    second.expect_error(5, "network", &relay.addr);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let env = TestEnv::new();
    let relay = env.relay();
    for n in 0..3_000 {
        env.file(&format!("tree/{n}"), "");
    }
    let sender = env.send(&[&env.path("tree")]).via(&relay).share();
    let recv = || env.qshare(&["recv", "--list", sender.code()]).via(&relay);
    for command in [
        recv(),
        recv().arg("--json"),
        env.qshare(&["relay", "--listen", "127.0.0.1:0"]),
        env.send(&[&env.path("tree")]).via(&relay),
        env.qshare(&["--help"]),
    ] {
        let mut command = command.into_command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{command:?}: {told}");
        assert!(!told.contains("error") && !told.contains("panic"), "{command:?}: {told}");
    }
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let env = TestEnv::new();
    let file = env.file("file", "");
    let file = file.to_str().unwrap();
    let code = some_code();
    let wrong: [&[&str]; 15] = [
        &[],
        &["fly"],
        &["send"],
        &["send", "--wrong-flag", file],
        &["send", "--once", "--max-downloads", "2", file],
        &["send", "--max-downloads", "0", file],
        &["send", "--expire", "soon", file],
        &["send", "--expire", "0s", file],
        &["send", "--code-length", "6", file],
        &["send", "--relay", "host:port", file],
        &["recv", "--yes"],
        &["recv", "--yes", "--overwrite", "--skip", &code],
        &["recv", "--yes", &code, "one too many"],
        &["relay", "--listen", "nowhere"],
        &[&code],
    ];
    let starts_json = |outcome: &ProcessOutput| outcome.text().starts_with("{\"event\":\"error\",\"kind\":\"usage\",");
    for words in wrong {
        let human = env.qshare(words).run();
        assert_eq!(human.code, Some(2), "{words:?}: {human}");
        assert!(human.text().is_empty() && human.stderr.contains("error: "), "{words:?}: {human}");
        let json = env.qshare(words).arg("--json").run();
        assert_eq!(json.code, Some(2), "{words:?}: {json}");
        assert!(starts_json(&json), "{words:?}: {json}");
        assert_eq!(json.stderr, "", "{words:?}");
    }
}
