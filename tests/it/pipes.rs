//! Pipes and texts: `send -`, `send --text`, FIFOs, `recv --out -` and `--tar`.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, PipeWriter, Read, Write, pipe},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::support::{
    FileTree, Process, QshareCommand, RelayProcess, SenderProcess, TestEnv, UdpProxy, assert_only_staged, entry_names,
    hash_file, peak_memory, screen, write_random_file,
};

/// The most memory that each process may take for a pipe of any length, in bytes.
const MAX_MEMORY: u64 = 64 * 1024 * 1024;

/// Shares the read end of a new pipe. Returns its write end, too.
fn share_pipe<'a>(
    env: &TestEnv,
    relay: impl Into<Option<&'a RelayProcess>>,
    args: &[&str],
) -> (SenderProcess, PipeWriter) {
    let (read, write) = pipe().unwrap();
    let sender = env.qshare(&["send", "--json", "-"]).args(args).via(relay).stdin(read).share();
    (sender, write)
}

/// Returns `qshare recv CODE --out -`.
fn recv_output(env: &TestEnv, code: &str) -> QshareCommand {
    env.qshare(&["recv", "--out", "-", code])
}

/// Starts a receiver whose standard output the test reads.
fn start(command: QshareCommand) -> Child {
    let mut command = command.into_command();
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads until a line contains this text.
fn wait_for_line(output: &mut impl Read, text: &str) {
    let mut line = Vec::new();
    while !String::from_utf8_lossy(&line).contains(text) {
        if line.ends_with(b"\n") {
            line.clear();
        }
        let mut byte = [0]; // one at a time, so that nothing behind the line is lost
        assert_eq!(output.read(&mut byte).unwrap(), 1, "the output ended without “{text}”");
        line.push(byte[0]);
    }
}

/// Asserts that a receiver has ended with this code, and returns its messages.
fn expect_end(child: Child, code: i32) -> String {
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let messages = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{messages}");
    messages
}

#[test]
fn a_tree_goes_from_tar_to_tar() {
    TestEnv::with_each_relay(|env, relay| {
        env.file("s/d/a", "content");
        env.file(&format!("s/d/{}", "n".repeat(200)), vec![7; 1_000_000]);
        symlink("a", env.path("s/d/link")).unwrap();
        let mut tar = Command::new("tar")
            .args(["c", "--format=pax", "."])
            .current_dir(env.path("s"))
            .stdout(Stdio::piped())
            .spawn();
        let tar_output = tar.as_mut().unwrap().stdout.take().unwrap();
        let sender = env.qshare(&["send", "--json", "-", "--name", "site.tar"]).via(relay).stdin(tar_output).share();
        assert_eq!(sender.sharing["name"], "site.tar");
        assert!(sender.sharing["bytes"].is_null());
        let mut received = start(recv_output(env, sender.code()).via(relay));
        let into = env.folder("in");
        let unpacked = Command::new("tar").arg("x").current_dir(&into).stdin(received.stdout.take().unwrap()).status();
        assert!(unpacked.unwrap().success() && tar.unwrap().wait().unwrap().success());
        expect_end(received, 0);
        assert!(FileTree::of(&env.path("s")).differences(&FileTree::of(&into)).is_empty());
        let ended = sender.process.end().expect(0);
        assert_eq!(ended.event("stopped")["reason"], "once");
        assert!(!env.state().join("shares").exists() || entry_names(&env.state().join("shares")).is_empty());
    });
}

#[test]
fn each_line_arrives_when_it_is_written_and_another_receiver_is_refused() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (sender, mut input) = share_pipe(&env, &relay, &[]);
    let mut received = start(recv_output(&env, sender.code()).via(&relay));
    let mut lines = BufReader::new(received.stdout.take().unwrap()).lines();
    for line in ["one", "two"] {
        writeln!(input, "{line}").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), line);
    }
    let refused = env.recv(sender.code(), &env.path("in")).via(&relay).run();
    refused.expect_error(7, "refused", "another download has begun to read it");
    writeln!(input, "three").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "three");
    drop(input);
    assert!(lines.next().is_none());
    expect_end(received, 0);
    sender.process.end().expect(0);
}

