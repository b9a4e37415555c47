use std::{io, os::unix::fs::PermissionsExt};

use super::*;
use crate::error::Kind;

const HELLO: &[u8] = b"hello";

fn hash(data: &[u8]) -> [u8; 32] {
    *blake3::hash(data).as_bytes()
}

fn sink(home: &Home, entries: &[(&str, u64)], clash: Clash) -> Result<Sink> {
    Sink::new(Plan::new(made_up(entries), Some(&home.at("out")), clash)?)
}

fn put(sink: &mut Sink, index: usize) -> Result<()> {
    sink.begin(index)?;
    sink.write(HELLO)?;
    sink.finish(&hash(HELLO))
}

fn staging(home: &Home, manifest: &Manifest) -> PathBuf {
    home.at("out").join(super::super::staging::name(manifest.share()))
}

#[test]
fn a_tree_arrives_as_it_was() {
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
    let saved = receive(&source, &home.at("out"), Clash::Refuse).unwrap();
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
    let mode = |path: &str| fs::metadata(home.at(path)).unwrap().permissions().mode();
    let umask = 0o777 & !mode("out");
    assert_eq!(mode("out/t/run") & 0o7777, 0o777 & !umask);
    assert_eq!(mode("out/t/nothing") & 0o7777, 0o666 & !umask);
    assert_eq!(home.read("out/t/l/to-folder/b/c.txt"), "deep");
}

#[test]
fn a_file_of_unknown_size_is_as_long_as_it_is() {
    let home = Home::new();
    let mut builder = Builder::new(Head { share: ShareId::random(), name: "x".into(), entries: 1 }).unwrap();
    let kind = EntryKind::File { size: None, coding: Coding::Identity };
    let mtime = Some(Mtime { seconds: i64::MIN, nanos: u32::MAX });
    builder.push(Entry { path: SafePath::parse("stdin").unwrap(), kind, mode: 0, mtime }).unwrap();
    let plan = Plan::new(Arc::new(builder.finish().unwrap()), Some(&home.at("out")), Clash::Refuse).unwrap();
    assert_eq!(plan.bytes(), None);
    let mut sink = Sink::new(plan).unwrap();
    put(&mut sink, 0).unwrap();
    sink.publish().unwrap();
    assert_eq!(home.read("out/stdin"), "hello");
}

#[test]
fn lies_are_refused_and_leave_nothing() {
    let home = Home::new();
    let entries = [("d/", 0), ("d/f", 5), ("g", 5)];
    type Lie = fn(&mut Sink) -> Result<()>;
    let lies: [(Kind, Lie); 11] = [
        (Kind::Transfer, |s| s.begin(0)),
        (Kind::Transfer, |s| s.begin(3)),
        (Kind::Transfer, |s| s.begin(usize::MAX)),
        (Kind::Transfer, |s| s.begin(1).and_then(|()| s.begin(2))),
        (Kind::Transfer, |s| put(s, 1).and_then(|()| s.begin(1))),
        (Kind::Transfer, |s| s.write(HELLO)),
        (Kind::Transfer, |s| s.finish(&hash(HELLO))),
        (Kind::Transfer, |s| s.begin(1).and_then(|()| s.write(b"hello!"))),
        (Kind::Transfer, |s| s.begin(1).and_then(|()| s.write(HELLO)).and_then(|()| s.write(b"!"))),
        (Kind::Transfer, |s| s.begin(1).and_then(|()| s.write(b"hell")).and_then(|()| s.finish(&hash(b"hell")))),
        (Kind::Corrupt, |s| s.begin(1).and_then(|()| s.write(b"hullo")).and_then(|()| s.finish(&hash(HELLO)))),
    ];
    for (n, (kind, lie)) in lies.into_iter().enumerate() {
        let mut sink = sink(&home, &entries, Clash::Refuse).unwrap();
        let e = lie(&mut sink).unwrap_err();
        assert_eq!(e.kind(), kind, "{n}: {e}");
        assert_eq!(sink.publish().unwrap_err().kind(), Kind::Transfer);
        assert!(home.tree("out").is_empty());
    }
    let mut sink = sink(&home, &entries, Clash::Refuse).unwrap();
    put(&mut sink, 2).unwrap();
    assert!(!home.tree("out").is_empty());
    sink.discard();
    assert!(home.tree("out").is_empty());
}

#[test]
fn a_folder_made_for_a_download_goes_with_it() {
    let home = Home::new();
    let plan = |out: &str| Plan::new(made_up(&[("a", 5), ("b", 5)]), Some(&home.at(out)), Clash::Refuse).unwrap();
    Sink::new(plan("out/new")).unwrap().discard();
    Sink::new(plan("out")).unwrap().discard();
    assert!(home.tree("out").is_empty() && home.at("out").exists());
}

