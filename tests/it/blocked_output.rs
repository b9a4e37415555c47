//! Outputs that fail, and outputs that nobody reads. The work continues without them.

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use rustix::{
    pipe::fcntl_setpipe_size,
    process::{Pid, Signal, kill_process},
};
use serde_json::Value;

use crate::support::{RelayProcess, TestEnv};

/// More downloads than a pipe of one page has room for the events of.
const DOWNLOADS: usize = 20;

/// Starts `send --json` with a pipe of one page as standard output, and reads the code from it.
fn start_sender(env: &TestEnv, relay: &RelayProcess) -> (Child, BufReader<ChildStdout>, String) {
    let file = env.file("file", "content");
    let mut command = env.send(&[&file]).via(relay).into_command();
    let mut sender = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = sender.stdout.take().unwrap();
    fcntl_setpipe_size(&out, 4096).unwrap();
    let (mut out, mut line) = (BufReader::new(out), String::new());
    out.read_line(&mut line).unwrap();
    let sharing: Value = serde_json::from_str(&line).unwrap();
    (sender, out, sharing["code"].as_str().unwrap().to_owned())
}

fn download(env: &TestEnv, relay: &RelayProcess, code: &str, times: usize) {
    for n in 0..times {
        env.recv(code, &env.folder(&format!("in{n}"))).via(relay).run().expect(0);
    }
}

fn terminate(sender: &Child) {
    kill_process(Pid::from_child(sender), Signal::TERM).unwrap();
}

#[test]
fn a_share_whose_output_nobody_reads_serves_receivers_and_ends_on_a_signal() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (mut sender, unread, code) = start_sender(&env, &relay);
    download(&env, &relay, &code, DOWNLOADS);
    terminate(&sender);
    assert_eq!(sender.wait().unwrap().code(), Some(0));
    drop(unread);
}

#[test]
fn a_reader_that_pauses_gets_every_outcome() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (mut sender, paused, code) = start_sender(&env, &relay);
    download(&env, &relay, &code, DOWNLOADS);
    let mut finished = 0;
    for line in paused.lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        finished += usize::from(event["event"] == "download_finished");
        if finished == DOWNLOADS {
            break;
        }
    }
    terminate(&sender);
    assert_eq!(sender.wait().unwrap().code(), Some(0));
}

/// As with `qshare send --json | head -1`, which a script uses to read the code.
#[test]
fn a_share_continues_after_its_output_is_closed() {
    let env = TestEnv::new();
    let relay = env.relay();
    let (mut sender, out, code) = start_sender(&env, &relay);
    drop(out);
    download(&env, &relay, &code, 3);
    terminate(&sender);
    assert_eq!(sender.wait().unwrap().code(), Some(0));
}

#[test]
fn a_download_completes_although_its_output_is_on_a_full_disk_and_the_exit_code_says_so() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    for json in [true, false] {
        let into = env.folder(&format!("in-{json}"));
        let args = if json { &["--json", "--yes"][..] } else { &["--yes"] };
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let command = env.qshare(&["recv", sender.code(), "--out"]).arg(&into).args(args).via(&relay);
        let ended = command.into_command().stdout(full).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("cannot write to standard output"), "{stderr}");
        assert_eq!(std::fs::read_to_string(into.join("file")).unwrap(), "content");
    }
}
