//! What stands at the target already, `--out`, and the space that is left.

use std::fs;

use crate::support::{FileTree, ProcessOutput, RelayProcess, SenderProcess, TestEnv, write_sparse_file};

/// A folder is shared: `box/one`, `box/two`.
struct Shared {
    env: TestEnv,
    relay: RelayProcess,
    sender: SenderProcess,
}

impl Shared {
    fn folder() -> Self {
        let env = TestEnv::new();
        env.file("box/one", "new 1");
        env.file("box/two", "new 2");
        Self::path(env, "box")
    }

    fn file() -> Self {
        let env = TestEnv::new();
        env.file("file.txt", "new");
        Self::path(env, "file.txt")
    }

    fn path(env: TestEnv, name: &str) -> Self {
        let relay = env.relay();
        let sender = env.send(&[&env.path(name)]).via(&relay).share();
        Self { env, relay, sender }
    }

    /// Runs a receiver in the folder `into`.
    fn recv(&self, into: &str, args: &[&str]) -> ProcessOutput {
        self.env.recv(self.sender.code(), &self.env.path(into)).via(&self.relay).args(args).run()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.env.path(name)).unwrap()
    }

    /// The names in a folder, in order.
    fn entry_names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.env.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn what_stands_already_is_named_and_stays() {
    let shared = Shared::file();
    for standing in ["in/file.txt", "in2/file.txt/inside"] {
        shared.env.file(standing, "mine");
        let into = standing.split('/').next().unwrap();
        let told = shared.recv(into, &[]).expect_error(6, "disk", "file.txt already exists");
        assert!(told.contains("--overwrite") && told.contains("--rename") && told.contains("--skip"), "{told}");
        assert_eq!(shared.read(standing), "mine");
        assert_eq!(shared.entry_names(into), ["file.txt"]);
    }
    std::os::unix::fs::symlink("nowhere", shared.env.folder("in3").join("file.txt")).unwrap();
    shared.recv("in3", &[]).expect_error(6, "disk", "file.txt already exists");
    assert!(shared.sender.stop().all("download_started").is_empty(), "nothing was sent");
}

#[test]
fn overwrite_replaces_files_and_merges_folders() {
    let shared = Shared::folder();
    shared.env.file("in/box/one", "old 1");
    shared.env.file("in/box/three", "old 3");
    shared.recv("in", &["--overwrite"]).expect(0);
    assert_eq!(shared.entry_names("in/box"), ["one", "three", "two"]);
    assert_eq!(["one", "two", "three"].map(|n| shared.read(&format!("in/box/{n}"))), ["new 1", "new 2", "old 3"]);
    shared.env.file("in2/box", "a file");
    shared.recv("in2", &["--overwrite"]).expect_error(6, "disk", "box");
    assert_eq!(shared.read("in2/box"), "a file");
}

#[test]
fn overwrite_replaces_a_link_and_not_what_it_points_to() {
    let shared = Shared::file();
    let precious = shared.env.file("precious", "mine");
    std::os::unix::fs::symlink(&precious, shared.env.folder("in").join("file.txt")).unwrap();
    shared.recv("in", &["--overwrite"]).expect(0);
    assert_eq!(shared.read("precious"), "mine");
    assert_eq!(FileTree::of(&shared.env.path("in/file.txt")), FileTree::of(&shared.env.path("file.txt")));
}

#[test]
fn rename_finds_a_free_name() {
    let shared = Shared::file();
    shared.env.file("in/file.txt", "mine");
    for name in ["file (1).txt", "file (2).txt"] {
        let received = shared.recv("in", &["--rename"]).expect(0);
        assert_eq!(received.event("finished")["saved"], serde_json::json!([name]));
        assert_eq!(shared.read(&format!("in/{name}")), "new");
    }
    assert_eq!(shared.read("in/file.txt"), "mine");
}

#[test]
fn skip_leaves_what_stands() {
    let shared = Shared::folder();
    shared.env.file("in/box/one", "old 1");
    let received = shared.recv("in", &["--skip"]).expect(0);
    assert_eq!(received.event("finished")["files"], 1);
    assert_eq!(["one", "two"].map(|n| shared.read(&format!("in/box/{n}"))), ["old 1", "new 2"]);
    let again = shared.recv("in", &["--skip"]).expect(0);
    assert_eq!(again.event("finished")["files"], 0);
}

#[test]
fn out_is_a_folder_or_a_name() {
    let shared = Shared::file();
    shared.env.folder("in/standing");
    for (out, saved) in [("other.name", "other.name"), ("standing", "standing/file.txt"), ("made/", "made/file.txt")] {
        let received = shared.recv("in", &["--out", out]).expect(0);
        assert_eq!(received.event("finished")["saved"], serde_json::json!([saved]));
        assert_eq!(shared.read(&format!("in/{saved}")), "new");
    }
    shared.recv("in", &["--out", "other.name"]).expect_error(6, "disk", "other.name");
    shared.recv("in", &["--out", "no/such/folder"]).expect_error(6, "disk", "no/such");
    shared.recv("in", &["--out", "other.name/below"]).expect_error(6, "disk", "other.name");
    assert_eq!(shared.entry_names("in"), ["made", "other.name", "standing"]);
}

#[test]
fn out_for_a_folder_is_the_folder_that_will_hold_it() {
    let shared = Shared::folder();
    let received = shared.recv("in", &["--out", "made"]).expect(0);
    assert_eq!(received.event("finished")["saved"], serde_json::json!(["made/box"]));
    assert_eq!(shared.read("in/made/box/one"), "new 1");
}

#[test]
fn too_little_space_is_said_before_the_first_byte() {
    const TERA: u64 = 1 << 40;
    let env = TestEnv::new();
    let space = rustix::fs::statvfs(env.path("home")).unwrap();
    let free = space.f_bavail * space.f_frsize;
    env.folder("huge");
    for n in 0..=free / TERA {
        write_sparse_file(&env.path(&format!("huge/{n}")), TERA);
    }
    let shared = Shared::path(env, "huge");
    shared.recv("in", &[]).expect_error(6, "disk", "not enough space");
    assert!(shared.entry_names("in").is_empty());
    assert!(shared.sender.stop().all("download_started").is_empty());
}

#[test]
fn a_folder_that_cannot_be_written_is_said_before_the_first_byte() {
    use std::os::unix::fs::PermissionsExt;
    let shared = Shared::file();
    let locked = shared.env.folder("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        return; // root writes everywhere
    }
    shared.recv("locked", &[]).expect_error(6, "disk", "--out");
    assert!(shared.sender.stop().all("download_started").is_empty());
}
