//! Downloads to real file systems. Needs root, FUSE and loop devices:
//!
//! ```text
//! apt-get install exfat-fuse exfatprogs ntfs-3g dosfstools
//! cargo test --test it real_disks -- --ignored --nocapture --test-threads 1
//! ```
//!
//! Each disk that this machine can mount is tested; the others are named. On each of them, everything that the disk can
//! hold arrives unchanged, everything else is reported before the first byte, and nothing else is left over.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{RelayProcess, TestEnv, entry_names, hash_file, write_random_file, write_sparse_file};

/// A mounted disk. It is unmounted when dropped.
struct Disk {
    name: &'static str,
    path: PathBuf,
    loop_device: Option<String>,
}

impl Disk {
    /// Formats an image and mounts it. `{image}`, `{device}` and `{path}` in the commands stand for the image, its loop
    /// device and the mount point.
    fn mount(env: &TestEnv, name: &'static str, format: &[&str], mount: &[&str]) -> Option<Self> {
        let (image, path) = (env.path(&format!("{name}.img")), env.folder(&format!("disk-{name}")));
        write_sparse_file(&image, 128 << 20);
        let needs_device = mount.contains(&"{device}");
        let mut disk = Self { name, path, loop_device: None };
        let fill = |words: &[&str], device: &str, path: &Path| -> Vec<String> {
            let replace = |word: &&str| match *word {
                "{image}" => image.display().to_string(),
                "{device}" => device.to_owned(),
                "{path}" => path.display().to_string(),
                word => word.to_owned(),
            };
            words.iter().map(replace).collect()
        };
        let is_formatted = format.is_empty() || run(&fill(format, "", &disk.path)).is_some();
        if is_formatted && needs_device {
            disk.loop_device = run(&["losetup", "-f", "--show", image.to_str()?].map(str::to_owned));
        }
        let device = disk.loop_device.clone().unwrap_or_default();
        let is_mounted = is_formatted && run(&fill(mount, &device, &disk.path)).is_some() && is_mount_point(&disk.path);
        if !is_mounted {
            eprintln!("{name}: not available on this machine");
        }
        is_mounted.then_some(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(&["umount", self.path.to_str().unwrap()].map(str::to_owned));
        if let Some(device) = &self.loop_device {
            let _ = run(&["losetup", "-d", device].map(str::to_owned));
        }
    }
}

/// Runs a command. Returns its output if it succeeds.
fn run(command: &[String]) -> Option<String> {
    let output = Command::new(&command[0]).args(&command[1..]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.ok().filter(|output| output.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

fn is_mount_point(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().dev() != fs::metadata(path.parent().unwrap()).unwrap().dev()
}

fn disks(env: &TestEnv) -> Vec<Disk> {
    let overlay = ["lower", "upper", "work"].map(|name| env.folder(name).display().to_string());
    let overlay = format!("lowerdir={},upperdir={},workdir={}", overlay[0], overlay[1], overlay[2]);
    [
        Disk::mount(env, "exfat-fuse", &["mkfs.exfat", "{image}"], &["mount.exfat-fuse", "{device}", "{path}"]),
        Disk::mount(env, "exfat", &["mkfs.exfat", "{image}"], &["mount", "-t", "exfat", "{device}", "{path}"]),
        Disk::mount(
            env,
            "ntfs-3g",
            &["mkfs.ntfs", "-F", "-q", "{image}"],
            &["ntfs-3g", "-o", "windows_names", "{image}", "{path}"],
        ),
        Disk::mount(env, "vfat", &["mkfs.vfat", "{image}"], &["mount", "-t", "vfat", "{device}", "{path}"]),
        Disk::mount(env, "tmpfs", &[], &["mount", "-t", "tmpfs", "-o", "size=128m", "none", "{path}"]),
        Disk::mount(env, "overlay", &[], &["mount", "-t", "overlay", "-o", &overlay, "overlay", "{path}"]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Creates a tree that meets the limits of many file systems.
fn create_tree(env: &TestEnv) {
    let names =
        ["a", "a.", "A", "aux.c", "12:30.png", "blank ", "\u{e9}", "e\u{301}", "what?", "sub./f", "sub/f", "old/f"];
    for (n, name) in names.iter().enumerate() {
        env.file(&format!("d/{name}"), format!("content {n}"));
    }
    env.file(&format!("d/{}", "é".repeat(127)), "long");
    symlink("a", env.path("d/link")).unwrap();
    write_random_file(&env.path("d/big"), 5 << 20);
    write_sparse_file(&env.path("d/sparse"), 16 << 20);
    let before_1970 = std::time::UNIX_EPOCH - std::time::Duration::from_secs(1);
    File::open(env.path("d/old")).unwrap().set_times(fs::FileTimes::new().set_modified(before_1970)).unwrap();
}

/// Returns the relative paths of all files below `folder`.
fn files_below(folder: &Path, prefix: &str) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for name in entry_names(folder) {
        let (path, relative) = (folder.join(&name), format!("{prefix}{name}"));
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            files.extend(files_below(&path, &format!("{relative}/")));
        } else if kind.is_file() {
            files.insert(relative);
        }
    }
    files
}

#[test]
#[ignore = "needs root, FUSE and loop devices"]
fn what_a_disk_holds_arrives_and_the_rest_is_reported() {
    let env = TestEnv::new();
    create_tree(&env);
    let relay = env.relay();
    let sender = env.send(&[&env.path("d")]).via(&relay).share();
    for Disk { name, path, .. } in &disks(&env) {
        let recv = |args: &[&str]| env.recv(sender.code(), path).via(&relay).args(args).run();
        let strict = recv(&[]);
        let before = entry_names(path);
        let received = if strict.code == Some(0) { strict } else { recv(&["--skip-unsupported"]).expect(0) };
        let left_out: BTreeSet<String> = received
            .all("unsupported")
            .iter()
            .flat_map(|event| event["entries"].as_array().unwrap().clone())
            .map(|entry| entry["path"].as_str().unwrap().to_owned())
            .collect();
        eprintln!("{name}: left out {left_out:?}");
        assert!(left_out.is_empty() || before.iter().all(|name| name != "d"), "{name}: reported too late");
        let is_left_out = |file: &String| left_out.iter().any(|out| Path::new(file).starts_with(out));
        let sent: BTreeSet<String> =
            files_below(&env.path("d"), "d/").into_iter().filter(|f| !is_left_out(f)).collect();
        let folder = path.join("d");
        let saved = if folder.exists() { files_below(&folder, "d/") } else { BTreeSet::new() };
        assert_eq!(saved, sent, "{name}");
        for file in &sent {
            assert_eq!(hash_file(&path.join(file)), hash_file(&env.path(file)), "{name}: {file}");
        }
        assert!(entry_names(path).iter().all(|name| !name.starts_with(".qshare-")), "{name}: {:?}", entry_names(path));
        if folder.exists() {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

#[test]
#[ignore = "needs root, FUSE and loop devices"]
fn interrupted_downloads_resume_and_can_be_removed() {
    let env = TestEnv::new();
    write_random_file(&env.path("big"), 30 << 20);
    let relay = env.relay();
    for Disk { name, path, .. } in &disks(&env) {
        let mut sender = env.send(&[&env.path("big")]).args(&["--new-code"]).via(&relay).share();
        interrupt(&env, &relay, &mut sender, path);
        let resumed = env.recv(sender.code(), path).via(&relay).run().expect(0);
        assert!(resumed.event("offer")["resumed_bytes"].as_u64() > Some(0), "{name}");
        assert_eq!(hash_file(&path.join("big")), hash_file(&env.path("big")), "{name}");
        fs::remove_file(path.join("big")).unwrap();
        interrupt(&env, &relay, &mut sender, path);
        env.qshare(&["parts", "--clear"]).arg(path).run().expect(0);
        let left = entry_names(path).into_iter().filter(|name| name.starts_with(".qshare")).count();
        assert_eq!(left, 0, "{name}: {:?}", entry_names(path));
    }
}

/// Kills a receiver in the middle of a download.
fn interrupt(env: &TestEnv, relay: &RelayProcess, sender: &mut crate::support::SenderProcess, path: &Path) {
    let mut receiver = env.recv(sender.code(), path).via(relay).args(&["--limit-down", "4MB"]).start();
    sender.process.wait_for("download_started");
    let is_far = |bytes: &serde_json::Value| bytes.as_u64() > Some(2 << 20);
    while !is_far(&receiver.wait_for("progress")["bytes"]) {}
    receiver.kill();
}

#[test]
#[ignore = "needs root"]
fn a_disk_without_inodes_and_a_mount_point_in_a_merged_folder() {
    let env = TestEnv::new();
    for n in 0..20 {
        env.file(&format!("d/sub/{n}"), n.to_string());
    }
    let relay = env.relay();
    let sender = env.send(&[&env.path("d")]).via(&relay).share();
    let few = ["mount", "-t", "tmpfs", "-o", "nr_inodes=12", "none", "{path}"];
    if let Some(disk) = Disk::mount(&env, "few-inodes", &[], &few) {
        env.recv(sender.code(), &disk.path).via(&relay).run().expect_error(6, "disk", "not enough inodes");
        assert!(entry_names(&disk.path).is_empty());
    }
    env.folder("disk-d/sub");
    let target = env.folder("merged/d/sub");
    let Some(disk) = Disk::mount(&env, "other", &[], &["mount", "-t", "tmpfs", "none", "{path}"]) else { return };
    run(&["mount", "--bind", disk.path.to_str().unwrap(), target.to_str().unwrap()].map(str::to_owned)).unwrap();
    let received = env.recv(sender.code(), &env.path("merged")).via(&relay).args(&["--overwrite"]).run();
    let files = files_below(&target, "");
    run(&["umount", target.to_str().unwrap()].map(str::to_owned)).unwrap();
    received.expect(0);
    assert_eq!(files.len(), 20, "{files:?}");
    assert_eq!(entry_names(&env.path("merged")), ["d"]);
}
