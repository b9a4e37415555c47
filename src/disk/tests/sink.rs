use std::{
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    disk::{PublishedDownload, errors::disk_error},
    error::Kind,
    manifest::RawEntry,
};

#[test]
fn content_names_times_and_permissions_arrive_intact() {
    let home = Home::new();
    home.file("src/t/a/b/c.txt", "deep");
    home.folder("src/t/a/empty");
    home.file("src/t/nothing", "");
    home.file("src/t/-rf", "x");
    home.file("src/t/ blanks and 👩‍👩‍👧 می‌خواهم.txt ", "y");
    home.file("src/t/12:30\\x2d.png", &"long".repeat(10_000));
    home.link("a/b/c.txt", "src/t/to-file");
    home.link("../a", "src/t/l/to-folder");
    let run = home.file("src/t/run", "#!");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o4711)).unwrap();
    set_mtime(&run, 1_000_000_000, 123_456_789);
    for folder in ["src/t/a/empty", "src/t/a", "src/t/l", "src/t"] {
        set_mtime(&home.at(folder), 1_100_000_000, 0);
    }
    let single = home.file("src/single", "1");
    let source = scan(&[home.at("src/t"), single]).unwrap();
    let saved = receive(&home, &source, ConflictPolicy::Refuse).unwrap();
    assert_eq!(saved, [home.at("out/t"), home.at("out/single")]);
    assert_eq!(home.tree("out"), home.tree("src"));
    for path in home.tree("src") {
        let (from, to) = (home.at("src").join(&path), home.at("out").join(&path));
        let meta = fs::symlink_metadata(&from).unwrap();
        if meta.is_symlink() {
            assert_eq!(fs::read_link(&to).unwrap(), fs::read_link(&from).unwrap());
            continue;
        }
        assert_eq!(mtime(&to), mtime(&from), "{path}");
        if meta.is_file() {
            assert_eq!(fs::read(&to).unwrap(), fs::read(&from).unwrap(), "{path}");
        }
    }
    let mode = |path: &str| fs::metadata(home.at(path)).unwrap().permissions().mode() & 0o7777;
    let umask = 0o777 & !mode("out");
    for path in home.tree("src") {
        let (from, to) = (format!("src/{path}"), format!("out/{path}"));
        assert_eq!(mode(&to), mode(&from) & 0o777 & !umask, "{path}");
    }
    assert_eq!(home.read("out/t/l/to-folder/b/c.txt"), "deep");
}

/// Every entry gets the permissions of the sender that the umask allows, and none is wider while it is staged.
#[test]
fn permissions_are_never_wider_than_the_senders() {
    let home = Home::new();
    let umask = 0o777 & !fs::metadata(home.at("out")).unwrap().permissions().mode();
    let modes = [0o600, 0o644, 0o444, 0o400, 0o750, 0o555, 0o666, 0o777];
    let folders = [0o700, 0o755, 0o555, 0o500, 0o770, 0o777];
    let mut builder = ManifestBuilder::new(ManifestHeader {
        share: ShareId::random(),
        name: "t".into(),
        entries: 14 + 1,
        holes: 0,
        kind: ShareKind::Files,
    })
    .unwrap();
    let mut push = |path: &str, kind, mode| {
        builder.push(Entry { path: SafePath::parse(path).unwrap(), kind, mode, mtime: None }).unwrap();
    };
    push("t", EntryKind::Folder, 0o500);
    for mode in folders {
        push(&format!("t/d{mode:o}"), EntryKind::Folder, mode);
    }
    for mode in modes {
        push(&format!("t/f{mode:o}"), EntryKind::File { size: Some(5) }, mode);
    }
    let manifest = Arc::new(builder.finish().unwrap());
    let mut sink = Sink::new(plan(&home, &manifest, ConflictPolicy::Refuse).unwrap()).unwrap();
    for index in 7..15 {
        receive_hello(&mut sink, index).unwrap();
    }
    sink.publish().unwrap();
    for entry in manifest.entries() {
        let mode = fs::metadata(home.at("out").join(entry.path.as_str())).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, entry.mode & !umask, "{}", entry.path);
    }
    fs::set_permissions(home.at("out/t"), fs::Permissions::from_mode(0o700)).unwrap(); // so that it can be removed
}

