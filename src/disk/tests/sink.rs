use std::{io, os::unix::fs::PermissionsExt};

use cap_std::{ambient_authority, fs::Dir};

use super::*;
use crate::{
    disk::journal::{self, FileIdentity, GivenName},
    error::Kind,
};

const HELLO: &[u8] = b"hello";

fn hash(data: &[u8]) -> [u8; 32] {
    *blake3::hash(data).as_bytes()
}

fn sink(home: &Home, entries: &[(&str, u64)], clash: ConflictPolicy) -> Result<Sink> {
    Sink::new(Plan::new(made_up(entries), Some(&home.at("out")), clash)?, &HashProgress::default())
}

fn put(sink: &mut Sink, index: usize) -> Result<()> {
    sink.start_file(index, 0)?;
    sink.write(HELLO)?;
    sink.finish_file(&hash(HELLO))
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
    let saved = receive(&source, &home.at("out"), ConflictPolicy::Refuse).unwrap();
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
    let mut builder =
        ManifestBuilder::new(ManifestHeader { share: ShareId::random(), name: "x".into(), entries: 1 }).unwrap();
    let kind = EntryKind::File { size: None, coding: ContentCoding::Identity };
    let mtime = Some(Mtime { seconds: i64::MIN, nanos: u32::MAX });
    builder.push(Entry { path: SafePath::parse("stdin").unwrap(), kind, mode: 0, mtime }).unwrap();
    let plan = Plan::new(Arc::new(builder.finish().unwrap()), Some(&home.at("out")), ConflictPolicy::Refuse).unwrap();
    assert_eq!(plan.bytes(), None);
    let mut sink = Sink::new(plan, &HashProgress::default()).unwrap();
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
        (Kind::Transfer, |s| s.start_file(0, 0)),
        (Kind::Transfer, |s| s.start_file(3, 0)),
        (Kind::Transfer, |s| s.start_file(usize::MAX, 0)),
        (Kind::Transfer, |s| s.start_file(1, 0).and_then(|()| s.start_file(2, 0))),
        (Kind::Transfer, |s| put(s, 1).and_then(|()| s.start_file(1, 0))),
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
    for (n, (kind, lie)) in lies.into_iter().enumerate() {
        let mut sink = sink(&home, &entries, ConflictPolicy::Refuse).unwrap();
        let e = lie(&mut sink).unwrap_err();
        assert_eq!(e.kind(), kind, "{n}: {e}");
        assert!(!sink.is_complete());
        sink.discard();
        assert!(home.tree("out").is_empty());
    }
    assert_eq!(sink(&home, &entries, ConflictPolicy::Refuse).unwrap().publish().unwrap_err().kind(), Kind::Transfer);
    assert!(home.tree("out").is_empty(), "nothing is here that could be gone on with");
    let mut sink = sink(&home, &entries, ConflictPolicy::Refuse).unwrap();
    put(&mut sink, 2).unwrap();
    assert!(!home.tree("out").is_empty());
    sink.discard();
    assert!(home.tree("out").is_empty());
}

#[test]
fn a_folder_made_for_a_download_goes_with_it() {
    let home = Home::new();
    let plan =
        |out: &str| Plan::new(made_up(&[("a", 5), ("b", 5)]), Some(&home.at(out)), ConflictPolicy::Refuse).unwrap();
    Sink::new(plan("out/new"), &HashProgress::default()).unwrap().discard();
    Sink::new(plan("out"), &HashProgress::default()).unwrap().discard();
    assert!(home.tree("out").is_empty() && home.at("out").exists());
}

