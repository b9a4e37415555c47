//! Every exit code and error `kind`, and what the message names.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    net::UdpSocket,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use qshare::internals::code::{Code, Secret, Slot};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::support::{ProcessOutput, TestEnv};

/// A UDP port that never replies, and knows whether it received anything.
struct SilentServer(UdpSocket);

impl SilentServer {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    fn addr(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    fn received_something(&self) -> bool {
        self.0.recv(&mut [0; 2000]).is_ok()
    }
}

/// Returns a valid code that no sender has.
fn unused_code() -> String {
    Code::new(Slot::from_number(1), Secret::random(5).unwrap()).reveal().to_string()
}

/// Shares these paths and checks that this is a usage error whose message contains `part`, before any request to a
/// relay.
#[track_caller]
fn assert_refuses_to_share(env: &TestEnv, paths: &[&str], part: &str) {
    let relay = SilentServer::new();
    let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
    let refused = env.send(&paths).args(&["--relay", &relay.addr()]).run();
    refused.expect_error(2, "usage", part);
    assert_eq!(refused.events().len(), 1, "{refused}");
    assert!(!relay.received_something());
}

#[test]
fn paths_that_cannot_be_shared_are_reported_before_the_registration() {
    let env = TestEnv::new();
    env.file("good", "");
    env.folder("folder");
    assert_refuses_to_share(&env, &["missing"], "missing");
    assert_refuses_to_share(&env, &["good", "folder/missing"], "folder/missing");
    mknodat(CWD, env.path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_refuses_to_share(&env, &["good", "pipe"], "cannot share the pipe ");
    symlink("loop", env.path("loop")).unwrap();
    assert_refuses_to_share(&env, &["loop"], "loop");
    env.file("folder/good", "");
    assert_refuses_to_share(&env, &["good", "folder/good"], "folder/good");
    assert_refuses_to_share(&env, &["folder", "folder/"], "same name");
    assert_refuses_to_share(&env, &["/"], "/");
    env.file("hostile/a\nb\x1b[2J", "");
    assert_refuses_to_share(&env, &["hostile"], "a\\u{a}b\\u{1b}[2J");
}

#[test]
fn paths_that_cannot_be_read_are_reported_before_the_registration() {
    let env = TestEnv::new();
    let secret = env.file("folder/secret", "");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    if File::open(&secret).is_ok() {
        return; // root can read everything, so there is nothing to test
    }
    assert_refuses_to_share(&env, &["folder/secret"], "secret");
    assert_refuses_to_share(&env, &["folder"], "secret");
    let locked = env.folder("locked");
    fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
    assert_refuses_to_share(&env, &["locked"], "locked");
    fs::set_permissions(&locked, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_typo_in_a_code_is_reported_before_anything_is_sent() {
    let env = TestEnv::new();
    let relay = SilentServer::new();
    let recv = |code: &str| env.recv(code, &env.path("in")).args(&["--relay", &relay.addr()]).run();
    let code = unused_code();
    let (body, check) = code.split_at(code.len() - 1);
    let typo = format!("{body}{}", if check == "X" { "Y" } else { "X" });
    recv(&typo).expect_error(2, "usage", "typo");
    recv(body).expect_error(2, "usage", "9 characters");
    recv("XKY9-7HQ2M0").expect_error(2, "usage", "“0”");
    recv("").expect_error(2, "usage", "code");
    recv(&format!("qshare://{}/{typo}", relay.addr())).expect_error(2, "usage", "typo");
    assert!(!relay.received_something());
}

#[test]
fn an_unknown_slot_is_not_found() {
    let env = TestEnv::new();
    let relay = env.relay();
    let unknown = env.recv(&unused_code(), &env.path("in")).via(&relay).run();
    unknown.expect_error(3, "not_found", "no such code");
}

#[test]
fn an_unresponsive_relay_is_reported_within_ten_seconds() {
    let env = TestEnv::new();
    let silent = SilentServer::new();
    let closed = SilentServer::new().addr();
    let file = env.file("file", "");
    let code = unused_code();
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
    assert!(silent.received_something());
}

#[test]
fn a_relay_whose_key_does_not_match_the_pin_is_refused() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "")]).via(&relay).share();
    let other = TestEnv::new().relay();
    let silent = SilentServer::new();
    let wrong = format!("{}#{}", relay.addr, other.pin);
    let file = env.path("file");
    for refused in [
        env.recv(sender.code(), &env.path("in")).args(&["--relay", &wrong]).run(),
        env.send(&[&file]).args(&["--relay", &wrong]).run(),
        env.recv(&sender.link().replace(&relay.pin, &other.pin), &env.path("in")).run(),
        // The other address never answers.
        env.recv(
            &sender.link().replace(&format!("#{}", relay.pin), &format!("?alt={}#{}", silent.addr(), other.pin)),
            &env.path("in"),
        )
        .run(),
    ] {
        refused.expect_error(4, "wrong_code", "another key");
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
fn an_idle_sender_exits_with_0_on_a_signal_and_its_code_becomes_invalid() {
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
fn a_share_ends_when_it_expires() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "")]).via(&relay).args(&["--expire", "1s"]).share();
    let code = sender.code().to_owned();
    assert_eq!(sender.process.end().expect(0).event("stopped")["reason"], "expired");
    env.recv(&code, &env.path("in")).via(&relay).run().expect_error(3, "not_found", "no such code");
}

