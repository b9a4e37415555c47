//! Targets that already exist, `--out`, and targets that cannot be written.

use std::fs;

use serde_json::json;

use crate::support::{FileTree, ProcessOutput, RelayProcess, SenderProcess, TestEnv, entry_names};

/// A sender that shares a file or a folder.
struct ConflictTest {
    env: TestEnv,
    relay: RelayProcess,
    sender: SenderProcess,
}

impl ConflictTest {
    /// Shares the folder `box` with the files `one` and `two`.
    fn folder() -> Self {
        let env = TestEnv::new();
        env.file("box/one", "new 1");
        env.file("box/two", "new 2");
        Self::share(env, "box")
    }

    /// Shares the file `file.txt`.
    fn file() -> Self {
        let env = TestEnv::new();
        env.file("file.txt", "new");
        Self::share(env, "file.txt")
    }

    fn share(env: TestEnv, name: &str) -> Self {
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

    /// Returns the names of the entries of a folder, in order.
    fn entry_names(&self, folder: &str) -> Vec<String> {
        entry_names(&self.env.path(folder))
    }
}

#[test]
fn an_existing_target_is_kept_and_the_message_names_it() {
    let test = ConflictTest::file();
    for existing in ["in/file.txt", "in2/file.txt/inside"] {
        test.env.file(existing, "mine");
        let into = existing.split('/').next().unwrap();
        let message = test.recv(into, &[]).expect_error(6, "disk", "file.txt already exists");
        assert!(
            message.contains("--overwrite") && message.contains("--rename") && message.contains("--skip"),
            "{message}"
        );
        assert_eq!(test.read(existing), "mine");
        assert_eq!(test.entry_names(into), ["file.txt"]);
    }
    std::os::unix::fs::symlink("nowhere", test.env.folder("in3").join("file.txt")).unwrap();
    test.recv("in3", &[]).expect_error(6, "disk", "file.txt already exists");
    assert!(test.sender.stop().all("download_started").is_empty(), "nothing was sent");
}

#[test]
fn overwrite_replaces_files_and_merges_folders() {
    let test = ConflictTest::folder();
    test.env.file("in/box/one", "old 1");
    test.env.file("in/box/three", "old 3");
    test.recv("in", &["--overwrite"]).expect(0);
    assert_eq!(test.entry_names("in/box"), ["one", "three", "two"]);
    assert_eq!(["one", "two", "three"].map(|n| test.read(&format!("in/box/{n}"))), ["new 1", "new 2", "old 3"]);
    test.env.file("in2/box", "a file");
    test.recv("in2", &["--overwrite"]).expect_error(6, "disk", "box");
    assert_eq!(test.read("in2/box"), "a file");
}

#[test]
fn overwrite_replaces_a_link_and_not_its_target() {
    let test = ConflictTest::file();
    let precious = test.env.file("precious", "mine");
    std::os::unix::fs::symlink(&precious, test.env.folder("in").join("file.txt")).unwrap();
    test.recv("in", &["--overwrite"]).expect(0);
    assert_eq!(test.read("precious"), "mine");
    assert_eq!(FileTree::of(&test.env.path("in/file.txt")), FileTree::of(&test.env.path("file.txt")));
}

#[test]
fn rename_saves_under_a_free_name() {
    let test = ConflictTest::file();
    test.env.file("in/file.txt", "mine");
    for name in ["file (1).txt", "file (2).txt"] {
        let received = test.recv("in", &["--rename"]).expect(0);
        assert_eq!(received.event("finished")["saved"], json!([name]));
        assert_eq!(test.read(&format!("in/{name}")), "new");
    }
    assert_eq!(test.read("in/file.txt"), "mine");
}

#[test]
fn skip_keeps_existing_files() {
    let test = ConflictTest::folder();
    test.env.file("in/box/one", "old 1");
    let received = test.recv("in", &["--skip"]).expect(0);
    assert_eq!((&received.event("finished")["files"], &received.event("finished")["skipped"]), (&json!(1), &json!(1)));
    assert_eq!(["one", "two"].map(|n| test.read(&format!("in/box/{n}"))), ["old 1", "new 2"]);
    let again = test.recv("in", &["--skip"]).expect(0);
    assert_eq!((&again.event("finished")["files"], &again.event("finished")["skipped"]), (&json!(0), &json!(2)));
}

#[test]
fn out_names_a_folder_or_the_file_itself() {
    let test = ConflictTest::file();
    test.env.folder("in/existing");
    for (out, saved) in [("other.name", "other.name"), ("existing", "existing/file.txt"), ("made/", "made/file.txt")] {
        let received = test.recv("in", &["--out", out]).expect(0);
        assert_eq!(received.event("finished")["saved"], json!([saved]));
        assert_eq!(test.read(&format!("in/{saved}")), "new");
    }
    test.recv("in", &["--out", "other.name"]).expect_error(6, "disk", "other.name");
    test.recv("in", &["--out", "no/such/folder"]).expect_error(6, "disk", "no/such");
    test.recv("in", &["--out", "other.name/below"]).expect_error(6, "disk", "other.name");
    assert_eq!(test.entry_names("in"), ["existing", "made", "other.name"]);
}

#[test]
fn out_for_a_shared_folder_names_its_parent_folder() {
    let test = ConflictTest::folder();
    let received = test.recv("in", &["--out", "made"]).expect(0);
    assert_eq!(received.event("finished")["saved"], json!(["made/box"]));
    assert_eq!(test.read("in/made/box/one"), "new 1");
}

#[test]
fn a_read_only_target_is_reported_before_the_download_starts() {
    use std::os::unix::fs::PermissionsExt;
    let test = ConflictTest::file();
    let locked = test.env.folder("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        return; // root can write everywhere, so there is nothing to test
    }
    test.recv("locked", &[]).expect_error(6, "disk", "--out");
    assert!(test.sender.stop().all("download_started").is_empty());
}