#[test]
fn a_receiver_that_declines_lists_or_skips_leaves_the_pipe_to_the_next_one() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (sender, mut input) = share_pipe(&env, &relay, &["--name", "s"]);
    let into = env.path("in");
    let (receiver, mut keyboard) = env.recv_until_prompt(sender.code(), &relay, &into);
    keyboard.line("n");
    receiver.end().expect(7);
    let listed = env.qshare(&["recv", "--json", "--list", sender.code()]).via(&relay).run().expect(0);
    assert!(listed.event("entries")["entries"][0]["size"].is_null());
    env.file("in/s", "exists");
    env.recv(sender.code(), &into).via(&relay).arg("--skip").run().expect(0);
    write!(input, "content").unwrap();
    drop(input);
    env.recv(sender.code(), &into).via(&relay).arg("--overwrite").run().expect(0);
    assert_eq!(std::fs::read(into.join("s")).unwrap(), b"content");
    sender.process.end().expect(0);
}

#[test]
fn a_pipe_survives_a_lost_connection() {
    let env = TestEnv::new();
    let relay = env.relay();
    let proxy = UdpProxy::to(relay.addr.parse().unwrap());
    let (sender, mut input) = share_pipe(&env, &relay, &[]);
    let content = env.path("content");
    write_random_file(&content, 3_000_000);
    let bytes = std::fs::read(&content).unwrap();
    let spec = relay.spec().replace(&relay.addr, &proxy.addr().to_string());
    let mut received = start(recv_output(&env, sender.code()).args(&["--relay", &spec]));
    let mut out = received.stdout.take().unwrap();
    let (first, rest) = bytes.split_at(1_000_000);
    let mut arrived = vec![0; first.len()];
    input.write_all(first).unwrap();
    out.read_exact(&mut arrived).unwrap();
    proxy.rebind();
    proxy.block();
    let rest = rest.to_vec();
    let writer = thread::spawn(move || input.write_all(&rest).unwrap());
    // The receiver reports the loss; the pipe continues where it was.
    let mut messages = received.stderr.take().unwrap();
    wait_for_line(&mut messages, "reconnecting");
    proxy.unblock();
    out.read_to_end(&mut arrived).unwrap();
    assert!(arrived == bytes, "{} bytes", arrived.len());
    writer.join().unwrap();
    expect_end(received, 0);
    sender.process.end().expect(0);
}

#[test]
fn a_killed_receiver_cannot_continue_a_pipe_and_both_ends_say_so() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (sender, mut input) = share_pipe(&env, &relay, &[]);
    let mut killed = start(recv_output(&env, sender.code()).via(&relay));
    writeln!(input, "one").unwrap();
    wait_for_line(&mut killed.stdout.take().unwrap(), "one");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let messages = expect_end(start(recv_output(&env, sender.code()).via(&relay)), 7);
    assert!(messages.contains("can be downloaded once, and not resumed"), "{messages}");
    sender.process.end().expect_error(1, "transfer", "a pipe cannot be sent again");
}

#[test]
fn an_interrupted_receiver_ends_the_share_of_a_pipe() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (mut sender, mut input) = share_pipe(&env, &relay, &["--name", "s"]);
    let into = env.path("in");
    let receiver = env.recv(sender.code(), &into).via(&relay).start();
    sender.process.wait_for("download_started");
    input.write_all(&vec![1; 2_000_000]).unwrap();
    receiver.signal(Signal::INT);
    receiver.end().expect(130);
    assert!(entry_names(&into).is_empty(), "nothing that cannot be resumed is staged");
    sender.process.end().expect_error(1, "transfer", "cannot be sent again");
}

#[test]
fn a_reader_that_closes_ends_the_download_without_a_message() {
    let env = TestEnv::new();
    let relay = env.relay();
    env.file("big", vec![1; 20_000_000]);
    let mut sender = env.send(&[&env.path("big")]).via(&relay).share();
    for json in [false, true] {
        let command = recv_output(&env, sender.code()).via(&relay);
        let mut received = start(if json { command.arg("--json") } else { command });
        received.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap(); // and closes it
        let messages = expect_end(received, 1);
        assert_eq!(messages.contains("has closed it"), json, "{messages}");
        assert!(!messages.contains("error:"), "{messages}");
        let failed = sender.process.wait_for("download_failed");
        assert!(failed["error"].as_str().unwrap().contains("the reader of standard output has closed it"));
    }
    let mut full = recv_output(&env, sender.code()).via(&relay).into_command();
    let full = full.stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
    let messages = String::from_utf8(full.stderr).unwrap();
    assert!(full.status.code() == Some(6) && messages.contains("cannot write to standard output"), "{messages}");
}

