use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixListener},
    slice,
};

use super::{super::shared_root::SharedRoot, *};
use crate::{error::Kind, manifest::LeftOutReason};

#[test]
fn a_tree_is_listed_in_order_with_times_and_permissions() {
    let home = Home::new();
    home.file("src/t/b/z.txt", "zz");
    home.file("src/t/b/a.txt", "a");
    home.folder("src/t/empty");
    home.file("src/t/B", "");
    home.link("b/z.txt", "src/t/link");
    home.link("../../b", "src/t/c/d/up");
    let run = home.file("src/t/run.sh", "#!");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o4750)).unwrap();
    set_mtime(&run, 1_234_567_890, 987_654_321);
    let source = scan(&[home.at("src/t")]).unwrap();
    let m = source.manifest();
    let expected =
        ["t", "t/B", "t/b", "t/b/a.txt", "t/b/z.txt", "t/c", "t/c/d", "t/c/d/up", "t/empty", "t/link", "t/run.sh"];
    assert_eq!(paths_of(m), expected);
    assert_eq!((m.name(), m.files(), m.bytes()), ("t", 4, Some(5)));
    assert!(source.left_out().is_empty());
    let run = m.entry(10).unwrap();
    assert_eq!((run.mode, run.mtime), (0o750, Some(Mtime { seconds: 1_234_567_890, nanos: 987_654_321 })));
    assert_eq!(m.entry(9).unwrap().kind, EntryKind::Link { target: "b/z.txt".into() });
}

