use std::{
    ffi::OsStr,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
};

use super::{super::scan::base_name, *};
use crate::error::Kind;

#[test]
fn a_tree_is_listed_in_order_with_its_times_and_permissions() {
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
    let run = &m.entries()[10];
    assert_eq!((run.mode, run.mtime), (0o750, Some(Mtime { seconds: 1_234_567_890, nanos: 987_654_321 })));
    assert_eq!(m.entries()[9].kind, EntryKind::Link { target: "b/z.txt".into() });
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
fn odd_spellings_of_a_path_get_its_real_name() {
    let home = Home::new();
    home.file("src/t/d/f", "");
    for spelling in ["src/t/d/..", "src/t/", "src/t/.", "src/t/d/../"] {
        let source = scan(&[home.at(spelling)]).unwrap();
        assert_eq!(paths_of(source.manifest()), ["t", "t/d", "t/d/f"], "{spelling}");
        source.open(2).unwrap();
    }
    let e = scan(&[PathBuf::from("/")]).unwrap_err();
    assert_eq!(e.kind(), Kind::Usage);
    let here = std::env::current_dir().unwrap();
    assert_eq!(Some(&*base_name(Path::new(".")).unwrap()), here.file_name());
}

#[test]
fn links_that_the_user_named_are_followed() {
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
fn what_leads_out_or_is_no_file_is_left_out_and_said() {
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
    assert!(source.skipped()[3].reason.contains("leads out"));
    assert!(source.skipped()[2].reason.contains("neither"));
}

#[test]
fn what_cannot_be_shared_is_named() {
    let home = Home::new();
    let refused = |path: &[PathBuf], words: &[&str]| {
        let e = scan(path).unwrap_err();
        assert_eq!(e.kind(), Kind::Usage, "{e}");
        says(&e, words);
    };
    refused(&[home.at("src/missing\u{1b}[2J")], &["missing\\u{1b}", "does not exist"]);
    refused(&[home.fifo("src/pipe")], &["pipe", "neither a file nor a folder"]);
    refused(&[home.link("nowhere", "src/dangling")], &["dangling"]);
    refused(&[home.file("src/a/x", ""), home.file("src/b/x", "")], &["a/x", "b/x", "same name"]);
    refused(&[home.at("src/a"), home.at("src/a/")], &["same name"]);
    home.file("src/c/bad\u{202e}name", "");
    refused(&[home.at("src/c")], &["c/bad\\u{202e}name", "it has the character"]);
    let raw = home.folder("src/d").join(OsStr::from_bytes(b"raw\xff"));
    fs::write(&raw, "").unwrap();
    refused(&[home.at("src/d")], &["d/raw", "UTF-8"]);
    refused(&[raw], &["d/raw", "UTF-8"]);
    home.file(&format!("src/{}", vec!["d"; 64].join("/")), "");
    refused(&[home.at("src/d/d")].map(|p| p.parent().unwrap().to_owned()), &["raw"]);
    fs::remove_file(home.at("src/d").join(OsStr::from_bytes(b"raw\xff"))).unwrap();
    assert!(scan(&[home.at("src/d")]).is_ok());
    home.file(&format!("src/{}", vec!["e"; 65].join("/")), "");
    refused(&[home.at("src/e")], &["nested too deep"]);
}

#[test]
fn what_may_not_be_read_is_named_before_it_is_shared() {
    if rustix::process::geteuid().is_root() {
        return; // root may read everything
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
        says(&e, &["src/t/", "cannot be read"]);
    }
}

#[test]
fn a_file_is_read_in_whatever_pieces() {
    let home = Home::new();
    let content = "0123456789".repeat(1_000);
    let source = scan(&[home.file("src/f", &content)]).unwrap();
    let mut file = source.open(0).unwrap();
    let mut buf = vec![0; 10_007];
    assert_eq!(file.read(&mut []).unwrap(), 0);
    assert_eq!(file.read(&mut buf[..7]).unwrap(), 7);
    assert_eq!(file.read(&mut buf[7..]).unwrap(), 9_993);
    assert_eq!(file.read(&mut buf[..10]).unwrap(), 0);
    assert_eq!(&buf[..10_000], content.as_bytes());
    assert_eq!(file.finish().unwrap(), *blake3::hash(content.as_bytes()).as_bytes());
    assert_eq!(source.open(0).unwrap().finish().unwrap_err().kind(), Kind::Transfer);
}

#[test]
fn a_file_that_changes_is_not_sent_as_if_it_had_not() {
    let home = Home::new();
    let path = home.file("src/t/f", "12345678");
    let transfer = |e: Error, word: &str| {
        assert_eq!(e.kind(), Kind::Transfer);
        says(&e, &["“t/f”", word]);
    };
    let source = scan(&[home.at("src/t")]).unwrap();
    let mut open = source.open(1).unwrap();
    let mut shrinking = scan(&[home.at("src/t")]).unwrap().open(1).unwrap(); // which shares nothing with the other
    let mut buf = [0; 100];
    // grows while it is read: never more than was announced, and not whole
    fs::write(&path, "123456789").unwrap();
    assert_eq!(open.read(&mut buf).unwrap(), 8);
    assert_eq!(open.read(&mut buf).unwrap(), 0);
    transfer(open.finish().unwrap_err(), "changed while");
    fs::write(&path, "1234").unwrap();
    transfer(shrinking.read(&mut buf).unwrap_err(), "shorter");
    transfer(source.open(1).unwrap_err(), "has changed");
    // same size and mtime, other content: the ctime tells
    let source = scan(&[home.at("src/t")]).unwrap();
    std::thread::sleep(Duration::from_millis(20)); // a ctime is as fine as the kernel's tick
    let before = mtime(&path);
    fs::write(&path, "4321").unwrap();
    set_mtime(&path, before.seconds.cast_unsigned(), before.nanos);
    transfer(source.open(1).unwrap_err(), "has changed");
}

#[test]
fn a_file_that_is_swapped_is_not_read() {
    let home = Home::new();
    let path = home.file("src/t/f", "1234");
    let other = home.file("src/other", "1234");
    let source = scan(&[home.at("src/t"), home.file("src/named", "1234")]).unwrap();
    let refused = |index| {
        let e = source.open(index).unwrap_err();
        assert_eq!(e.kind(), Kind::Transfer);
        e.message().to_owned()
    };
    fs::remove_file(&path).unwrap();
    assert!(refused(1).contains("is gone"));
    home.fifo("src/t/f"); // must not wait for a writer
    assert!(refused(1).contains("not a file"));
    fs::remove_file(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    refused(1);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(1);
    fs::remove_dir(&path).unwrap();
    fs::rename(&other, &path).unwrap();
    assert!(refused(1).contains("has changed"));
    fs::remove_file(home.at("src/named")).unwrap();
    home.fifo("src/named");
    assert!(refused(2).contains("not a file"));
    for not_a_file in [0, 3, usize::MAX] {
        refused(not_a_file);
    }
}

#[test]
fn a_folder_that_is_swapped_for_a_link_leads_nowhere() {
    let home = Home::new();
    home.file("src/t/d/passwd", "1234");
    home.file("src/t/e/passwd", "1234");
    let source = scan(&[home.at("src/t")]).unwrap();
    let index = index_of(source.manifest(), "t/d/passwd");
    fs::rename(home.at("src/t/d"), home.at("src/t/was-d")).unwrap();
    for target in ["/etc", "e"] {
        home.link(target, "src/t/d");
        assert_eq!(source.open(index).unwrap_err().kind(), Kind::Transfer);
        fs::remove_file(home.at("src/t/d")).unwrap();
    }
    // the folder that was named itself: the handle still leads to the one that was scanned
    fs::rename(home.at("src/t/was-d"), home.at("src/t/d")).unwrap();
    fs::rename(home.at("src/t"), home.at("src/moved")).unwrap();
    home.link("/etc", "src/t");
    assert_eq!(read_all(&source, index).unwrap(), b"1234");
}

#[test]
fn many_folders_do_not_use_up_the_handles() {
    let home = Home::new();
    let folders: Vec<PathBuf> = (0..100).map(|n| home.folder(&format!("src/{n}"))).collect();
    folders.iter().for_each(|f| fs::write(f.join("f"), "x").unwrap());
    let source = scan(&folders).unwrap();
    let last = source.manifest().entries().len() - 1;
    assert_eq!(read_all(&source, last).unwrap(), b"x");
    fs::rename(&folders[99], home.at("src/away")).unwrap();
    for target in ["away", "98"] {
        home.link(target, "src/99");
        assert_eq!(source.open(last).unwrap_err().kind(), Kind::Transfer);
        fs::remove_file(home.at("src/99")).unwrap();
    }
    fs::rename(home.at("src/away"), &folders[99]).unwrap();
    assert_eq!(read_all(&source, last).unwrap(), b"x");
}

/// Who can write to the folder that holds what is shared must not read more by that than what is shared.
#[test]
fn what_was_named_and_becomes_a_link_is_not_followed() {
    let home = Home::new();
    home.file("src/t/f", "1234");
    home.file("src/g", "1234");
    home.file("victim/f", "secret");
    home.link("src/g", "as-typed");
    let source = scan(&[home.at("src/t"), home.at("as-typed")]).unwrap();
    assert_eq!(source.rescan(None).unwrap().manifest().entries().len(), 3);
    let refused = || source.rescan(None).unwrap_err();
    for (path, target) in [("src/t", "../victim"), ("src/g", "../victim/f")] {
        fs::rename(home.at(path), home.at("away")).unwrap();
        home.link(target, path);
        says(&refused(), &["has become a link"]);
        fs::remove_file(home.at(path)).unwrap();
        fs::rename(home.at("away"), home.at(path)).unwrap();
    }
    // A link on the way to it.
    fs::rename(home.at("src"), home.at("away")).unwrap();
    home.link("away", "src");
    says(&refused(), &["has become a link"]);
    fs::remove_file(home.at("src")).unwrap();
    fs::rename(home.at("away"), home.at("src")).unwrap();
    // The link that the user named leads elsewhere since: what it led to is what is shared.
    fs::remove_file(home.at("as-typed")).unwrap();
    home.link("victim/f", "as-typed");
    let again = source.rescan(None).unwrap();
    assert_eq!(read_all(&again, index_of(again.manifest(), "as-typed")).unwrap(), b"1234");
}

fn read_all(source: &Source, index: usize) -> Result<Vec<u8>> {
    let mut file = source.open(index)?;
    let mut content = vec![0; 1_000];
    let n = file.read(&mut content)?;
    content.truncate(n);
    file.finish()?;
    Ok(content)
}
