use super::*;
use crate::error::Kind;

#[test]
fn a_file_can_be_read_in_pieces_of_any_size() {
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
fn a_file_that_changes_fails() {
    let home = Home::new();
    let path = home.file("src/t/f", "12345678");
    let assert_fails = |e: Error, word: &str| {
        assert_eq!(e.kind(), Kind::Transfer);
        assert_says(&e, &["“t/f”", word]);
    };
    let source = scan(&[home.at("src/t")]).unwrap();
    let mut open = source.open(1).unwrap();
    let mut shrinking = scan(&[home.at("src/t")]).unwrap().open(1).unwrap(); // does not share its reads with `open`
    let mut buf = [0; 100];
    // It grows while it is read: no more bytes are read than were announced, and finishing fails.
    fs::write(&path, "123456789").unwrap();
    assert_eq!(open.read(&mut buf).unwrap(), 8);
    assert_eq!(open.read(&mut buf).unwrap(), 0);
    assert_fails(open.finish().unwrap_err(), "changed while");
    fs::write(&path, "1234").unwrap();
    assert_fails(shrinking.read(&mut buf).unwrap_err(), "truncated");
    assert_fails(source.open(1).unwrap_err(), "has changed");
    // Its size and mtime stay the same, but its ctime changes.
    let source = scan(&[home.at("src/t")]).unwrap();
    std::thread::sleep(Duration::from_millis(20)); // the resolution of a ctime is the kernel's tick
    let before = mtime(&path);
    fs::write(&path, "4321").unwrap();
    set_mtime(&path, before.seconds.cast_unsigned(), before.nanos);
    assert_fails(source.open(1).unwrap_err(), "has changed");
}

#[test]
fn a_file_that_is_replaced_is_not_read() {
    let home = Home::new();
    let path = home.file("src/t/f", "1234");
    let other = home.file("src/other", "1234");
    let source = scan(&[home.at("src/t"), home.file("src/named", "1234")]).unwrap();
    let error = |index| {
        let e = source.open(index).unwrap_err();
        assert_eq!(e.kind(), Kind::Transfer);
        e.message().to_owned()
    };
    fs::remove_file(&path).unwrap();
    assert!(error(1).contains("no longer exists"));
    home.fifo("src/t/f"); // opening it must not wait for a writer
    assert!(error(1).contains("not a file"));
    fs::remove_file(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    error(1);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    error(1);
    fs::remove_dir(&path).unwrap();
    fs::rename(&other, &path).unwrap();
    assert!(error(1).contains("has changed"));
    fs::remove_file(home.at("src/named")).unwrap();
    home.fifo("src/named");
    assert!(error(2).contains("not a file"));
    for not_a_file in [0, 3, usize::MAX] {
        error(not_a_file);
    }
}

#[test]
fn a_folder_that_is_replaced_by_a_link_is_not_followed() {
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
    // The shared folder itself is replaced: the handle still refers to the one that was scanned.
    fs::rename(home.at("src/t/was-d"), home.at("src/t/d")).unwrap();
    fs::rename(home.at("src/t"), home.at("src/moved")).unwrap();
    home.link("/etc", "src/t");
    assert_eq!(read_all(&source, index).unwrap(), b"1234");
}

#[test]
fn many_shared_folders_do_not_use_up_the_file_handles() {
    let home = Home::new();
    let folders: Vec<PathBuf> = (0..100).map(|n| home.folder(&format!("src/{n}"))).collect();
    folders.iter().for_each(|f| fs::write(f.join("f"), "x").unwrap());
    let source = scan(&folders).unwrap();
    let last = source.manifest().len() - 1;
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
