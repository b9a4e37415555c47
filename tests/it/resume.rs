//! Downloads that were cut and are started again with the same command.
#![allow(clippy::print_stdout, reason = "what was seen, for whoever asks")]

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use qshare::code::{Code, Secret};
use rustix::process::Signal;

use crate::support::{
    FileTree, Process, ProcessOutput, QshareCommand, RelayProcess, SenderProcess, TestEnv, assert_only_staged,
    entry_names, hash_file, peak_memory, write_random_file, write_sparse_file,
};

const MIB: u64 = 1024 * 1024;

/// The hashes that parts are known by are those of so many bytes.
const GROUP: u64 = 16 * MIB;

const SIZE: u64 = 100 * MIB + 12_345;

/// A share of a large file and some small ones, and the folder that it is downloaded into.
struct Scene {
    env: TestEnv,
    relay: RelayProcess,
    sender: SenderProcess,
    into: PathBuf,
}

impl Scene {
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

    /// Starts a download, so slowly that it can be caught, and waits until so much of it is there.
    fn start(&self, bytes: u64) -> Process {
        let limited = self.env.recv(self.sender.code(), &self.into).via(&self.relay).args(&["--limit-down", "60MB"]);
        let mut receiver = limited.start();
        while receiver.wait_for("progress")["bytes"].as_u64().unwrap() < bytes {}
        receiver
    }

    /// A download of which so much is there, killed.
    fn kill_at(&self, bytes: u64) {
        let receiver = self.start(bytes);
        receiver.signal(Signal::KILL);
        receiver.end();
    }

    fn go_on(&self) -> ProcessOutput {
        self.env.recv(self.sender.code(), &self.into).via(&self.relay).run().expect(0)
    }

    /// Checks that everything arrived, and gives the bytes that were there before.
    fn assert_whole(&self, ended: &ProcessOutput) -> u64 {
        assert_eq!(FileTree::of(&self.into.join("t")), FileTree::of(&self.env.path("t")));
        let names: Vec<_> = fs::read_dir(&self.into).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["t"], "nothing is left");
        let (offer, finished) = (ended.event("offer"), ended.event("finished"));
        assert_eq!(finished["bytes"], offer["bytes"]);
        offer["resumed_bytes"].as_u64().unwrap()
    }

    /// What the download writes to.
    fn part_folder(&self) -> PathBuf {
        let id = self.sender.sharing["share"].as_str().unwrap();
        self.into.join(format!(".qshare-{}.part", &id[..16]))
    }

    /// The file that is there in part.
    fn part(&self) -> PathBuf {
        self.part_folder().join("files/t/big")
    }
}

#[test]
fn a_killed_receiver_goes_on_with_what_it_has() {
    let scene = Scene::new();
    scene.kill_at(50 * MIB);
    let there = fs::metadata(scene.part()).unwrap().len();
    assert!(there >= 40 * MIB);
    let ended = scene.go_on();
    let resumed = scene.assert_whole(&ended);
    assert!(resumed >= there / GROUP * GROUP && resumed < SIZE, "{resumed} of {there}");
}

#[test]
fn a_download_goes_on_after_ctrl_c_as_often_as_it_must() {
    let scene = Scene::new();
    let mut last = 0;
    for stop in [20 * MIB, 40 * MIB, 80 * MIB] {
        let stopped = scene.start(stop);
        stopped.signal(Signal::INT);
        let ended = stopped.end();
        let error = ended.expect_error(130, "interrupted", "interrupted");
        assert!(error.contains("run the same command again to resume"), "{error}");
        let resumed = ended.event("offer")["resumed_bytes"].as_u64().unwrap();
        assert!(resumed >= last, "{resumed} after {last}");
        last = resumed;
    }
    let ended = scene.go_on();
    assert!(scene.assert_whole(&ended) >= 64 * MIB);
    scene.sender.stop();
}

