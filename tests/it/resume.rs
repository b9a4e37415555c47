//! Interrupted downloads that the same command resumes.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use qshare::internals::code::{Code, Secret};
use rustix::process::Signal;

use crate::support::{
    FileTree, Process, ProcessOutput, QshareCommand, RelayProcess, SenderProcess, TestEnv, assert_only_staged,
    entry_names, hash_file, peak_memory, write_random_file, write_sparse_file,
};

const MIB: u64 = 1024 * 1024;

/// Staged data is compared in hash groups of this many bytes.
const GROUP: u64 = MIB;

const SIZE: u64 = 100 * MIB + 12_345;

/// A sender that shares a large file and some small ones, and a target folder.
struct ResumeTest {
    env: TestEnv,
    relay: RelayProcess,
    sender: SenderProcess,
    into: PathBuf,
}

impl ResumeTest {
    fn new() -> Self {
        let env = TestEnv::new();
        let shared = env.folder("t");
        fs::create_dir_all(shared.join("a/b")).unwrap();
        for i in 0..50 {
            fs::write(shared.join(format!("a/b/{i}")), vec![i; usize::from(i) * 100]).unwrap();
        }
        write_random_file(&shared.join("big"), SIZE);
        fs::write(shared.join("z"), "last").unwrap();
        let relay = env.relay();
        let sender = env.send(&[&shared]).via(&relay).share();
        let into = env.path("in");
        Self { env, relay, sender, into }
    }

    /// Starts a download that is slow enough to be interrupted, and waits until `bytes` have arrived.
    fn start_slowly(&self, bytes: u64) -> Process {
        let limited = self.env.recv(self.sender.code(), &self.into).via(&self.relay).args(&["--limit-down", "60MB"]);
        let mut receiver = limited.start();
        while receiver.wait_for("progress")["bytes"].as_u64().unwrap() < bytes {}
        receiver
    }

    /// Kills a download once `bytes` have arrived.
    fn kill_at(&self, bytes: u64) {
        let receiver = self.start_slowly(bytes);
        receiver.signal(Signal::KILL);
        receiver.end();
    }

    /// Runs the same command again, which must complete the download.
    fn resume(&self) -> ProcessOutput {
        self.env.recv(self.sender.code(), &self.into).via(&self.relay).run().expect(0)
    }

    /// Tries to download with a wrong secret.
    fn guess(&self, user: &TestEnv) -> ProcessOutput {
        user.recv(&wrong_code(self.sender.code()), &user.path("guesses")).via(&self.relay).run()
    }

    /// Uses up the guesses that one network has.
    fn exhaust_guess_budget(&self, user: &TestEnv) {
        for _ in 0..2 {
            self.guess(user).expect(4);
        }
        self.guess(user).expect(7);
    }

    /// Checks that everything has arrived. Returns the number of bytes that were resumed.
    fn assert_complete(&self, ended: &ProcessOutput) -> u64 {
        assert_eq!(FileTree::of(&self.into.join("t")), FileTree::of(&self.env.path("t")));
        assert_eq!(entry_names(&self.into), ["t"], "no staging folder is left");
        let (offer, finished) = (ended.event("offer"), ended.event("finished"));
        assert_eq!(finished["bytes"], offer["bytes"]);
        offer["resumed_bytes"].as_u64().unwrap()
    }

    /// Returns the staging folder.
    fn staging_folder(&self) -> PathBuf {
        let id = self.sender.sharing["share"].as_str().unwrap();
        self.into.join(format!(".qshare-{}.part", &id[..16]))
    }

    /// Returns the staged part of the large file.
    fn staged_file(&self) -> PathBuf {
        self.staging_folder().join("files/t/big")
    }
}

#[test]
fn a_killed_receiver_resumes_from_its_staged_data() {
    let test = ResumeTest::new();
    test.kill_at(50 * MIB);
    let staged = fs::metadata(test.staged_file()).unwrap().len();
    assert!(staged >= 40 * MIB);
    let ended = test.resume();
    let resumed = test.assert_complete(&ended);
    assert!(resumed >= staged / GROUP * GROUP && resumed < SIZE, "{resumed} of {staged}");
}