#[test]
fn only_one_download_of_a_share_runs_in_a_folder() {
    let home = Home::new();
    let manifest = made_up(&[("f", 5)]);
    let start = || {
        Sink::new(Plan::new(manifest.clone(), Some(&home.at("out")), ConflictPolicy::Refuse)?, &HashProgress::default())
    };
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
            let plan = Plan::new(manifest.clone(), Some(&home.at("out")), ConflictPolicy::Refuse).unwrap();
            match Sink::new(plan, &HashProgress::default()) {
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
    let mut sink = Sink::new(
        Plan::new(manifest, Some(&home.at("out")), ConflictPolicy::Refuse).unwrap(),
        &HashProgress::default(),
    )
    .unwrap();
    assert_eq!(fs::metadata(&left).unwrap().permissions().mode() & 0o777, 0o700);
    put(&mut sink, 1).unwrap();
    sink.publish().unwrap();
    assert_eq!(home.tree("out"), ["d", "d/f"]);
    assert!(outside.exists());
}

const GROUP_SIZE: usize = 16 * 1024 * 1024;

/// A download of a file of two groups and a half and a small one, of which so much came; then it was cut.
fn cut_after(home: &Home, bytes: usize) -> (Arc<Manifest>, Vec<u8>) {
    let content: Vec<u8> = (0..GROUP_SIZE / 2 * 5).map(|i| (i / 1_000) as u8).collect();
    let manifest = made_up(&[("d/", 0), ("d/big", content.len() as u64), ("d/small", 5)]);
    let mut sink = Sink::new(
        Plan::new(manifest.clone(), Some(&home.at("out")), ConflictPolicy::Refuse).unwrap(),
        &HashProgress::default(),
    )
    .unwrap();
    assert!(sink.staged_groups().is_empty());
    put(&mut sink, 2).unwrap();
    sink.start_file(1, 0).unwrap();
    content[..bytes].chunks(100_000).for_each(|chunk| sink.write(chunk).unwrap());
    (manifest, content)
}

fn again(home: &Home, manifest: &Arc<Manifest>) -> Sink {
    Sink::new(
        Plan::new(manifest.clone(), Some(&home.at("out")), ConflictPolicy::Refuse).unwrap(),
        &HashProgress::default(),
    )
    .unwrap()
}

#[test]
fn a_download_goes_on_with_what_is_there() {
    for (cut, groups) in [(GROUP_SIZE - 1, 0), (GROUP_SIZE, 1), (2 * GROUP_SIZE + 7, 2), (GROUP_SIZE / 2 * 5, 3)] {
        let home = Home::new();
        let (manifest, content) = cut_after(&home, cut);
        let plan = Plan::new(manifest.clone(), Some(&home.at("out")), ConflictPolicy::Refuse).unwrap();
        let standing = (groups * GROUP_SIZE).min(content.len()) as u64 + 5;
        assert_eq!(Plan::resumable_bytes(&manifest, Some(&home.at("out"))), standing);
        let mut sink = Sink::new(plan, &HashProgress::default()).unwrap();
        let have = sink.staged_groups();
        let of_big = have.iter().find(|(index, _)| *index == 1).map_or(0, |(_, groups)| groups.len());
        assert_eq!((of_big, have.last().map(|(index, _)| *index)), (groups, Some(2)));
        for from in (0..=of_big).rev().map(|group| (group * GROUP_SIZE).min(content.len())) {
            // The sender may go on there or before.
            sink.start_file(1, from as u64).unwrap();
            content[from..].chunks(100_000).for_each(|chunk| sink.write(chunk).unwrap());
            if from > 0 && from < content.len() {
                drop(sink);
                sink = again(&home, &manifest);
                continue;
            }
            sink.finish_file(&hash(&content)).unwrap();
            break;
        }
        sink.start_file(2, 5).unwrap();
        sink.finish_file(&hash(HELLO)).unwrap();
        sink.publish().unwrap();
        assert_eq!(home.tree("out"), ["d", "d/big", "d/small"]);
        assert!(fs::read(home.at("out/d/big")).unwrap() == content);
        assert_eq!(home.read("out/d/small"), "hello");
    }
}

#[test]
fn the_sender_goes_on_at_the_first_group_that_differs() {
    let home = Home::new();
    let (manifest, content) = cut_after(&home, GROUP_SIZE / 2 * 5);
    let place = |from: &Path| {
        let mut file = scan(&[from.to_owned()]).unwrap().open(0).unwrap();
        let have = again(&home, &manifest).staged_groups();
        let offset = file.resume_after(&have[0].1, &HashProgress::default()).unwrap();
        let mut rest = vec![0; content.len() + 1];
        let read = file.read(&mut rest).unwrap();
        assert_eq!((read + offset as usize) as u64, fs::metadata(from).unwrap().len());
        assert_eq!(file.finish().unwrap(), hash(&fs::read(from).unwrap()));
        offset as usize
    };
    let original = home.at("original");
    fs::write(&original, &content).unwrap();
    assert_eq!(place(&original), content.len());
    let mut other = content.clone();
    other[GROUP_SIZE + 1] ^= 1;
    fs::write(&original, &other).unwrap();
    assert_eq!(place(&original), GROUP_SIZE);
    fs::write(&original, &content[..GROUP_SIZE + 9]).unwrap();
    assert_eq!(place(&original), GROUP_SIZE, "it has become shorter");
    fs::write(&original, "").unwrap();
    assert_eq!(place(&original), 0);
    // The part here, changed by somebody.
    fs::write(&original, &content).unwrap();
    let part = staging(&home, &manifest).join("files/d/big");
    let mut changed = content.clone();
    changed[0] ^= 1;
    fs::write(&part, &changed).unwrap();
    assert_eq!(place(&original), 0);
    fs::File::options().write(true).open(&part).unwrap().set_len(GROUP_SIZE as u64 + 1).unwrap();
    assert_eq!(again(&home, &manifest).staged_groups()[0].1.len(), 1);
}

/// Writes the journal that a download writes when everything is complete.
fn write_journal(home: &Home, manifest: &Manifest) {
    let staging = Dir::open_ambient_dir(staging(home, manifest), ambient_authority()).unwrap();
    let top = |(index, entry): (usize, &Entry)| {
        let meta = staging.symlink_metadata(Path::new("files").join(entry.path.as_str())).unwrap();
        GivenName::new(index, entry.path.name(), entry.path.name().as_ref(), FileIdentity::of(&meta).unwrap())
    };
    let tops = manifest.entries().iter().enumerate().filter(|(_, entry)| entry.path.depth() == 1);
    journal::write(&staging, manifest, tops.map(top).collect(), true).unwrap();
}

/// A process that is killed leaves what it has come to. From each step the next one comes to the end, moves nothing that
/// was complete, and leaves nothing over.
#[test]
fn a_stop_at_any_step_is_gone_on_from() {
    const STEPS: [(&str, Option<&str>); 16] = [
        ("", None),
        ("lock", Some("")),
        ("files", None),
        ("files/d", None),
        ("files/a", Some("he")),
        ("files/a", Some("hello")),
        ("files/b", Some("hello")),
        ("files/d/c", Some("hello")),
        ("names.new", Some("half a journ")),
        ("names", Some("journal")),
        ("files/a", Some("named")),
        ("files/b", Some("named")),
        ("files/d", Some("named")),
        ("files", Some("removed")),
        ("lock", Some("removed")),
        ("names", Some("removed")),
    ];
    for steps in 0..=STEPS.len() {
        let home = Home::new();
        let manifest = made_up(&[("a", 5), ("b", 5), ("d/", 0), ("d/c", 5)]);
        let folder = staging(&home, &manifest);
        for (path, what) in &STEPS[..steps] {
            let path = folder.join(path);
            match *what {
                None => fs::create_dir(path).unwrap(),
                Some("journal") => write_journal(&home, &manifest),
                Some("named") => fs::rename(&path, home.at("out").join(path.file_name().unwrap())).unwrap(),
                Some("removed") if path.is_dir() => fs::remove_dir(path).unwrap(),
                Some("removed") => fs::remove_file(path).unwrap(),
                Some(content) => fs::write(path, content).unwrap(),
            }
        }
        let plan = Plan::new(Arc::clone(&manifest), Some(&home.at("out")), ConflictPolicy::Refuse);
        if steps > 15 {
            assert_eq!(plan.unwrap_err().kind(), Kind::Disk, "{steps} steps: it was over, but for an empty folder");
            continue;
        }
        let plan = plan.unwrap();
        let complete = steps.clamp(5, 8) - 5;
        assert_eq!(Plan::resumable_bytes(&manifest, Some(&home.at("out"))), 5 * complete as u64, "{steps} steps");
        assert_eq!((plan.bytes(), plan.files()), (Some(15), 3));
        let wanted: Vec<_> = (0..4).filter(|i| manifest.entries()[*i].is_file() && plan.wants(*i)).collect();
        assert_eq!(wanted.len(), 13 - steps.clamp(10, 13), "{steps} steps");
        let mut sink = Sink::new(plan, &HashProgress::default()).unwrap();
        let have: Vec<_> = sink.staged_groups().into_iter().map(|(index, _)| index).collect();
        assert_eq!(sink.published_bytes() as usize / 5 + have.len(), complete, "{steps} steps");
        for index in wanted {
            if have.contains(&index) {
                sink.start_file(index, 5).unwrap();
                sink.finish_file(&hash(HELLO)).unwrap();
            } else {
                put(&mut sink, index).unwrap();
            }
        }
        assert_eq!(sink.publish().unwrap(), ["a", "b", "d"].map(|name| home.at("out").join(name)));
        assert_eq!(home.tree("out"), ["a", "b", "d", "d/c"], "{steps} steps");
        for file in ["a", "b", "d/c"] {
            assert_eq!(home.read(&format!("out/{file}")), "hello", "{steps} steps");
        }
    }
}

/// A download that was stopped when the first of its names were given: something stood in the way of the one of `d/f`.
fn stopped_while_naming(home: &Home, clash: ConflictPolicy) -> Arc<Manifest> {
    let manifest = made_up(&[("a", 5), ("d/", 0), ("d/e", 5), ("d/f", 5), ("g", 5)]);
    let mut sink =
        Sink::new(Plan::new(manifest.clone(), Some(&home.at("out")), clash).unwrap(), &HashProgress::default())
            .unwrap();
    [0, 2, 3, 4].into_iter().for_each(|index| put(&mut sink, index).unwrap());
    home.file(if clash == ConflictPolicy::Overwrite { "out/d/f" } else { "out/d" }, "in the way");
    assert_eq!(sink.publish().unwrap_err().kind(), Kind::Disk);
    manifest
}

#[test]
fn what_has_its_name_is_known_by_what_it_is() {
    let home = Home::new();
    let again = |manifest: &Arc<Manifest>, clash| Plan::new(manifest.clone(), Some(&home.at("out")), clash);
    let start_over = || {
        fs::remove_dir_all(home.at("out")).unwrap();
        home.folder("out");
    };
    let manifest = stopped_while_naming(&home, ConflictPolicy::Refuse);
    assert_eq!(again(&manifest, ConflictPolicy::Refuse).unwrap_err().kind(), Kind::Disk, "it stands in the way still");
    fs::remove_file(home.at("out/d")).unwrap();
    assert_eq!(again(&manifest, ConflictPolicy::Refuse).unwrap().missing_files(), 3);
    assert_eq!(Plan::resumable_bytes(&manifest, Some(&home.at("out"))), 20);
    // Something else in the place of what had its name.
    fs::rename(home.at("out/a"), home.at("moved")).unwrap();
    assert_eq!(again(&manifest, ConflictPolicy::Refuse).unwrap().missing_files(), 4);
    home.file("out/a", "hello");
    says(&again(&manifest, ConflictPolicy::Refuse).unwrap_err(), &["out/a", "stands there already"]);
    fs::rename(home.at("moved"), home.at("out/a")).unwrap();
    // Another state of the same share, and a journal that is damaged.
    let journal = staging(&home, &manifest).join("names");
    let bytes = fs::read(&journal).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], &[0xff; 100], b""] {
        fs::write(&journal, damaged).unwrap();
        says(&again(&manifest, ConflictPolicy::Refuse).unwrap_err(), &["out/a", "stands there already"]);
    }
    let mut other = bytes.clone();
    other[0] ^= 1;
    fs::write(&journal, other).unwrap();
    says(&again(&manifest, ConflictPolicy::Refuse).unwrap_err(), &["out/a", "stands there already"]);
    fs::remove_file(&journal).unwrap();
    symlink("/dev/zero", &journal).unwrap();
    says(&again(&manifest, ConflictPolicy::Refuse).unwrap_err(), &["out/a", "stands there already"]);

    // Under names of its own.
    start_over();
    home.file("out/a", "old");
    let manifest = stopped_while_naming(&home, ConflictPolicy::Rename);
    assert_eq!(
        home.tree("out").into_iter().filter(|path| !path.starts_with('.')).collect::<Vec<_>>(),
        ["a", "a (1)", "d"]
    );
    home.file("out/g", "in the way");
    let plan = again(&manifest, ConflictPolicy::Rename).unwrap();
    assert_eq!(plan.missing_files(), 3);
    finish(Sink::new(plan, &HashProgress::default()).unwrap());
    assert_eq!(home.tree("out"), ["a", "a (1)", "d", "d (1)", "d (1)/e", "d (1)/f", "g", "g (1)"]);

    // Into a folder that stands already, file by file; what was replaced was replaced by this download.
    start_over();
    for path in ["out/a", "out/d/e"] {
        home.file(path, "old");
    }
    let manifest = stopped_while_naming(&home, ConflictPolicy::Overwrite);
    let plan = again(&manifest, ConflictPolicy::Overwrite).unwrap();
    assert_eq!((plan.missing_files(), plan.files()), (2, 4), "a and d/e have theirs");
    assert_eq!(
        finish(Sink::new(plan, &HashProgress::default()).unwrap()),
        ["a", "d", "g"].map(|name| home.at("out").join(name))
    );
    assert_eq!(home.tree("out"), ["a", "d", "d/e", "d/f", "g"]);
    assert!(["a", "d/e", "d/f", "g"].iter().all(|path| home.read(&format!("out/{path}")) == "hello"));
}