#[test]
fn a_reader_that_waits_holds_up_the_sender_and_not_an_interruption() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (sender, mut input) = share_pipe(&env, &relay, &[]);
    let mut received = start(recv_output(&env, sender.code()).via(&relay));
    let mut out = received.stdout.take().unwrap();
    // More than all buffers on the way hold, so the writer waits until the reader reads.
    let writer = thread::spawn(move || {
        let written = (0..100).take_while(|_| input.write_all(&vec![3; 1_000_000]).is_ok()).count();
        (written, input)
    });
    let mut start_of_stream = vec![0; 40_000_000];
    out.read_exact(&mut start_of_stream).unwrap();
    for process in [sender.process.id().to_string(), received.id().to_string()] {
        assert!(peak_memory(process).is_none_or(|peak| peak < MAX_MEMORY));
    }
    // Nobody reads on, and Ctrl-C is not held up by that.
    let interrupted = rustix::process::Pid::from_child(&received);
    rustix::process::kill_process(interrupted, Signal::INT).unwrap();
    let messages = expect_end(received, 130);
    assert!(messages.contains("a pipe cannot be resumed"), "{messages}");
    sender.process.end().expect_error(1, "transfer", "cannot be sent again");
    assert!(writer.join().unwrap().0 < 100, "the writer was not held up");
}

#[test]
fn the_size_of_a_pipe_is_bounded_at_the_receiver() {
    let env = TestEnv::new();
    let relay = env.relay();
    let into = env.path("in");
    for to_disk in [true, false] {
        let (sender, mut input) = share_pipe(&env, &relay, &["--name", "s"]);
        let endless = thread::spawn(move || while input.write_all(&[5; 100_000]).is_ok() {});
        if to_disk {
            let refused = env.recv(sender.code(), &into).via(&relay).args(&["--max-size", "1MB"]).run();
            refused.expect_error(6, "disk", "--max-size");
            assert!(entry_names(&into).is_empty());
        } else {
            let mut received = start(recv_output(&env, sender.code()).via(&relay).args(&["--max-size", "1MB"]));
            let mut out = Vec::new();
            received.stdout.take().unwrap().read_to_end(&mut out).unwrap();
            assert!((500_000..=1_000_000).contains(&out.len()), "{}", out.len());
            assert!(expect_end(received, 6).contains("--max-size"));
        }
        sender.process.end().expect_error(1, "transfer", "cannot be sent again");
        endless.join().unwrap();
    }
}

#[test]
fn a_fifo_is_shared_under_its_name() {
    let env = TestEnv::new();
    let relay = env.relay();
    let fifo = env.path("numbers");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let refused = env.send(&[&fifo, &env.file("other", "x")]).via(&relay).run();
    refused.expect_error(2, "usage", "together with other paths");
    let sender = env.send(&[&fifo]).via(&relay).share();
    let path = fifo.clone();
    let writer = thread::spawn(move || std::fs::write(path, vec![9; 3_000_000]).unwrap());
    let into = env.path("in");
    let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert!(received.event("offer")["bytes"].is_null());
    assert_eq!(received.event("finished")["bytes"], 3_000_000);
    assert_eq!(std::fs::read(into.join("numbers")).unwrap(), vec![9; 3_000_000]);
    writer.join().unwrap();
    sender.process.end().expect(0);
}

#[test]
fn a_pipe_that_cannot_be_read_is_an_error_at_both_ends() {
    let env = TestEnv::new();
    let relay = env.relay();
    let unreadable = File::open("/proc/self/mem").unwrap(); // a read at its beginning fails
    let sender = env.qshare(&["send", "--json", "-"]).via(&relay).stdin(unreadable).share();
    let received = env.recv(sender.code(), &env.path("in")).via(&relay).run();
    received.expect_error(1, "transfer", "“stdin” can no longer be read");
    sender.process.end().expect_error(1, "transfer", "cannot be sent again");
}

#[test]
fn a_receiver_stays_alive_while_its_reader_waits() {
    let env = TestEnv::new();
    let relay = env.relay();
    let content = env.path("content");
    write_random_file(&content, 20_000_000);
    let sender = env.send(&[&content]).via(&relay).arg("--once").share();
    let mut received = start(recv_output(&env, sender.code()).via(&relay).args(&["-v", "-v"]));
    let mut out = received.stdout.take().unwrap();
    let mut arrived = vec![0; 1_000];
    out.read_exact(&mut arrived).unwrap();
    let mut log = received.stderr.take().unwrap();
    wait_for_line(&mut log, "the last credit is repeated");
    thread::spawn(move || log.read_to_end(&mut Vec::new())); // the log must not block the receiver
    out.read_to_end(&mut arrived).unwrap();
    assert!(arrived == std::fs::read(&content).unwrap(), "{} bytes", arrived.len());
    assert!(received.wait().unwrap().success());
    sender.process.end().expect(0);
}