/// Returns the manifest of a share of standard input.
fn stream_manifest() -> Arc<Manifest> {
    let mut builder = ManifestBuilder::new(ManifestHeader {
        share: ShareId::random(),
        name: "x".into(),
        entries: 1,
        holes: 0,
        kind: ShareKind::Files,
    })
    .unwrap();
    let kind = EntryKind::File { size: None };
    let mtime = Some(Mtime { seconds: i64::MIN, nanos: 999_999_999 });
    builder.push(Entry { path: SafePath::parse("stdin").unwrap(), kind, mode: 0o644, mtime }).unwrap();
    Arc::new(builder.finish().unwrap())
}

#[test]
fn a_file_of_unknown_size_may_have_any_length() {
    let home = Home::new();
    let plan = plan(&home, &stream_manifest(), ConflictPolicy::Refuse).unwrap();
    assert_eq!(plan.bytes(), None);
    let mut sink = Sink::new(plan).unwrap();
    receive_hello(&mut sink, 0).unwrap();
    sink.publish().unwrap();
    assert_eq!(home.read("out/stdin"), "hello");
}

#[test]
fn a_file_of_unknown_size_that_is_too_long_leaves_nothing() {
    let home = Home::new();
    let block = vec![1; 700_000];
    let begin = |max_size| {
        let plan = plan(&home, &stream_manifest(), ConflictPolicy::Refuse).unwrap().with_max_size(max_size).unwrap();
        let mut sink = Sink::new(plan).unwrap();
        sink.start_file(0, 0).unwrap();
        sink.write(&block).unwrap();
        sink
    };
    let mut limited = begin(Some(2_000_000));
    limited.write(&block).unwrap();
    assert_eq!(limited.write(&block).unwrap_err().kind(), Kind::Disk);
    drop(limited);
    assert!(home.tree("out").is_empty());
    let mut interrupted = begin(None);
    interrupted.write(&block).unwrap();
    drop(interrupted);
    assert!(home.tree("out").is_empty(), "it cannot be resumed");
}

#[test]
fn protocol_violations_fail_and_leave_nothing() {
    let home = Home::new();
    let entries = [("d/", 0), ("d/f", 5), ("g", 5)];
    let start = || start(&home, &manifest(&entries), ConflictPolicy::Refuse).unwrap();
    type Violation = fn(&mut Sink) -> Result<()>;
    let violations: [(Kind, Violation); 11] = [
        (Kind::Transfer, |s| s.start_file(0, 0)),
        (Kind::Transfer, |s| s.start_file(3, 0)),
        (Kind::Transfer, |s| s.start_file(usize::MAX, 0)),
        (Kind::Transfer, |s| s.start_file(1, 0).and_then(|()| s.start_file(2, 0))),
        (Kind::Transfer, |s| receive_hello(s, 1).and_then(|()| s.start_file(1, 0))),
        (Kind::Transfer, |s| s.write(HELLO)),
        (Kind::Transfer, |s| s.finish_file(&hash(HELLO))),
        (Kind::Transfer, |s| s.start_file(1, 0).and_then(|()| s.write(b"hello!"))),
        (Kind::Transfer, |s| s.start_file(1, 0).and_then(|()| s.write(HELLO)).and_then(|()| s.write(b"!"))),
        (Kind::Transfer, |s| {
            s.start_file(1, 0).and_then(|()| s.write(b"hell")).and_then(|()| s.finish_file(&hash(b"hell")))
        }),
        (Kind::Corrupt, |s| {
            s.start_file(1, 0).and_then(|()| s.write(b"hullo")).and_then(|()| s.finish_file(&hash(HELLO)))
        }),
    ];
    for (n, (kind, violate)) in violations.into_iter().enumerate() {
        let mut sink = start();
        let e = violate(&mut sink).unwrap_err();
        assert_eq!(e.kind(), kind, "{n}: {e}");
        assert!(!sink.is_complete());
        sink.discard();
        assert!(home.tree("out").is_empty());
    }
    assert_eq!(start().publish().unwrap_err().kind(), Kind::Transfer);
    assert!(home.tree("out").is_empty(), "a staging folder without content is removed");
    let mut sink = start();
    receive_hello(&mut sink, 2).unwrap();
    assert!(!home.tree("out").is_empty());
    sink.discard();
    assert!(home.tree("out").is_empty());
}

