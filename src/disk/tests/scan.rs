use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixListener},
};

use super::{super::shared_root::SharedRoot, *};
use crate::error::Kind;

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
    assert!(source.skipped().is_empty());
    let run = m.entry(10).unwrap();
    assert_eq!((run.mode, run.mtime), (0o750, Some(Mtime { seconds: 1_234_567_890, nanos: 987_654_321 })));
    assert_eq!(m.entry(9).unwrap().kind, EntryKind::Link { target: "b/z.txt".into() });
}

#[test]
fn a_share_is_named_after_its_first_path() {
    let home = Home::new();
    let (a, b) = (home.file("src/a", ""), home.file("src/b", ""));
    let name =
        |paths: &[PathBuf], name| Source::scan(paths, name, ShareId::random()).map(|s| s.manifest().name().to_owned());
    assert_eq!(name(std::slice::from_ref(&a), None).unwrap(), "a");
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

#[test]
fn links_out_of_the_share_and_special_files_are_skipped_and_reported() {
    let home = Home::new();
    home.file("src/t/f", "");
    home.link("/etc/shadow", "src/t/shadow");
    home.link("..", "src/t/up");
    home.link("f\u{1b}", "src/t/odd");
    symlink(OsStr::from_bytes(b"f\xff"), home.at("src/t/not-utf8")).unwrap();
    home.fifo("src/t/pipe");
    let _socket = UnixListener::bind(home.at("src/t/socket")).unwrap();
    let source = scan(&[home.at("src/t")]).unwrap();
    assert_eq!(paths_of(source.manifest()), ["t", "t/f"]);
    let names: Vec<_> = source.skipped().iter().map(|s| s.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["not-utf8", "odd", "pipe", "shadow", "socket", "up"]);
    assert!(source.skipped()[3].reason.contains("points outside"));
    assert!(source.skipped()[2].reason.contains("neither"));
}

#[test]
fn what_downloads_have_staged_in_a_folder_is_skipped_and_reported() {
    let home = Home::new();
    home.file("src/t/.qshare-0123456789abcdef.part/files/f", "");
    home.file("src/t/d/.QSHARE-probe-0-k", "");
    let source = scan(&[home.at("src/t")]).unwrap();
    assert_eq!(paths_of(source.manifest()), ["t", "t/d"]);
    let skipped: Vec<_> = source.skipped().iter().map(|s| (s.path.rsplit('/').next().unwrap(), s.reason)).collect();
    let reason = "its name is reserved for downloads in progress";
    assert_eq!(skipped, [(".qshare-0123456789abcdef.part", reason), (".QSHARE-probe-0-k", reason)]);
    let e = scan(&[home.at("src/t/.qshare-0123456789abcdef.part")]).unwrap_err();
    assert_eq!(e.kind(), Kind::Usage);
    assert_says(&e, &["cannot share", ".qshare-0123456789abcdef.part", "reserved"]);
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
    assert_refused(&[home.fifo("src/pipe")], &["pipe", "neither a file nor a folder"]);
    assert_refused(&[home.link("nowhere", "src/dangling")], &["dangling"]);
    assert_refused(&[home.file("src/a/x", ""), home.file("src/b/x", "")], &["a/x", "b/x", "same name"]);
    assert_refused(&[home.at("src/a"), home.at("src/a/")], &["same name"]);
    home.file("src/c/bad\u{202e}name", "");
    assert_refused(&[home.at("src/c")], &["cannot share", "c/bad\\u{202e}name", "it has the character"]);
    let raw = home.folder("src/d").join(OsStr::from_bytes(b"raw\xff"));
    fs::write(&raw, "").unwrap();
    assert_refused(&[home.at("src/d")], &["d/raw", "UTF-8"]);
    assert_refused(&[raw], &["d/raw", "UTF-8"]);
    home.file(&format!("src/{}", vec!["d"; 64].join("/")), "");
    assert_refused(&[home.at("src/d/d")].map(|p| p.parent().unwrap().to_owned()), &["raw"]);
    fs::remove_file(home.at("src/d").join(OsStr::from_bytes(b"raw\xff"))).unwrap();
    assert!(scan(&[home.at("src/d")]).is_ok());
    home.file(&format!("src/{}", vec!["e"; 65].join("/")), "");
    assert_refused(&[home.at("src/e")], &["nested too deep"]);
}

#[test]
fn unreadable_files_and_folders_are_refused_by_the_scan() {
    if rustix::process::geteuid().is_root() {
        return; // root can read everything
    }
    let home = Home::new();
    let file = home.file("src/t/private", "");
    let folder = home.folder("src/t/sub");
    for (path, mode) in [(&file, 0o000), (&folder, 0o000), (&folder, 0o400)] {
        home.file("src/t/sub/f", "");
        let before = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let e = scan(&[home.at("src/t")]).unwrap_err();
        fs::set_permissions(path, before).unwrap();
        assert_eq!(e.kind(), Kind::Usage);
        assert_says(&e, &["cannot read", "src/t/"]);
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
    assert!(same.open(3).is_err());
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