#[test]
fn a_fifo_that_was_replaced_is_not_read() {
    let env = TestEnv::new();
    let relay = env.relay();
    let fifo = env.path("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let sender = env.send(&[&fifo]).via(&relay).share();
    std::fs::remove_file(&fifo).unwrap();
    symlink(env.file("private", "secret"), &fifo).unwrap();
    let received = start(recv_output(&env, sender.code()).via(&relay)).wait_with_output().unwrap();
    assert_eq!((received.status.code(), received.stdout), (Some(1), Vec::new()));
    assert!(String::from_utf8(received.stderr).unwrap().contains("is no longer a file"));
    sender.process.end().expect(1);
}

#[test]
fn options_that_do_not_apply_are_usage_errors() {
    let env = TestEnv::new();
    let send = |args: &[&str]| env.qshare(&["send", "--json"]).args(args).stdin(pipe().unwrap().0).run();
    for args in [["-", "--gitignore", "--quiet"], ["-", "--exclude", "x"], ["--text", "x", "--links=skip"]] {
        send(&args).expect_error(2, "usage", "select from files and folders");
    }
    send(&["-", "--max-downloads", "2"]).expect_error(2, "usage", "a pipe can be downloaded once");
}

#[test]
fn an_interrupted_sender_says_that_a_pipe_starts_again() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (sender, mut input) = share_pipe(&env, &relay, &[]);
    let mut received = start(recv_output(&env, sender.code()).via(&relay));
    writeln!(input, "one").unwrap();
    wait_for_line(&mut received.stdout.take().unwrap(), "one");
    sender.process.signal(Signal::INT);
    let e = sender.process.end();
    e.expect_error(130, "interrupted", "1 download running");
    assert!(e.event("error")["hint"].as_str().unwrap().contains("from its beginning"));
    assert!(expect_end(received, 3).contains("a pipe cannot be resumed"));
}

#[test]
fn ctrl_c_ends_a_tar_stream_that_nobody_reads_to_its_end() {
    let env = TestEnv::new();
    let relay = env.relay();
    env.file("s/h/a", "content");
    for n in 0..3_000 {
        symlink("a", env.path(&format!("s/h/link{n:04}"))).unwrap();
    }
    let sender = env.send(&[&env.path("s/h")]).via(&relay).share();
    let mut received = start(recv_output(&env, sender.code()).via(&relay).arg("--tar"));
    let mut out = received.stdout.take().unwrap();
    out.read_exact(&mut [0; 2048]).unwrap(); // the links that follow fill the pipe
    rustix::process::kill_process(rustix::process::Pid::from_child(&received), Signal::INT).unwrap();
    expect_end(received, 130);
}

#[test]
fn several_files_are_a_tar_stream_on_request() {
    let env = TestEnv::new();
    let relay = env.relay();
    let long = "n".repeat(150);
    env.file(&format!("s/h/{long}/{long}"), "deep");
    env.file("s/h/run.sh", "#!");
    std::fs::set_permissions(env.path("s/h/run.sh"), std::fs::Permissions::from_mode(0o750)).unwrap();
    env.folder("s/h/empty");
    symlink("run.sh", env.path("s/h/link")).unwrap();
    let sender = env.send(&[&env.path("s/h")]).via(&relay).share();
    let recv = |args: &[&str]| start(recv_output(&env, sender.code()).via(&relay).args(args));
    let messages = expect_end(recv(&[]), 2);
    assert!(messages.contains("only a single file") && messages.contains("--tar"), "{messages}");
    let mut received = recv(&["--tar"]);
    let into = env.folder("in");
    let stream = received.stdout.take().unwrap();
    assert!(Command::new("tar").arg("xp").current_dir(&into).stdin(stream).status().unwrap().success());
    expect_end(received, 0);
    let (sent, unpacked) = (FileTree::of(&env.path("s/h")), FileTree::of(&into.join("h")));
    assert_eq!(sent.len(), unpacked.len());
    for path in sent.differences(&unpacked) {
        // tar stores whole seconds.
        let mode = |top: &Path| std::fs::symlink_metadata(top.join(&path)).unwrap().permissions().mode();
        assert_eq!(mode(&env.path("s/h")), mode(&into.join("h")), "{}", path.display());
        let target = env.path("s/h").join(&path);
        assert!(target.is_dir() || hash_file(&target) == hash_file(&into.join("h").join(&path)));
    }
    let mut one = recv(&["--only", "run.sh"]);
    let mut content = String::new();
    one.stdout.take().unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, "#!");
    expect_end(one, 0);
    env.recv(sender.code(), &into).via(&relay).arg("--tar").run().expect_error(2, "usage", "--tar needs --out -");
}