#[test]
fn a_share_is_named_after_its_first_path() {
    let home = Home::new();
    let (a, b) = (home.file("src/a", ""), home.file("src/b", ""));
    let name = |paths: &[PathBuf], name| scan_as(paths, name).map(|s| s.manifest().name().to_owned());
    assert_eq!(name(slice::from_ref(&a), None).unwrap(), "a");
    assert_eq!(name(&[b.clone(), a.clone(), home.at("out")], None).unwrap(), "b and 2 more");
    assert_eq!(name(&[b.clone(), a.clone()], Some("holiday")).unwrap(), "holiday");
    assert_eq!(name(&[a], Some("")).unwrap_err().kind(), Kind::Usage);
    let long = home.file(&format!("src/{}", "ü".repeat(127)), "");
    let named = name(&[long, b], None).unwrap();
    assert!(named.ends_with("ü and 1 more") && named.len() <= 255, "{named}");
    assert_eq!(name(&[], None).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn a_path_that_ends_in_dots_gets_the_real_name_of_its_folder() {
    let home = Home::new();
    home.file("src/t/d/f", "");
    for spelling in ["src/t/d/..", "src/t/", "src/t/.", "src/t/d/../"] {
        let source = scan(&[home.at(spelling)]).unwrap();
        assert_eq!(paths_of(source.manifest()), ["t", "t/d", "t/d/f"], "{spelling}");
        source.open(2).unwrap();
    }
    let e = scan(&[PathBuf::from("/")]).unwrap_err();
    assert_eq!(e.kind(), Kind::Usage);
    let current = std::env::current_dir().unwrap();
    assert_eq!(Some(&*SharedRoot::resolve(Path::new(".")).unwrap().name().unwrap()), current.file_name());
}

#[test]
fn links_that_the_user_names_are_followed() {
    let home = Home::new();
    home.file("src/real/f", "content");
    let dir = home.link("real", "src/dir");
    let file = home.link("real/f", "src/file");
    let source = scan(&[dir, file]).unwrap();
    assert_eq!(paths_of(source.manifest()), ["dir", "dir/f", "file"]);
    assert_eq!(read_all(&source, 2).unwrap(), b"content");
    assert_eq!(read_all(&source, 1).unwrap(), b"content");
}

/// Returns the names that a scan has left out, each with its reason.
fn left_out(source: &Source) -> Vec<(&str, LeftOutReason)> {
    source.left_out().iter().map(|path| (path.path.rsplit('/').next().unwrap(), path.reason)).collect()
}

fn scan_as(paths: &[PathBuf], name: Option<&str>) -> Result<Source> {
    Source::scan(paths, name, ShareId::random(), ScanOptions::default())
}

#[test]
fn the_name_of_the_share_is_the_name_of_its_only_path() {
    let home = Home::new();
    let (file, folder) = (home.file("src/a", "content"), home.folder("src/d"));
    home.file("src/d/f", "f");
    let source = scan_as(slice::from_ref(&file), Some("b.txt")).unwrap();
    assert_eq!(paths_of(source.manifest()), ["b.txt"]);
    assert_eq!(read_all(&source.rescan().unwrap(), 0).unwrap(), b"content");
    let source = scan_as(slice::from_ref(&folder), Some("e")).unwrap();
    assert_eq!(paths_of(source.manifest()), ["e", "e/f"]);
    assert_eq!(read_all(&source, 1).unwrap(), b"f");
    assert_eq!(paths_of(scan_as(&[file.clone(), folder], Some("x/y")).unwrap().manifest()), ["a", "d", "d/f"]);
    for refused in ["x/y", "..", "a\nb", ".qshare-x", "/"] {
        let e = scan_as(slice::from_ref(&file), Some(refused)).unwrap_err();
        assert_eq!(e.kind(), Kind::Usage);
        assert_says(&e, &["cannot be the name of a file"]);
    }
}

#[test]
fn everything_that_cannot_be_shared_is_left_out_and_listed_with_its_reason() {
    let home = Home::new();
    home.file("src/t/f", "");
    home.link("/etc/shadow", "src/t/absolute");
    home.link("..", "src/t/up");
    home.link("f\u{1b}", "src/t/odd");
    home.link("nowhere", "src/t/broken");
    symlink(OsStr::from_bytes(b"f\xff"), home.at("src/t/not-utf8")).unwrap();
    home.fifo("src/t/pipe");
    let _socket = UnixListener::bind(home.at("src/t/socket")).unwrap();
    home.file("src/t/Icon\r", "");
    home.file("src/t/over\u{202e}ride", "");
    home.file("src/t/שלום\u{200f}.txt", "right to left");
    fs::write(home.at("src/t").join(OsStr::from_bytes(b"latin\xe9")), "").unwrap();
    home.file(&format!("src/t/{}/deep", vec!["d"; 63].join("/")), "");
    let source = scan(&[home.at("src/t")]).unwrap();
    let shared = paths_of(source.manifest());
    let shared: Vec<_> = shared.iter().filter(|path| !path.starts_with("t/d")).collect();
    assert_eq!(shared, ["t", "t/broken", "t/f", "t/שלום\u{200f}.txt"]);
    let expected = [
        ("Icon\\u{d}", LeftOutReason::Name),
        ("absolute", LeftOutReason::AbsoluteLink),
        ("deep", LeftOutReason::TooDeep),
        ("latin\u{fffd}", LeftOutReason::NotUnicode),
        ("not-utf8", LeftOutReason::LinkTarget),
        ("odd", LeftOutReason::LinkTarget),
        ("over\\u{202e}ride", LeftOutReason::Name),
        ("pipe", LeftOutReason::Special),
        ("socket", LeftOutReason::Special),
        ("up", LeftOutReason::OutsideLink),
    ];
    assert_eq!(left_out(&source), expected);
    let counts: Vec<_> = source.manifest().left_out().counts().collect();
    assert!(counts.contains(&(LeftOutReason::Special, 2)) && counts.contains(&(LeftOutReason::Name, 2)), "{counts:?}");
    let detail = |name: &str| source.left_out().iter().find(|path| path.path.ends_with(name)).unwrap().to_string();
    assert!(detail("pipe").ends_with("/t/pipe: it is a pipe") && detail("socket").ends_with("it is a socket"));
    assert!(detail("absolute").contains("/etc/shadow") && detail("Icon\\u{d}").contains("it has the character \\u{d}"));
    fs::remove_file(home.at("src/t/pipe")).unwrap();
    let rescanned = source.rescan().unwrap();
    assert_eq!(paths_of(rescanned.manifest()), paths_of(source.manifest()));
    assert!(rescanned.manifest().left_out().counts().any(|count| count == (LeftOutReason::Special, 1)));
}

#[test]
fn named_paths_that_cannot_be_shared_are_left_out_if_others_can() {
    let home = Home::new();
    let paths = [home.file("src/Icon\r", ""), home.file("src/f", "")];
    let source = scan(&paths).unwrap();
    assert_eq!(
        (paths_of(source.manifest()), left_out(&source)),
        (vec!["f".to_owned()], vec![("Icon\\u{d}", LeftOutReason::Name)])
    );
    let e = scan(&paths[..1]).unwrap_err();
    assert_eq!(e.kind(), Kind::Usage);
    assert_says(&e, &["cannot share", "Icon\\u{d}", "it has the character"]);
}

/// The state of this tool holds codes and keys. Another path to it, such as a bind mount, has the same inode.
#[test]
fn the_files_of_this_tool_are_never_shared() {
    let home = Home::new();
    let state = home.folder("src/t/anywhere");
    home.file("src/t/anywhere/shares/x.json", "code");
    fs::hard_link(home.at("src/t/anywhere/shares/x.json"), home.at("src/t/linked")).unwrap();
    home.file("src/t/f", "");
    home.file("src/t/ann/.local/state/qshare/embedded/relay.key", "key");
    home.file("src/t/ann/.local/state/other", "");
    home.file("src/t/.qshare-0123456789abcdef.part/files/f", "");
    home.file("src/t/d/.QSHARE-probe-0-k", "");
    let options = ScanOptions { own_folders: vec![home.at("src/missing"), state.clone()], ..ScanOptions::default() };
    let scan = |path: &Path| Source::scan(&[path.to_owned()], None, ShareId::random(), options.clone());
    let source = scan(&home.at("src/t")).unwrap();
    let shared = ["t", "t/ann", "t/ann/.local", "t/ann/.local/state", "t/ann/.local/state/other", "t/d", "t/f"];
    assert_eq!(paths_of(source.manifest()), shared);
    let names: Vec<_> = left_out(&source).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [".qshare-0123456789abcdef.part", "qshare", "anywhere", ".QSHARE-probe-0-k", "linked"]);
    assert!(source.left_out().iter().all(|path| path.reason == LeftOutReason::OwnFile));
    assert_eq!(paths_of(source.rescan().unwrap().manifest()), shared);
    let link = home.link("t/anywhere", "src/link");
    for named in [
        state.clone(),
        state.join("shares"),
        state.join("shares/x.json"),
        link,
        home.at("src/t/linked"),
        home.at("src/t/ann/.local/state/qshare"),
        home.at("src/t/.qshare-0123456789abcdef.part"),
        home.at("src/t/.qshare-0123456789abcdef.part/files/f"),
    ] {
        let e = scan(&named).unwrap_err();
        assert_eq!(e.kind(), Kind::Usage);
        assert_says(&e, &["own files", "never shared"]);
    }
}

#[test]
fn paths_that_cannot_be_shared_are_named_in_the_error() {
    let home = Home::new();
    let assert_refused = |path: &[PathBuf], words: &[&str]| {
        let e = scan(path).unwrap_err();
        assert_eq!(e.kind(), Kind::Usage, "{e}");
        assert_says(&e, words);
    };
    assert_refused(&[home.at("src/missing\u{1b}[2J")], &["missing\\u{1b}", "does not exist"]);
    assert_refused(&[home.fifo("src/pipe")], &["cannot share the pipe", "pipe"]);
    let socket = home.at("src/socket");
    let _socket = UnixListener::bind(&socket).unwrap();
    assert_refused(&[socket], &["socket: it is a socket"]);
    assert_refused(&[home.link("nowhere", "src/dangling")], &["dangling"]);
    assert_refused(&[home.file("src/a/x", ""), home.file("src/b/x", "")], &["a/x", "b/x", "same name"]);
    assert_refused(&[home.at("src/a"), home.at("src/a/")], &["same name"]);
    let raw = home.folder("src/d").join(OsStr::from_bytes(b"raw\xff"));
    fs::write(&raw, "").unwrap();
    assert_refused(&[raw], &["d/raw", "UTF-8"]);
}

#[test]
fn unreadable_files_and_folders_are_left_out() {
    if rustix::process::geteuid().is_root() {
        return; // root can read everything
    }
    let home = Home::new();
    let file = home.file("src/t/private", "");
    let folder = home.folder("src/t/sub");
    for (path, mode, name) in [(&file, 0o000, "private"), (&folder, 0o000, "sub"), (&folder, 0o400, "f")] {
        home.file("src/t/sub/f", "");
        let before = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let scanned = scan(&[home.at("src/t")]);
        fs::set_permissions(path, before).unwrap();
        assert_eq!(left_out(&scanned.unwrap()), [(name, LeftOutReason::Unreadable)]);
    }
}

/// A file in `/proc` has the size 0, and a file in `/sys` has the size of a page.
#[cfg(target_os = "linux")]
#[test]
fn files_without_a_size_are_shared_as_they_were_scanned() {
    let home = Home::new();
    for path in ["/proc/cpuinfo", "/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled"] {
        let Ok(content) = fs::read(path) else { continue };
        let source = scan(&[PathBuf::from(path)]).unwrap();
        let size = source.manifest().bytes().unwrap();
        assert!(size > 0 && size.abs_diff(content.len() as u64) < 200, "{path}: {size}");
        let mut file = source.open(0).unwrap();
        let mut read = vec![0; content.len() + 1_000];
        let length = file.read(&mut read).unwrap();
        assert_eq!(length as u64, size);
        assert_eq!(file.finish(&HashProgress::default()).unwrap(), hash(&read[..length]), "{path}");
    }
    home.file("src/t/empty", "");
    assert_eq!(read_all(&scan(&[home.at("src/t")]).unwrap(), 1).unwrap(), b"");
    let endless = scan(&[home.at("src/t"), PathBuf::from("/proc/kallsyms")]);
    if fs::read("/proc/kallsyms").is_ok_and(|content| content.len() > 1024 * 1024) {
        assert_eq!(left_out(&endless.unwrap()), [("kallsyms", LeftOutReason::Unsized)]);
    }
}

/// Many downloads scan a share again; without a change, they need no memory of their own.
#[test]
fn a_scan_without_a_change_shares_the_manifest_of_the_previous_scan() {
    let home = Home::new();
    home.file("src/t/a", "1");
    home.file("src/t/b/c", "2");
    let first = scan(&[home.at("src/t")]).unwrap();
    let same = first.rescan().unwrap();
    assert!(Arc::ptr_eq(first.manifest(), same.manifest()));
    assert_eq!(read_all(&same, 1).unwrap(), b"1");
    home.file("src/t/b/c", "22");
    let changed = same.rescan().unwrap();
    assert_eq!((changed.manifest().bytes(), paths_of(changed.manifest()).len()), (Some(3), 4));
    assert_eq!(read_all(&changed, 3).unwrap(), b"22");
    assert!(same.open(3).is_ok(), "it has only grown");
    fs::remove_file(home.at("src/t/b/c")).unwrap();
    let shorter = changed.rescan().unwrap();
    assert_eq!(paths_of(shorter.manifest()), ["t", "t/a", "t/b"]);
    home.file("src/t/z", "");
    assert_eq!(paths_of(shorter.rescan().unwrap().manifest()), ["t", "t/a", "t/b", "t/z"]);
}

/// A user who can write to the parent folder of a shared path must not be able to redirect the share to other files.
#[test]
fn a_shared_path_that_is_replaced_by_a_link_is_refused() {
    let home = Home::new();
    home.file("src/t/f", "1234");
    home.file("src/g", "1234");
    home.file("victim/f", "secret");
    home.link("src/g", "as-typed");
    let source = scan(&[home.at("src/t"), home.at("as-typed")]).unwrap();
    assert_eq!(source.rescan().unwrap().manifest().len(), 3);
    let error = || source.rescan().unwrap_err();
    for (path, target) in [("src/t", "../victim"), ("src/g", "../victim/f")] {
        fs::rename(home.at(path), home.at("away")).unwrap();
        home.link(target, path);
        assert_says(&error(), &["was replaced by a symbolic link"]);
        fs::remove_file(home.at(path)).unwrap();
        fs::rename(home.at("away"), home.at(path)).unwrap();
    }
    // A parent folder is replaced by a link.
    fs::rename(home.at("src"), home.at("away")).unwrap();
    home.link("away", "src");
    assert_says(&error(), &["was replaced by a symbolic link"]);
    fs::remove_file(home.at("src")).unwrap();
    fs::rename(home.at("away"), home.at("src")).unwrap();
    // The link that the user named points elsewhere now: the file that it pointed to before stays shared.
    fs::remove_file(home.at("as-typed")).unwrap();
    home.link("victim/f", "as-typed");
    let rescanned = source.rescan().unwrap();
    assert_eq!(read_all(&rescanned, index_of(rescanned.manifest(), "as-typed")).unwrap(), b"1234");
}