#[test]
fn only_one_download_of_a_share_runs_in_a_folder() {
    let home = Home::new();
    let manifest = made_up(&[("f", 5)]);
    let start = || Sink::new(Plan::new(manifest.clone(), Some(&home.at("out")), Clash::Refuse)?);
    let first = start().unwrap();
    assert_eq!(fs::metadata(staging(&home, &manifest)).unwrap().permissions().mode() & 0o777, 0o700);
    let e = start().unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    says(&e, &["another recv of this share is running"]);
    first.discard();
    start().unwrap();
}

#[test]
fn downloads_that_begin_and_end_at_once_do_not_share_a_folder() {
    let home = Home::new();
    let manifest = made_up(&[("f", 5)]);
    let running = std::sync::atomic::AtomicU32::new(0);
    let try_often = || {
        for _ in 0..200 {
            let plan = Plan::new(manifest.clone(), Some(&home.at("out")), Clash::Refuse).unwrap();
            match Sink::new(plan) {
                Ok(sink) => {
                    assert_eq!(running.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    sink.discard();
                }
                Err(e) => says(&e, &["another recv"]),
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(try_often))));
    assert!(home.tree("out").is_empty());
}

#[test]
fn what_a_killed_process_left_is_cleared_and_used() {
    let home = Home::new();
    let manifest = made_up(&[("d/", 0), ("d/f", 5)]);
    let left = staging(&home, &manifest);
    fs::create_dir_all(left.join("files/d/old")).unwrap();
    fs::write(left.join("files/d/f"), "half").unwrap();
    fs::write(left.join("lock"), "").unwrap();
    symlink("/etc", left.join("files/d/etc")).unwrap();
    let outside = home.file("precious/f", "stays");
    symlink(home.at("precious"), left.join("files/d/link")).unwrap();
    let mut sink = Sink::new(Plan::new(manifest, Some(&home.at("out")), Clash::Refuse).unwrap()).unwrap();
    assert_eq!(fs::metadata(&left).unwrap().permissions().mode() & 0o777, 0o700);
    put(&mut sink, 1).unwrap();
    sink.publish().unwrap();
    assert_eq!(home.tree("out"), ["d", "d/f"]);
    assert!(outside.exists());
}

#[test]
fn a_staging_folder_that_is_none_is_refused() {
    let home = Home::new();
    let manifest = made_up(&[("f", 5)]);
    let place = staging(&home, &manifest);
    let start = || Sink::new(Plan::new(manifest.clone(), Some(&home.at("out")), Clash::Refuse)?);
    fs::write(&place, "").unwrap();
    assert_eq!(start().unwrap_err().kind(), Kind::Disk);
    fs::remove_file(&place).unwrap();
    let elsewhere = home.folder("elsewhere");
    symlink(&elsewhere, &place).unwrap();
    assert_eq!(start().unwrap_err().kind(), Kind::Disk);
    assert!(home.tree("elsewhere").is_empty());
    fs::remove_file(&place).unwrap();
    // the lock and the content swapped for links
    fs::create_dir(&place).unwrap();
    symlink(home.file("precious", "stays"), place.join("lock")).unwrap();
    assert_eq!(start().unwrap_err().kind(), Kind::Disk);
    fs::remove_file(place.join("lock")).unwrap();
    home.file("elsewhere/f", "stays");
    symlink(&elsewhere, place.join("files")).unwrap();
    start().unwrap();
    assert_eq!((home.read("precious"), home.read("elsewhere/f")), ("stays".into(), "stays".into()));
}

#[test]
fn a_folder_swapped_for_a_link_while_receiving_is_not_followed() {
    let home = Home::new();
    let elsewhere = home.folder("elsewhere");
    let manifest = made_up(&[("d/", 0), ("d/e/", 0), ("d/e/f", 5), ("d/e/g", 5), ("d/h", 5)]);
    let start = || Sink::new(Plan::new(manifest.clone(), Some(&home.at("out")), Clash::Refuse).unwrap()).unwrap();
    let swap = |path: &str| {
        let path = staging(&home, &manifest).join("files").join(path);
        fs::rename(&path, home.at("moved")).unwrap();
        symlink(&elsewhere, &path).unwrap();
    };
    for (path, index) in [("d", 2), ("d/e", 2)] {
        let mut sink = start();
        swap(path);
        // an opened folder may still be in use, a new opening must fail; either way nothing goes elsewhere
        let result = put(&mut sink, index);
        assert!(home.tree("elsewhere").is_empty());
        if let Err(e) = result {
            assert_eq!(e.kind(), Kind::Disk);
        }
        drop(sink);
        fs::remove_dir_all(home.at("moved")).unwrap();
        assert!(home.at("elsewhere").exists() && home.tree("out").is_empty());
    }
    let mut sink = start();
    put(&mut sink, 2).unwrap();
    put(&mut sink, 3).unwrap();
    put(&mut sink, 4).unwrap();
    swap("d");
    let e = sink.publish().unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    says(&e, &["“d”", "replaced"]);
    assert!(home.tree("out").is_empty());
}

#[test]
fn overwrite_replaces_files_and_links_and_merges_folders() {
    let home = Home::new();
    home.file("out/d/same", "old");
    home.file("out/d/only-here", "kept");
    let outside = home.file("precious", "stays");
    symlink(&outside, home.at("out/d/link")).unwrap();
    home.fifo("out/d/e/pipe");
    home.link("nowhere", "out/top");
    for (path, content) in
        [("d/same", "new"), ("d/link", "new"), ("d/e/pipe", "new"), ("d/n/deep", "new"), ("top", "new")]
    {
        home.file(&format!("src/{path}"), content);
    }
    home.link("same", "src/d/only-there");
    let source = scan(&[home.at("src/d"), home.at("src/top")]).unwrap();
    let saved = receive(&source, &home.at("out"), Clash::Overwrite).unwrap();
    assert_eq!(saved, [home.at("out/d"), home.at("out/top")]);
    assert_eq!(home.read("precious"), "stays");
    for path in ["d/same", "d/link", "d/e/pipe", "d/n/deep", "top", "d/only-there"] {
        assert_eq!(home.read(&format!("out/{path}")), "new", "{path}");
    }
    assert!(fs::symlink_metadata(home.at("out/d/link")).unwrap().is_file());
    assert_eq!(home.read("out/d/only-here"), "kept");
    assert_eq!(home.tree("out").len(), 10);
}

#[test]
fn skip_leaves_what_stands() {
    let home = Home::new();
    home.file("out/d/same", "old");
    home.file("out/top", "old");
    for path in ["src/d/same", "src/d/more", "src/d/e/f", "src/top"] {
        home.file(path, "new");
    }
    let source = scan(&[home.at("src/d"), home.at("src/top")]).unwrap();
    assert_eq!(receive(&source, &home.at("out"), Clash::Skip).unwrap(), [home.at("out/d")]);
    let content = ["d/same", "d/more", "d/e/f", "top"].map(|p| home.read(&format!("out/{p}")));
    assert_eq!(content, ["old", "new", "new", "old"]);
    // a second time there is nothing left to do
    let plan = Plan::new(source.manifest().clone(), Some(&home.at("out")), Clash::Skip).unwrap();
    assert_eq!(plan.files(), 0);
    assert_eq!(Sink::new(plan).unwrap().publish().unwrap(), [home.at("out/d")]);
}

#[test]
fn what_appears_meanwhile_is_not_replaced() {
    let home = Home::new();
    let make: [fn(&Path) -> io::Result<()>; 4] = [
        |path| fs::write(path, "theirs"),
        |path| symlink("nowhere", path),
        |path| fs::create_dir(path),
        |path| mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).map_err(Into::into),
    ];
    for (make, clash) in make.iter().flat_map(|m| [Clash::Refuse, Clash::Overwrite, Clash::Rename].map(|c| (m, c))) {
        for name in ["f", "d"] {
            let mut sink = sink(&home, &[("a", 5), ("d/", 0), ("d/x", 5), ("f", 5)], clash).unwrap();
            [0, 2, 3].into_iter().for_each(|i| put(&mut sink, i).unwrap());
            make(&home.at("out").join(name)).unwrap();
            let before = fs::symlink_metadata(home.at("out").join(name)).unwrap();
            let e = sink.publish().unwrap_err();
            assert_eq!(e.kind(), Kind::Disk);
            says(&e, &["appeared", name]);
            let after = fs::symlink_metadata(home.at("out").join(name)).unwrap();
            assert_eq!((before.file_type(), before.len()), (after.file_type(), after.len()));
            assert_eq!(home.read("out/a"), "hello"); // what has its name keeps it
            assert!(!home.tree("out").iter().any(|p| p.contains(".part")));
            fs::remove_dir_all(home.folder("out")).unwrap();
            home.folder("out");
        }
    }
}

#[test]
fn a_target_folder_swapped_for_a_link_is_not_followed() {
    let home = Home::new();
    home.folder("out/d/e");
    home.folder("elsewhere");
    let mut sink = sink(&home, &[("d/", 0), ("d/e/", 0), ("d/e/f", 5)], Clash::Overwrite).unwrap();
    put(&mut sink, 2).unwrap();
    fs::remove_dir(home.at("out/d/e")).unwrap();
    home.link("../../elsewhere", "out/d/e");
    let e = sink.publish().unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    says(&e, &["d/e/f"]);
    assert!(home.tree("elsewhere").is_empty());
}

#[test]
fn a_full_disk_is_said_so() {
    // /dev/full takes nothing from anybody.
    let Ok(mut full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let e = super::super::refused_by_disk("write", "d/f", &io::Write::write_all(&mut full, b"x").unwrap_err());
    assert_eq!(e.kind(), Kind::Disk);
    says(&e, &["d/f", "no space left"]);
}