/// Everything that is missing is here already.
fn finish(mut sink: Sink) -> Vec<PathBuf> {
    for (index, _) in sink.staged_groups() {
        sink.start_file(index, 5).unwrap();
        sink.finish_file(&hash(HELLO)).unwrap();
    }
    sink.publish().unwrap()
}

#[test]
fn only_what_is_there_is_gone_on_with() {
    let home = Home::new();
    let (manifest, content) = cut_after(&home, 2 * GROUP_SIZE);
    for offset in [1, GROUP_SIZE as u64 - 1, 3 * GROUP_SIZE as u64, content.len() as u64, u64::MAX] {
        assert_eq!(again(&home, &manifest).start_file(1, offset).unwrap_err().kind(), Kind::Transfer, "{offset}");
    }
    assert_eq!(again(&home, &manifest).start_file(2, 4).unwrap_err().kind(), Kind::Transfer);
    // A wrong end: what does not match is not offered again, the rest is.
    let mut sink = again(&home, &manifest);
    sink.start_file(1, 2 * GROUP_SIZE as u64).unwrap();
    sink.write(&content[..GROUP_SIZE / 2]).unwrap();
    assert_eq!(sink.finish_file(&hash(&content)).unwrap_err().kind(), Kind::Corrupt);
    drop(sink);
    let have = again(&home, &manifest).staged_groups();
    assert_eq!(have.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2]);
}