#[test]
fn a_relay_exits_with_0_on_ctrl_c_and_sigterm() {
    let env = TestEnv::new();
    for signal in [Signal::INT, Signal::TERM] {
        let relay = env.relay();
        relay.process.signal(signal);
        assert_eq!(relay.process.end().expect(0).event("stopped")["reason"], "interrupted");
    }
}

#[test]
fn two_relays_cannot_listen_on_one_port() {
    let env = TestEnv::new();
    let relay = env.relay();
    let second = env.qshare(&["relay", "--json", "--listen", &relay.addr]).run();
    second.expect_error(5, "network", &relay.addr);
}

#[test]
fn a_relay_survives_the_end_of_its_terminal() {
    let env = TestEnv::new();
    let relay = env.relay();
    relay.process.signal(Signal::HUP);
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    env.recv(sender.code(), &env.folder("in")).via(&relay).run().expect(0);
    relay.process.signal(Signal::TERM);
    relay.process.end().expect(0);
}

#[test]
fn a_closed_port_is_reported_at_once() {
    let env = TestEnv::new();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // closed at the end of the statement
    let file = env.file("file", "content");
    let ended = env.send(&[&file]).args(&["--relay", &closed.to_string()]).run();
    ended.expect_error(5, "network", "nothing listens on its port");
    let link = format!("qshare://{closed}/XKY9-7HQ2ME");
    let ended = env.qshare(&["recv", "--yes", "--json", &link]).run();
    ended.expect_error(5, "network", "nothing listens on its port");
    assert!(ended.event("error")["hint"].as_str().unwrap().contains("stopped sharing"), "{ended}");
}

#[test]
fn a_script_passes_the_code_on_standard_input() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let into = env.folder("in");
    let mut command = env.qshare(&["recv", "--yes", "--out"]).arg(&into).via(&relay).into_command();
    let mut receiver = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let line = format!("qshare recv {}\n", sender.code());
    receiver.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    assert_eq!(receiver.wait().unwrap().code(), Some(0));
    assert!(into.join("file").exists());
    // A typo is reported before the missing consent.
    env.qshare(&["recv", "--json", "XKY9-7HQ2MF"]).via(&relay).run().expect_error(2, "usage", "typo");
}

/// The system's signal for a file that is too large would end the process.
#[test]
fn a_limit_of_file_sizes_is_a_disk_error() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "x".repeat(1_000_000))]).via(&relay).share();
    let command = env.recv(sender.code(), &env.folder("in")).via(&relay).into_command();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 64; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = limited.output().unwrap();
    let stdout = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(6), "{stdout}");
    assert!(stdout.contains("\"kind\":\"disk\""), "{stdout}");
}

#[test]
fn a_closed_pipe_ends_a_listing_and_the_help_without_an_error() {
    let env = TestEnv::new();
    let relay = env.relay();
    for n in 0..3_000 {
        env.file(&format!("tree/{n}"), "");
    }
    let sender = env.send(&[&env.path("tree")]).via(&relay).share();
    let recv = || env.qshare(&["recv", "--list", sender.code()]).via(&relay);
    for command in [recv(), recv().arg("--json"), env.qshare(&["--help"])] {
        let mut command = command.into_command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{command:?}: {stderr}");
        assert!(!stderr.contains("error") && !stderr.contains("panic"), "{command:?}: {stderr}");
    }
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let env = TestEnv::new();
    let file = env.file("file", "");
    let file = file.to_str().unwrap();
    let code = unused_code();
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