#[test]
fn a_target_folder_created_for_a_download_is_removed_with_it() {
    let home = Home::new();
    let start = |out: &str| {
        let manifest = manifest(&[("a", 5), ("b", 5)]);
        let plan = Plan::new(manifest, Some(&home.at(out)), ConflictPolicy::Refuse).unwrap();
        Sink::new(plan).unwrap()
    };
    start("out/new").discard();
    start("out").discard();
    assert!(home.tree("out").is_empty() && home.at("out").exists());
}

/// Receives a folder with a file, both of this mode and time.
fn receive_with(mode: u32, mtime: Mtime) -> (Home, PublishedDownload) {
    let home = Home::new();
    let header =
        ManifestHeader { share: ShareId::random(), name: "t".into(), entries: 2, holes: 0, kind: ShareKind::Files };
    let mut builder = ManifestBuilder::new(header).unwrap();
    let file = EntryKind::File { size: Some(5) };
    for (path, kind) in [("d", EntryKind::Folder), ("d/f", file)] {
        let raw = RawEntry { path: path.into(), kind, mode, mtime: Some(mtime) };
        builder.push(raw.parse().unwrap()).unwrap();
    }
    let manifest = Arc::new(builder.finish().unwrap());
    let mut sink = start(&home, &manifest, ConflictPolicy::Refuse).unwrap();
    receive_hello(&mut sink, 1).unwrap();
    let published = sink.publish().unwrap();
    (home, published)
}

#[test]
fn times_before_1970_are_kept() {
    for (seconds, nanos) in [(-1, 0), (-1, 999_999_999), (-2_000_000_000, 5), (0, 1)] {
        let (home, published) = receive_with(0o755, Mtime { seconds, nanos });
        for path in ["out/d", "out/d/f"] {
            let meta = fs::metadata(home.at(path)).unwrap();
            assert_eq!((meta.mtime(), meta.mtime_nsec()), (seconds, i64::from(nanos)), "{path}");
        }
        assert_eq!(published.altered_times, 0);
    }
}

#[test]
fn times_that_the_disk_cannot_hold_are_counted() {
    let (home, published) = receive_with(0o755, Mtime { seconds: i64::MAX, nanos: 0 });
    let held = fs::metadata(home.at("out/d/f")).unwrap().mtime();
    assert_eq!(published.altered_times, if held == i64::MAX { 0 } else { 2 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The numbers of an entry are any that the wire can carry.
    #[test]
    fn no_mode_or_time_panics(mode: u32, seconds: i64, nanos in 0..1_000_000_000_u32) {
        let (home, _) = receive_with(mode, Mtime { seconds, nanos });
        let folder = home.at("out/d");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        prop_assert_eq!(home.read("out/d/f"), "hello");
        // The next download reads what this one has written.
        for policy in [ConflictPolicy::Refuse, ConflictPolicy::Overwrite, ConflictPolicy::Rename] {
            let _ = plan(&home, &manifest(&[("d/", 0), ("d/f", 5)]), policy);
        }
    }

    #[test]
    fn no_message_of_the_sender_panics(
        size: u64,
        steps in vec((0..5_u8, prop_oneof![0..3_usize, any::<usize>()], any::<u64>()), 0..12),
    ) {
        let home = Home::new();
        let manifest = manifest(&[("d/", 0), ("d/f", 5), ("g", size)]);
        let Ok(mut sink) = start(&home, &manifest, ConflictPolicy::Refuse) else { return Ok(()) };
        for (step, index, number) in steps {
            let _ = match step {
                0 => sink.start_file(index, number),
                1 => sink.start_file(index, 0),
                2 => sink.write(&HELLO[..(number % 6) as usize]),
                3 => sink.finish_file(&hash(HELLO)),
                _ => sink.confirm_groups(index, number).map(drop),
            };
        }
        let _ = sink.publish();
    }
}

#[test]
fn a_full_disk_is_reported_as_such() {
    // Every write to /dev/full fails, also as root.
    let Ok(mut full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let e = disk_error("write", "d/f", &io::Write::write_all(&mut full, b"x").unwrap_err());
    assert_eq!(e.kind(), Kind::Disk);
    assert_says(&e, &["cannot write d/f", "no space left"]);
}