/// Who stops while what is here is hashed has it still.
#[test]
fn a_stop_while_what_is_here_is_checked_loses_nothing() {
    let home = Home::new();
    let (manifest, _) = cut_after(&home, 2 * GROUP_SIZE);
    let check = HashProgress::default();
    drop(check.cancel_on_drop());
    let plan = Plan::new(manifest.clone(), Some(&home.at("out")), ConflictPolicy::Refuse).unwrap();
    assert_eq!(Sink::new(plan, &check).unwrap_err().kind(), Kind::Disk);
    let have = again(&home, &manifest).staged_groups();
    assert_eq!(have.iter().map(|(index, groups)| (*index, groups.len())).collect::<Vec<_>>(), [(1, 2), (2, 1)]);
}

#[test]
fn a_part_that_is_no_file_of_its_own_is_not_used() {
    let home = Home::new();
    let (manifest, _) = cut_after(&home, GROUP_SIZE);
    let part = staging(&home, &manifest).join("files/d/big");
    let precious = home.at("precious");
    fs::rename(&part, &precious).unwrap();
    for swap in [|from: &Path, to: &Path| symlink(from, to), |from: &Path, to: &Path| fs::hard_link(from, to)] {
        swap(&precious, &part).unwrap();
        let sink = again(&home, &manifest);
        assert_eq!(sink.staged_groups().len(), 1, "only the small one");
        assert!(fs::symlink_metadata(&part).is_err());
        assert_eq!(fs::metadata(&precious).unwrap().len(), GROUP_SIZE as u64);
    }
}