/// The code with another secret.
fn wrong(code: &str) -> String {
    let code = Code::parse(code).unwrap();
    Code::new(code.slot(), Secret::random(5).unwrap()).reveal().as_str().to_owned()
}

#[test]
fn who_comes_back_needs_no_guess() {
    let mut scene = Scene::new();
    scene.kill_at(50 * MIB);
    let stranger = TestEnv::new();
    let guess = |code: &str| stranger.recv(code, &stranger.path("guesses")).via(&scene.relay).run().code;
    let bad = wrong(scene.sender.code());
    while guess(&bad) != Some(7) {}
    assert_eq!(guess(scene.sender.code()), Some(7), "the code itself is refused now");
    let ended = scene.go_on();
    assert!(scene.assert_whole(&ended) >= 32 * MIB);
    assert_eq!(scene.sender.process.wait_for("download_finished")["bytes"], ended.event("finished")["bytes"]);
}

#[test]
fn a_second_download_beside_the_first_is_somebody_else() {
    let scene = Scene::new();
    let first = scene.start(30 * MIB);
    let other = scene.env.path("other");
    scene.env.recv(scene.sender.code(), &other).via(&scene.relay).run().expect(0);
    assert_eq!(FileTree::of(&other.join("t")), FileTree::of(&scene.env.path("t")));
    let ended = first.end().expect(0);
    assert!(ended.all("reconnecting").is_empty(), "{ended}");
    scene.assert_whole(&ended);
}

#[test]
fn who_comes_back_has_its_place() {
    let env = TestEnv::new();
    let relay = env.relay();
    let big = env.path("big");
    write_random_file(&big, SIZE);
    let sender = env.send(&[&big]).via(&relay).arg("--once").share();
    let scene = Scene { into: env.path("in"), env, relay, sender };
    scene.kill_at(50 * MIB);
    let stranger = TestEnv::new();
    let other = stranger.recv(scene.sender.code(), &stranger.path("other")).via(&scene.relay).run();
    other.expect_error(7, "refused", "download limit");
    scene.go_on();
    assert_eq!(FileTree::of(&scene.into.join("big")), FileTree::of(&big));
    scene.sender.process.end().expect(0);
}

#[test]
fn another_process_of_the_sender_knows_who_comes_back() {
    let mut scene = Scene::new();
    scene.kill_at(50 * MIB);
    let bad = wrong(scene.sender.code());
    let guess = |scene: &Scene| scene.env.recv(&bad, &scene.env.path("guesses")).via(&scene.relay).run().code;
    while guess(&scene) != Some(7) {}
    let code = scene.sender.code().to_owned();
    scene.sender.process.kill();
    scene.sender = scene.env.send(&[&scene.env.path("t")]).via(&scene.relay).share();
    assert_eq!(scene.sender.code(), code);
    assert_eq!(guess(&scene), Some(7), "a restart refills no budget");
    let ended = scene.go_on();
    assert!(scene.assert_whole(&ended) >= 32 * MIB);
}

