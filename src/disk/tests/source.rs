use super::*;
use crate::{disk::SourceError, manifest::FileFailure};

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
    assert_eq!(file.finish(&HashProgress::default()).unwrap(), *blake3::hash(content.as_bytes()).as_bytes());
    source.open(0).unwrap().finish(&HashProgress::default()).unwrap_err();
}

#[track_caller]
fn assert_fails<T: std::fmt::Debug>(result: Result<T, SourceError>, failure: FileFailure) {
    let e = result.unwrap_err();
    assert_eq!(e.failure(), failure, "{e:?}");
    assert!(e.message().contains("“t/f”"), "{e:?}");
}

#[test]
fn a_file_that_changes_fails() {
    let home = Home::new();
    let path = home.file("src/t/f", "12345678");
    let mut buf = [0; 100];
    let progress = HashProgress::default();
    let source = scan(&[home.at("src/t")]).unwrap();
    let (mut open, mut shrinking) = (source.open(1).unwrap(), scan(&[home.at("src/t")]).unwrap().open(1).unwrap());
    assert_eq!(open.read(&mut buf).unwrap(), 8);
    fs::write(&path, "abcdefghijkl").unwrap();
    assert_fails(open.finish(&progress), FileFailure::Changed);
    fs::write(&path, "1234").unwrap();
    assert_fails(shrinking.read(&mut buf), FileFailure::Shorter);
    assert_fails(source.open(1), FileFailure::Shorter);
    fs::write(&path, "87654321").unwrap();
    set_mtime(&path, 1_000, 0);
    assert_fails(source.open(1), FileFailure::Changed);
    // Another file of the same name, which is longer.
    fs::rename(home.file("src/t/other", "0123456789"), &path).unwrap();
    assert_fails(source.open(1), FileFailure::Changed);
}

#[test]
fn a_file_that_only_grows_is_read_as_it_was_announced() {
    let home = Home::new();
    let path = home.file("src/t/f", "12345678");
    let grow = || std::io::Write::write_all(&mut File::options().append(true).open(&path).unwrap(), b"more").unwrap();
    let source = scan(&[home.at("src/t")]).unwrap();
    let mut early = source.open(1).unwrap();
    grow();
    let mut late = source.open(1).unwrap();
    let latest = source.rescan().unwrap();
    let mut whole = latest.open(1).unwrap(); // the same version of the file, and another length
    grow();
    let mut buf = [0; 100];
    for (file, length) in [(&mut early, 8), (&mut late, 8), (&mut whole, 12)] {
        assert_eq!((file.read(&mut buf).unwrap(), file.read(&mut []).unwrap()), (length, 0));
    }
    for (file, content) in [(early, "12345678"), (late, "12345678"), (whole, "12345678more")] {
        assert_eq!(file.finish(&HashProgress::default()).unwrap(), hash(content.as_bytes()));
    }
}

/// A new hard link and `chmod` change the ctime, and some FUSE file systems change inodes.
#[test]
fn a_file_with_the_same_size_and_time_has_not_changed() {
    let home = Home::new();
    let path = home.file("src/t/f", "12345678");
    let source = scan(&[home.at("src/t")]).unwrap();
    let mut open = source.open(1).unwrap();
    assert_eq!(open.read(&mut [0; 100]).unwrap(), 8);
    std::thread::sleep(Duration::from_millis(20)); // the resolution of a ctime is the kernel's tick
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::hard_link(&path, home.at("src/hard")).unwrap();
    assert_eq!(open.finish(&HashProgress::default()).unwrap(), hash(b"12345678"));
    source.open(1).unwrap();
    let (time, copy) = (mtime(&path), home.file("src/copy", "12345678"));
    set_mtime(&copy, time.seconds.cast_unsigned(), time.nanos);
    fs::rename(&copy, &path).unwrap();
    assert_eq!(read_all(&source, 1).unwrap(), b"12345678");
    // Its size and time stay the same, but its content changes while it is read.
    let mut open = source.open(1).unwrap();
    assert_eq!(open.read(&mut [0; 100]).unwrap(), 8);
    std::thread::sleep(Duration::from_millis(20));
    fs::write(&path, "87654321").unwrap();
    set_mtime(&path, time.seconds.cast_unsigned(), time.nanos);
    assert_fails(open.finish(&HashProgress::default()), FileFailure::Changed);
}

#[test]
fn a_file_that_is_replaced_is_not_read() {
    let home = Home::new();
    let path = home.file("src/t/f", "1234");
    let other = home.file("src/other", "1234");
    let source = scan(&[home.at("src/t"), home.file("src/named", "1234")]).unwrap();
    let error = |index| source.open(index).unwrap_err().message().to_owned();
    fs::remove_file(&path).unwrap();
    assert!(error(1).contains("no longer exists"));
    home.fifo("src/t/f"); // opening it must not wait for a writer
    assert!(error(1).contains("no longer a file"));
    fs::remove_file(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    error(1);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    error(1);
    fs::remove_dir(&path).unwrap();
    set_mtime(&other, 1_000, 0);
    fs::rename(&other, &path).unwrap();
    assert!(error(1).contains("changed"));
    fs::remove_file(home.at("src/named")).unwrap();
    home.fifo("src/named");
    assert!(error(2).contains("no longer a file"));
    for not_a_file in [0, 3, usize::MAX] {
        error(not_a_file);
    }
}

#[test]
fn a_folder_that_is_replaced_by_a_link_is_not_followed() {
    let home = Home::new();
    home.file("src/t/d/passwd", "1234");
    set_mtime(&home.file("src/t/e/passwd", "1234"), 1_000, 0);
    let source = scan(&[home.at("src/t")]).unwrap();
    let index = index_of(source.manifest(), "t/d/passwd");
    fs::rename(home.at("src/t/d"), home.at("src/t/was-d")).unwrap();
    for target in ["/etc", "e"] {
        home.link(target, "src/t/d");
        source.open(index).unwrap_err();
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
        source.open(last).unwrap_err();
        fs::remove_file(home.at("src/99")).unwrap();
    }
    fs::rename(home.at("src/away"), &folders[99]).unwrap();
    assert_eq!(read_all(&source, last).unwrap(), b"x");
}