/// What has arrived is written at once, so only the last group is transferred again, and what was in flight.
#[test]
fn a_receiver_killed_on_a_slow_path_transfers_less_than_a_group_again() {
    const SLOW_SIZE: u64 = 8 * MIB + 77;
    let env = TestEnv::new();
    let relay = env.relay();
    let big = env.path("big");
    write_random_file(&big, SLOW_SIZE);
    let sender = env.send(&[&big]).via(&relay).args(&["--limit-up", "2MB"]).share();
    let test = ResumeTest { into: env.path("in"), env, relay, sender };
    for stop in [2 * MIB + MIB / 2, 5 * MIB] {
        let mut receiver = test.env.recv(test.sender.code(), &test.into).via(&test.relay).start();
        let mut arrived = 0;
        while arrived < stop {
            arrived = receiver.wait_for("progress")["bytes"].as_u64().unwrap();
        }
        receiver.signal(Signal::KILL);
        receiver.end();
        let staged = fs::metadata(test.staging_folder().join("files/big")).unwrap().len();
        assert!(staged >= arrived, "{staged} of {arrived} bytes are written");
        let mut resuming = test.env.recv(test.sender.code(), &test.into).via(&test.relay).start();
        let offered = resuming.wait_for("offer")["resumed_bytes"].as_u64().unwrap();
        let first_progress = resuming.wait_for("progress")["bytes"].as_u64().unwrap();
        resuming.signal(Signal::KILL);
        resuming.end();
        assert!(staged - offered < GROUP && first_progress >= offered, "{first_progress} after {offered} of {staged}");
    }
    test.resume();
    assert_eq!(FileTree::of(&test.into.join("big")), FileTree::of(&big));
}

#[test]
fn a_download_resumes_after_each_of_several_interruptions() {
    let test = ResumeTest::new();
    let mut last = 0;
    for stop in [20 * MIB, 40 * MIB, 80 * MIB] {
        let stopped = test.start_slowly(stop);
        stopped.signal(Signal::INT);
        let ended = stopped.end();
        let error = ended.expect_error(130, "interrupted", "interrupted");
        assert!(error.contains("run the same command again to resume"), "{error}");
        let resumed = ended.event("offer")["resumed_bytes"].as_u64().unwrap();
        assert!(resumed >= last, "{resumed} after {last}");
        last = resumed;
    }
    let ended = test.resume();
    assert!(test.assert_complete(&ended) >= 64 * MIB);
    test.sender.stop();
}

/// Returns the code with another secret.
fn wrong_code(code: &str) -> String {
    let code = Code::parse(code).unwrap();
    Code::new(code.slot(), Secret::random(5).unwrap()).reveal().as_str().to_owned()
}

#[test]
fn resuming_needs_no_guess() {
    let mut test = ResumeTest::new();
    test.kill_at(50 * MIB);
    let other_user = TestEnv::new();
    test.exhaust_guess_budget(&other_user);
    let right_code = other_user.recv(test.sender.code(), &other_user.path("guesses")).via(&test.relay).run();
    right_code.expect(7);
    let ended = test.resume();
    assert!(test.assert_complete(&ended) >= 32 * MIB);
    assert_eq!(test.sender.process.wait_for("download_finished")["bytes"], ended.event("finished")["bytes"]);
}

#[test]
fn a_second_download_beside_the_first_is_independent() {
    let test = ResumeTest::new();
    let first = test.start_slowly(30 * MIB);
    let other = test.env.path("other");
    test.env.recv(test.sender.code(), &other).via(&test.relay).run().expect(0);
    assert_eq!(FileTree::of(&other.join("t")), FileTree::of(&test.env.path("t")));
    let ended = first.end().expect(0);
    assert!(ended.all("reconnecting").is_empty(), "{ended}");
    test.assert_complete(&ended);
}

#[test]
fn an_interrupted_download_keeps_its_permit() {
    let env = TestEnv::new();
    let relay = env.relay();
    let big = env.path("big");
    write_random_file(&big, SIZE);
    let sender = env.send(&[&big]).via(&relay).arg("--once").share();
    let test = ResumeTest { into: env.path("in"), env, relay, sender };
    test.kill_at(50 * MIB);
    let other_user = TestEnv::new();
    let other = other_user.recv(test.sender.code(), &other_user.path("other")).via(&test.relay).run();
    other.expect_error(7, "refused", "download limit");
    test.resume();
    assert_eq!(FileTree::of(&test.into.join("big")), FileTree::of(&big));
    test.sender.process.end().expect(0);
}

#[test]
fn a_restarted_sender_recognizes_an_interrupted_download() {
    let mut test = ResumeTest::new();
    test.kill_at(50 * MIB);
    test.exhaust_guess_budget(&test.env);
    let code = test.sender.code().to_owned();
    test.sender.process.kill();
    test.sender = test.env.send(&[&test.env.path("t")]).via(&test.relay).share();
    assert_eq!(test.sender.code(), code);
    test.guess(&test.env).expect(7); // the restart has not refilled the budget
    let ended = test.resume();
    assert!(test.assert_complete(&ended) >= 32 * MIB);
}