#[test]
fn events_go_to_standard_error_beside_content() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("a", "content")]).via(&relay).share();
    let received = start(recv_output(&env, sender.code()).via(&relay).arg("--json")).wait_with_output().unwrap();
    assert_eq!(received.stdout, b"content");
    let events: Vec<serde_json::Value> =
        String::from_utf8(received.stderr).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = events.last().unwrap();
    assert!(events[0]["event"] == "offer" && last["event"] == "finished" && last["saved"][0] == "-", "{events:?}");
}

#[test]
fn what_cannot_be_piped_is_a_usage_error() {
    let env = TestEnv::new();
    let terminal = env.qshare(&["send", "-"]).start_at_a_terminal();
    assert!(terminal.0.end().expect(2).stderr.contains("standard input is a terminal"));
    let folder = env.qshare(&["send", "--json", "-"]).stdin(File::open(env.folder("f")).unwrap()).run();
    folder.expect_error(2, "usage", "standard input is a folder");
    let several = env.qshare(&["send", "--json", "-", "a"]).run();
    several.expect_error(2, "usage", "standard input together with other paths");
    let name = env.qshare(&["send", "--json", "-", "--name", "a/b"]).stdin(pipe().unwrap().0).run();
    name.expect_error(2, "usage", "cannot be the name of a file");
    let (screen, _keyboard) = env.qshare(&["recv", "XKY9-7HQ2ME", "--out", "-"]).start_on_a_screen(80);
    screen.wait_for_message("standard output is a terminal");
}

/// Starts a receiver at a terminal and returns the screen at its end.
fn screen_of(receiver: QshareCommand) -> String {
    let (process, _keyboard): (Process, _) = receiver.start_on_a_screen(80);
    screen(&process.end().expect(0).stderr, 80)
}

#[test]
fn a_text_is_shown_or_saved() {
    let env = TestEnv::new();
    let relay = env.relay();
    let text = "The door\tcode is 4711.\r\nescape \x1b[2J\u{202e}";
    let sender = env.qshare(&["send", "--json", "--text", text]).via(&relay).share();
    assert_eq!((&sender.sharing["text"], &sender.sharing["bytes"]), (&true.into(), &(text.len()).into()));
    let recv = || env.qshare(&["recv", sender.code()]).via(&relay);
    let shown = screen_of(recv());
    assert_eq!(shown.trim_end(), "The door        code is 4711.\nescape \\u{1b}[2J\\u{202e}");
    let piped = recv().run().expect(0);
    assert_eq!((piped.text().as_str(), piped.stderr.as_str()), (text, ""), "a script gets it unchanged");
    let events = recv().arg("--json").run().expect(0);
    assert_eq!(events.event("text")["text"], text);
    assert_eq!((&events.event("offer")["text"], &events.event("finished")["saved"]), (&true.into(), &[0; 0].into()));
    let into = env.path("in");
    recv().args(&["--json", "--max-size", "3"]).run().expect_error(6, "disk", "--max-size");
    env.recv(sender.code(), &into).via(&relay).args(&["--out", "note"]).run().expect(0);
    assert_eq!(std::fs::read_to_string(into.join("note")).unwrap(), text);
    env.recv(sender.code(), &into).via(&relay).args(&["--out", "."]).run().expect(0);
    assert_eq!(std::fs::read_to_string(into.join("text.txt")).unwrap(), text);
    sender.stop();
    assert_only_staged(&env.path("home/state/qshare/shares"), "a text may be a secret");
}

#[test]
fn a_text_is_read_from_standard_input() {
    let env = TestEnv::new();
    let relay = env.relay();
    let send = |content: &[u8]| {
        let (read, mut write) = pipe().unwrap();
        let content = content.to_vec();
        let command = env.qshare(&["send", "--json", "--text", "-", "--once"]).via(&relay).stdin(read);
        thread::spawn(move || drop(write.write_all(&content)));
        command
    };
    let sender = send("zwölf\n".as_bytes()).share();
    assert_eq!(env.qshare(&["recv", sender.code()]).via(&relay).run().expect(0).text(), "zwölf\n");
    sender.process.end().expect(0);
    send(b"").run().expect_error(2, "usage", "the text is empty");
    send(b"\xff\xfe").run().expect_error(2, "usage", "not text in UTF-8");
    send(&vec![b'x'; 1_200_000]).run().expect_error(2, "usage", "the text has more than");
    let (process, mut keyboard) = env.qshare(&["send", "--text", "-"]).via(&relay).start_at_a_terminal();
    process.wait_for_message("end it with Ctrl-D");
    keyboard.line("typed");
    keyboard.end();
    process.wait_for_message("Sharing a text: 6 B");
}
