use std::{
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::error::Kind;

#[test]
fn only_one_download_of_a_share_runs_in_a_folder() {
    let home = Home::new();
    let manifest = manifest(&[("f", 5)]);
    let start = || start(&home, &manifest, ConflictPolicy::Refuse);
    let first = start().unwrap();
    assert_eq!(fs::metadata(home.staging(&manifest)).unwrap().permissions().mode() & 0o777, 0o700);
    let e = start().unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    assert_says(&e, &["another recv is already downloading this share"]);
    first.discard();
    start().unwrap();
}

#[test]
fn downloads_to_two_names_do_not_lock_each_other_out() {
    let home = Home::new();
    let manifest = manifest(&[("f", 5)]);
    let start =
        |name: &str| Sink::new(Plan::new(Arc::clone(&manifest), Some(&home.at(name)), ConflictPolicy::Refuse).unwrap());
    let mut sinks = ["out/one", "out/two", "out/"].map(|name| start(name).unwrap());
    assert_says(&start("out/two").unwrap_err(), &["another recv", "out/two"]);
    sinks.iter_mut().for_each(|sink| receive_hello(sink, 0).unwrap());
    sinks.into_iter().for_each(|sink| drop(sink.publish().unwrap()));
    assert_eq!(home.tree("out"), ["f", "one", "two"]);
}

/// The disk finds a file of another entry under the name of the next one.
#[test]
fn nothing_that_this_run_has_written_makes_room_for_another_entry() {
    let home = Home::new();
    let manifest = manifest(&[("a", 5), ("b", 5), ("d/", 0)]);
    let mut sink = start(&home, &manifest, ConflictPolicy::Refuse).unwrap();
    receive_hello(&mut sink, 0).unwrap();
    let files = home.staging(&manifest).join("files");
    fs::hard_link(files.join("a"), files.join("b")).unwrap();
    let e = receive_hello(&mut sink, 1).unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    assert_says(&e, &["cannot create b", "another entry"]);
    drop(sink);
    assert_eq!(fs::read(files.join("a")).unwrap(), HELLO);
}

#[test]
fn interrupted_removals_are_completed() {
    let home = Home::new();
    for name in ["removed-00/names", "trial-00/x", "copy-00/x"] {
        let path = home.file(&format!("out/.qshare-{name}"), "");
        set_mtime(path.parent().unwrap(), 1_000_000_000, 0);
    }
    home.file("out/.qshare-trial-01/x", "in use");
    home.file("out/.qshare-remove/kept", "");
    crate::disk::StagedDownload::remove_leftovers(&home.at("out")).unwrap();
    assert_eq!(home.tree("out"), [".qshare-remove", ".qshare-remove/kept", ".qshare-trial-01", ".qshare-trial-01/x"]);
}

#[test]
fn downloads_that_start_and_end_concurrently_never_share_a_staging_folder() {
    let home = Home::new();
    let manifest = manifest(&[("f", 5)]);
    let running = AtomicU32::new(0);
    let start_often = || {
        for _ in 0..200 {
            match start(&home, &manifest, ConflictPolicy::Refuse) {
                Ok(sink) => {
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                    running.fetch_sub(1, Ordering::SeqCst);
                    sink.discard();
                }
                Err(e) => assert_says(&e, &["another recv"]),
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(start_often))));
    assert!(home.tree("out").is_empty());
}

#[test]
fn the_staging_folder_of_a_killed_process_is_cleaned_and_reused() {
    let home = Home::new();
    let manifest = manifest(&[("d/", 0), ("d/f", 5)]);
    let staging = home.staging(&manifest);
    fs::create_dir_all(staging.join("files/d/old")).unwrap();
    fs::write(staging.join("files/d/f"), "half").unwrap();
    fs::write(staging.join("lock"), "").unwrap();
    symlink("/etc", staging.join("files/d/etc")).unwrap();
    let outside = home.file("precious/f", "stays");
    symlink(home.at("precious"), staging.join("files/d/link")).unwrap();
    let mut sink = start(&home, &manifest, ConflictPolicy::Refuse).unwrap();
    assert_eq!(fs::metadata(&staging).unwrap().permissions().mode() & 0o777, 0o700);
    receive_hello(&mut sink, 1).unwrap();
    sink.publish().unwrap();
    assert_eq!(home.tree("out"), ["d", "d/f"]);
    assert!(outside.exists());
}

#[test]
fn a_staging_folder_that_is_a_file_or_a_link_is_refused() {
    let home = Home::new();
    let manifest = manifest(&[("f", 5)]);
    let staging = home.staging(&manifest);
    let start = || start(&home, &manifest, ConflictPolicy::Refuse);
    fs::write(&staging, "").unwrap();
    assert_eq!(start().unwrap_err().kind(), Kind::Disk);
    fs::remove_file(&staging).unwrap();
    let elsewhere = home.folder("elsewhere");
    symlink(&elsewhere, &staging).unwrap();
    assert_eq!(start().unwrap_err().kind(), Kind::Disk);
    assert!(home.tree("elsewhere").is_empty());
    fs::remove_file(&staging).unwrap();
    // The lock and the content are links.
    fs::create_dir(&staging).unwrap();
    symlink(home.file("precious", "stays"), staging.join("lock")).unwrap();
    assert_eq!(start().unwrap_err().kind(), Kind::Disk);
    fs::remove_file(staging.join("lock")).unwrap();
    home.file("elsewhere/f", "stays");
    symlink(&elsewhere, staging.join("files")).unwrap();
    start().unwrap();
    assert_eq!((home.read("precious"), home.read("elsewhere/f")), ("stays".into(), "stays".into()));
}

#[test]
fn a_staged_folder_that_is_replaced_by_a_link_is_not_followed() {
    let home = Home::new();
    let elsewhere = home.folder("elsewhere");
    let manifest = manifest(&[("d/", 0), ("d/e/", 0), ("d/e/f", 5), ("d/e/g", 5), ("d/h", 5)]);
    let start = || start(&home, &manifest, ConflictPolicy::Refuse).unwrap();
    let replace = |path: &str| {
        let path = home.staging(&manifest).join("files").join(path);
        fs::rename(&path, home.at("moved")).unwrap();
        symlink(&elsewhere, &path).unwrap();
    };
    for (path, index) in [("d", 2), ("d/e", 2)] {
        let mut sink = start();
        replace(path);
        // The handle of a folder may still be open; otherwise opening the folder must fail.
        let result = receive_hello(&mut sink, index);
        assert!(home.tree("elsewhere").is_empty());
        if let Err(e) = result {
            assert_eq!(e.kind(), Kind::Disk);
        }
        sink.discard();
        fs::remove_dir_all(home.at("moved")).unwrap();
        assert!(home.at("elsewhere").exists() && home.tree("out").is_empty());
    }
    let mut sink = start();
    [2, 3, 4].into_iter().for_each(|index| receive_hello(&mut sink, index).unwrap());
    replace("d");
    let e = sink.publish().unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    assert_says(&e, &["“d”", "replaced"]);
    start().discard();
    assert!(home.tree("out").is_empty());
}