#[test]
fn a_staging_folder_that_is_none_is_refused() {
    let home = Home::new();
    let manifest = made_up(&[("f", 5)]);
    let place = staging(&home, &manifest);
    let start = || {
        Sink::new(Plan::new(manifest.clone(), Some(&home.at("out")), ConflictPolicy::Refuse)?, &HashProgress::default())
    };
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
    let start = || {
        Sink::new(
            Plan::new(manifest.clone(), Some(&home.at("out")), ConflictPolicy::Refuse).unwrap(),
            &HashProgress::default(),
        )
        .unwrap()
    };
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
        sink.discard();
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
    start().discard();
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
    let saved = receive(&source, &home.at("out"), ConflictPolicy::Overwrite).unwrap();
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
    assert_eq!(receive(&source, &home.at("out"), ConflictPolicy::Skip).unwrap(), [home.at("out/d")]);
    let content = ["d/same", "d/more", "d/e/f", "top"].map(|p| home.read(&format!("out/{p}")));
    assert_eq!(content, ["old", "new", "new", "old"]);
    // a second time there is nothing left to do
    let plan = Plan::new(source.manifest().clone(), Some(&home.at("out")), ConflictPolicy::Skip).unwrap();
    assert_eq!(plan.files(), 0);
    assert_eq!(Sink::new(plan, &HashProgress::default()).unwrap().publish().unwrap(), [home.at("out/d")]);
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
    for (make, clash) in make
        .iter()
        .flat_map(|m| [ConflictPolicy::Refuse, ConflictPolicy::Overwrite, ConflictPolicy::Rename].map(|c| (m, c)))
    {
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
            // What has none is there still, for another try.
            assert!(home.tree("out").iter().any(|p| p.ends_with(".part/files/f")));
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
    let mut sink = sink(&home, &[("d/", 0), ("d/e/", 0), ("d/e/f", 5)], ConflictPolicy::Overwrite).unwrap();
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