/// A command whose files cannot become longer than this, as on a disk that is full.
fn on_a_full_disk(command: QshareCommand, bytes: u64) -> ProcessOutput {
    const BLOCK: u64 = 512;
    let (command, mut shell) = (command.into_command(), Command::new("sh"));
    let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", bytes / BLOCK);
    shell.env_clear().args(["-c", &limited, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    Process::watch("recv".to_owned(), child, stderr).end()
}

#[test]
fn a_disk_that_was_full_is_gone_on_with() {
    let scene = Scene::new();
    let recv = || scene.env.recv(scene.sender.code(), &scene.into).via(&scene.relay);
    let full = on_a_full_disk(recv(), 40 * MIB);
    full.expect_error(6, "disk", "“t/big”");
    assert_only_staged(&scene.into, "");
    let ended = scene.go_on();
    let resumed = scene.assert_whole(&ended);
    assert!((32 * MIB..SIZE).contains(&resumed), "{resumed}");
}

/// `RESUME_GIB=20` for a file of 20 GiB; there are holes in it at both ends.
#[test]
fn a_huge_file_is_gone_on_with_in_little_memory() {
    let gib = std::env::var("RESUME_GIB").map_or(2, |text| text.parse().unwrap());
    let env = TestEnv::new();
    let relay = env.relay();
    let (big, size) = (env.path("big"), gib * 1024 * MIB);
    write_sparse_file(&big, size);
    let sender = env.send(&[&big]).via(&relay).share();
    let scene = Scene { into: env.path("in"), env, relay, sender };
    scene.kill_at(40 * MIB);
    cut(&scene.part_folder().join("files/big"), size - 3 * GROUP / 2);
    let recv = scene.env.recv(scene.sender.code(), &scene.into).via(&scene.relay).start();
    let mut most = 0;
    while recv.is_running() {
        most = most.max(peak_memory(recv.id()).unwrap_or_default());
    }
    let ended = recv.end().expect(0);
    let resumed = ended.event("offer")["resumed_bytes"].as_u64().unwrap();
    assert!(resumed >= size - 2 * GROUP, "{resumed} of {size}");
    assert_eq!(hash_file(&scene.into.join("big")), hash_file(&big));
    let sending = peak_memory(scene.sender.process.id()).unwrap();
    println!("{gib} GiB: {most} bytes of memory at the receiver, {sending} at the sender");
    assert!(most.max(sending) < 96 * MIB, "{most}, {sending}");
}

#[test]
fn what_is_left_is_listed_and_can_be_removed() {
    let scene = Scene::new();
    let running = scene.start(30 * MIB);
    let parts = |args: &[&str]| scene.env.qshare(&[&["parts", "--json"], args].concat()).arg(&scene.into).run();
    let listed = || parts(&[]).expect(0).event("parts")["parts"].as_array().unwrap().clone();
    assert!(matches!(&listed()[..], [part] if part["running"] == true), "{:?}", listed());
    let cleared = parts(&["--clear"]).expect(0);
    assert!(cleared.all("cleared").is_empty(), "what is being written stays: {cleared}");
    assert_eq!(cleared.event("warning")["kind"], "running");
    running.signal(Signal::KILL);
    running.end();
    let [part] = &listed()[..] else { panic!("{:?}", listed()) };
    assert!(part["running"] == false && part["bytes"].as_u64().unwrap() >= 20 * MIB, "{part}");
    let impostor = scene.into.join(".qshare-0123456789abcdef.part");
    std::os::unix::fs::symlink("/tmp", &impostor).unwrap();
    fs::create_dir(scene.into.join(".qshare-notes.part")).unwrap();
    assert_eq!(listed().len(), 1, "a link, and what merely looks like it");
    assert_eq!(parts(&["--clear"]).expect(0).event("cleared")["path"], part["path"]);
    assert!(!scene.part_folder().exists() && impostor.symlink_metadata().is_ok());
    assert!(listed().is_empty());
    let ended = scene.go_on();
    assert_eq!(ended.event("offer")["resumed_bytes"], 0);
}

/// Changes a byte of a file.
fn flip(path: &Path, offset: u64) {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&[byte[0] ^ 0x20]).unwrap();
}

/// Makes a file as long as this.
fn cut(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn a_part_that_was_changed_is_not_trusted() {
    let ways: [fn(&Path); 5] = [
        |part| flip(part, 20 * MIB),
        |part| flip(part, 0),
        |part| cut(part, SIZE),
        |part| cut(part, 3),
        |part| fs::remove_file(part).unwrap(),
    ];
    let scene = Scene::new();
    for spoil in ways {
        scene.kill_at(50 * MIB);
        spoil(&scene.part());
        scene.assert_whole(&scene.go_on());
        fs::remove_dir_all(&scene.into).unwrap();
    }
}

#[test]
fn a_source_that_has_changed_is_gone_on_with_at_the_first_difference() {
    let scene = Scene::new();
    scene.kill_at(50 * MIB);
    flip(&scene.env.path("t/big"), 20 * MIB);
    // What was scanned just before is not what is there: whoever is offered that is told, and the next gets it as it is.
    let first = scene.env.recv(scene.sender.code(), &scene.into).via(&scene.relay).run();
    let ended = if first.all("finished").is_empty() {
        first.expect_error(1, "transfer", "“t/big” has changed");
        scene.go_on()
    } else {
        first
    };
    scene.assert_whole(&ended);
}

/// Whoever has been with a sender waits for it, also as another process, and whatever is away when it comes.
#[test]
fn a_receiver_that_is_started_again_waits_for_relay_and_sender() {
    let mut scene = Scene::new();
    scene.kill_at(50 * MIB);
    let code = scene.sender.code().to_owned();
    scene.sender.process.kill();
    scene.relay.process.kill();
    let mut receiver = scene.env.recv(&code, &scene.into).via(&scene.relay).start();
    receiver.wait_for("reconnecting");
    let addr = scene.relay.addr.clone();
    scene.relay = RelayProcess::start(scene.env.qshare(&["relay", "--json", "--listen", &addr]));
    while receiver.wait_for("reconnecting")["reason"] != "the sender has not reconnected yet" {}
    scene.sender = scene.env.send(&[&scene.env.path("t")]).via(&scene.relay).share();
    assert_eq!(scene.sender.code(), code);
    let ended = receiver.end().expect(0);
    assert!(scene.assert_whole(&ended) >= 32 * MIB);
    assert_eq!(ended.all("reconnected").len(), 1, "{ended}");
}

#[test]
fn who_is_not_to_wait_is_told_at_once() {
    let scene = Scene::new();
    scene.kill_at(50 * MIB);
    scene.relay.process.kill();
    let impatient = scene.env.recv(scene.sender.code(), &scene.into).via(&scene.relay).args(&["--retry-for", "0"]);
    let ended = impatient.run();
    ended.expect_error(5, "network", "cannot reach the relay");
    assert!(ended.all("reconnecting").is_empty());
}

/// What has its name already is not taken for somebody else's.
#[test]
fn a_download_that_was_stopped_while_it_gave_names_goes_on() {
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
    assert!(into.join("2/f").exists() && !into.join("4").exists(), "the names come in order");
    fs::remove_file(into.join("3")).unwrap();
    let ended = recv().run().expect(0);
    let (offer, finished) = (ended.event("offer"), ended.event("finished"));
    assert_eq!((&offer["resumed_bytes"], &finished["bytes"]), (&offer["bytes"], &offer["bytes"]));
    assert_eq!(finished["saved"].as_array().unwrap().len(), 6, "{finished}");
    let mut all = entry_names(&into);
    all.sort();
    assert_eq!(all, ["0", "1", "2", "3", "4", "9"]);
    assert_eq!(hash_file(&into.join("9")), hash_file(&big));
    recv().run().expect_error(6, "disk", "already exists");
}

/// What was executable is so, and nothing else, whatever the part was.
#[test]
fn a_file_gets_the_permissions_that_it_has_now() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    let big = scene.env.path("t/big");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let (plain, executable) = (mode(&big), mode(&big) | (mode(&big) & 0o444) >> 2);
    for (staged, now) in [(plain, executable), (0o4777, plain)] {
        scene.kill_at(50 * MIB);
        fs::set_permissions(scene.part(), fs::Permissions::from_mode(staged)).unwrap();
        fs::set_permissions(&big, fs::Permissions::from_mode(now)).unwrap();
        assert!(scene.assert_whole(&scene.go_on()) > 0);
        assert_eq!(mode(&scene.into.join("t/big")) & 0o111, now & 0o111, "{staged:o}");
        assert_eq!(mode(&scene.into.join("t/big")) & 0o7000, 0);
        fs::remove_dir_all(&scene.into).unwrap();
    }
}