/// Runs a command whose files cannot exceed `max_size`, as on a full disk.
fn run_on_a_full_disk(command: QshareCommand, max_size: u64) -> ProcessOutput {
    const BLOCK: u64 = 512;
    let (command, mut shell) = (command.into_command(), Command::new("sh"));
    let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", max_size / BLOCK);
    shell.env_clear().args(["-c", &limited, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    Process::watch("recv".to_owned(), child, stderr).end()
}

#[test]
fn a_download_resumes_after_the_disk_was_full() {
    let test = ResumeTest::new();
    let recv = || test.env.recv(test.sender.code(), &test.into).via(&test.relay);
    let full = run_on_a_full_disk(recv(), 40 * MIB);
    full.expect_error(6, "disk", "cannot write t/big");
    assert_only_staged(&test.into, "after the disk was full");
    let ended = test.resume();
    let resumed = test.assert_complete(&ended);
    assert!((32 * MIB..SIZE).contains(&resumed), "{resumed}");
}

/// `RESUME_GIB=20` sets the size to 20 GiB. The file is sparse at both ends.
#[test]
fn a_huge_file_resumes_in_less_than_64_mib_of_memory() {
    let gib = std::env::var("RESUME_GIB").map_or(2, |text| text.parse().unwrap());
    let env = TestEnv::new();
    let relay = env.relay();
    let (big, size) = (env.path("big"), gib * 1024 * MIB);
    write_sparse_file(&big, size);
    let sender = env.send(&[&big]).via(&relay).share();
    let test = ResumeTest { into: env.path("in"), env, relay, sender };
    test.kill_at(40 * MIB);
    set_length(&test.staging_folder().join("files/big"), size - 3 * GROUP / 2);
    let recv = test.env.recv(test.sender.code(), &test.into).via(&test.relay).start();
    let mut receiver_peak = 0;
    while recv.is_running() {
        receiver_peak = receiver_peak.max(peak_memory(recv.id()).unwrap_or_default());
    }
    let ended = recv.end().expect(0);
    let resumed = ended.event("offer")["resumed_bytes"].as_u64().unwrap();
    assert!(resumed >= size - 2 * GROUP, "{resumed} of {size}");
    assert_eq!(hash_file(&test.into.join("big")), hash_file(&big));
    let sender_peak = peak_memory(test.sender.process.id()).unwrap();
    println!("{gib} GiB: {receiver_peak} bytes of memory at the receiver, {sender_peak} at the sender");
    assert!(receiver_peak > 0, "the receiver ended before its memory was measured");
    assert!(receiver_peak.max(sender_peak) < 64 * MIB, "{receiver_peak}, {sender_peak}");
}

#[test]
fn interrupted_downloads_are_listed_and_can_be_removed() {
    let test = ResumeTest::new();
    let running = test.start_slowly(30 * MIB);
    let parts = |args: &[&str]| test.env.qshare(&[&["parts", "--json"], args].concat()).arg(&test.into).run();
    let listed = || parts(&[]).expect(0).event("parts")["parts"].as_array().unwrap().clone();
    assert!(matches!(&listed()[..], [part] if part["running"] == true), "{:?}", listed());
    let cleared = parts(&["--clear"]).expect(0);
    assert!(cleared.all("cleared").is_empty(), "a running download is not removed: {cleared}");
    assert_eq!(cleared.event("warning")["kind"], "running");
    running.signal(Signal::KILL);
    running.end();
    let [part] = &listed()[..] else { panic!("{:?}", listed()) };
    assert!(part["running"] == false && part["bytes"].as_u64().unwrap() >= 20 * MIB, "{part}");
    let impostor = test.into.join(".qshare-0123456789abcdef.part");
    std::os::unix::fs::symlink("/tmp", &impostor).unwrap();
    fs::create_dir(test.into.join(".qshare-notes.part")).unwrap();
    assert_eq!(listed().len(), 1, "links and folders of a similar name are not listed");
    assert_eq!(parts(&["--clear"]).expect(0).event("cleared")["path"], part["path"]);
    assert!(!test.staging_folder().exists() && impostor.symlink_metadata().is_ok());
    assert!(listed().is_empty());
    let ended = test.resume();
    assert_eq!(ended.event("offer")["resumed_bytes"], 0);
}

/// Flips a bit of a file.
fn flip_bit(path: &Path, offset: u64) {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&[byte[0] ^ 0x20]).unwrap();
}

/// Truncates or extends a file to this length.
fn set_length(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn modified_staged_data_is_detected() {
    let modifications: [fn(&Path); 5] = [
        |part| flip_bit(part, 20 * MIB),
        |part| flip_bit(part, 0),
        |part| set_length(part, SIZE),
        |part| set_length(part, 3),
        |part| fs::remove_file(part).unwrap(),
    ];
    let test = ResumeTest::new();
    for modify in modifications {
        test.kill_at(50 * MIB);
        modify(&test.staged_file());
        test.assert_complete(&test.resume());
        fs::remove_dir_all(&test.into).unwrap();
    }
}

#[test]
fn a_download_of_a_changed_source_resumes_at_the_first_difference() {
    let test = ResumeTest::new();
    test.kill_at(50 * MIB);
    flip_bit(&test.env.path("t/big"), 20 * MIB);
    let ended = test.resume();
    test.assert_complete(&ended);
}

/// A receiver that has downloaded from a sender before waits for it, even after a restart and without a relay.
#[test]
fn a_restarted_receiver_waits_for_the_relay_and_the_sender() {
    let mut test = ResumeTest::new();
    test.kill_at(50 * MIB);
    let code = test.sender.code().to_owned();
    test.sender.process.kill();
    test.relay.process.kill();
    let mut receiver = test.env.recv(&code, &test.into).via(&test.relay).start();
    receiver.wait_for("reconnecting");
    let addr = test.relay.addr.clone();
    test.relay = RelayProcess::start(test.env.qshare(&["relay", "--json", "--listen", &addr]));
    while receiver.wait_for("reconnecting")["reason"] != "the sender has not reconnected yet" {}
    test.sender = test.env.send(&[&test.env.path("t")]).via(&test.relay).share();
    assert_eq!(test.sender.code(), code);
    let ended = receiver.end().expect(0);
    assert!(test.assert_complete(&ended) >= 32 * MIB);
    assert_eq!(ended.all("reconnected").len(), 1, "{ended}");
}

#[test]
fn a_restarted_receiver_without_retries_fails_at_once() {
    let test = ResumeTest::new();
    test.kill_at(50 * MIB);
    test.relay.process.kill();
    let without_retries = test.env.recv(test.sender.code(), &test.into).via(&test.relay).args(&["--retry-for", "0"]);
    let ended = without_retries.run();
    ended.expect_error(5, "network", "cannot reach the relay");
    assert!(ended.all("reconnecting").is_empty());
}

/// Entries that already have their final name do not count as conflicts.
#[test]
fn a_download_interrupted_while_it_renamed_its_entries_resumes() {
    let env = TestEnv::new();
    let relay = env.relay();
    let paths: Vec<PathBuf> = (0..5).map(|n| env.file(&format!("from/{n}/f"), format!("content {n}"))).collect();
    let folders: Vec<&Path> = paths.iter().map(|path| path.parent().unwrap()).collect();
    let big = env.path("from/9");
    write_random_file(&big, 60 * MIB);
    let sender = env.send(&[&folders[..], &[&big]].concat()).via(&relay).share();
    let into = env.path("in");
    let recv = || env.recv(sender.code(), &into).via(&relay);
    let mut slow = recv().args(&["--limit-down", "60MB"]).start();
    slow.wait_for("progress");
    fs::write(into.join("3"), "in the way").unwrap();
    slow.end().expect_error(6, "disk", "3");
    assert!(into.join("2/f").exists() && !into.join("4").exists(), "entries are renamed in order");
    fs::remove_file(into.join("3")).unwrap();
    let ended = recv().run().expect(0);
    let (offer, finished) = (ended.event("offer"), ended.event("finished"));
    assert_eq!((&offer["resumed_bytes"], &finished["bytes"]), (&offer["bytes"], &offer["bytes"]));
    assert_eq!(finished["saved"].as_array().unwrap().len(), 6, "{finished}");
    assert_eq!(entry_names(&into), ["0", "1", "2", "3", "4", "9"]);
    assert_eq!(hash_file(&into.join("9")), hash_file(&big));
    recv().run().expect_error(6, "disk", "already exists");
}

/// Only the executable bit is taken over, whatever the permissions of the staged file are.
#[test]
fn a_resumed_file_gets_the_present_permissions_of_its_source() {
    use std::os::unix::fs::PermissionsExt as _;
    let test = ResumeTest::new();
    let big = test.env.path("t/big");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let (plain, executable) = (mode(&big), mode(&big) | (mode(&big) & 0o444) >> 2);
    for (staged, source) in [(plain, executable), (0o4777, plain)] {
        test.kill_at(50 * MIB);
        fs::set_permissions(test.staged_file(), fs::Permissions::from_mode(staged)).unwrap();
        fs::set_permissions(&big, fs::Permissions::from_mode(source)).unwrap();
        assert!(test.assert_complete(&test.resume()) > 0);
        assert_eq!(mode(&test.into.join("t/big")) & 0o111, source & 0o111, "{staged:o}");
        assert_eq!(mode(&test.into.join("t/big")) & 0o7000, 0);
        fs::remove_dir_all(&test.into).unwrap();
    }
}
