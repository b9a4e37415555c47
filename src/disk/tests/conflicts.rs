use std::io;

use super::*;
use crate::error::Kind;

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
    let saved = receive(&home, &source, ConflictPolicy::Overwrite).unwrap();
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
fn skip_leaves_existing_files_alone() {
    let home = Home::new();
    home.file("out/d/same", "old");
    home.file("out/top", "old");
    for path in ["src/d/same", "src/d/more", "src/d/e/f", "src/top"] {
        home.file(path, "new");
    }
    let source = scan(&[home.at("src/d"), home.at("src/top")]).unwrap();
    assert_eq!(receive(&home, &source, ConflictPolicy::Skip).unwrap(), [home.at("out/d")]);
    let content = ["d/same", "d/more", "d/e/f", "top"].map(|p| home.read(&format!("out/{p}")));
    assert_eq!(content, ["old", "new", "new", "old"]);
    // The second download has nothing to do.
    let plan = plan(&home, source.manifest(), ConflictPolicy::Skip).unwrap();
    assert_eq!(plan.files(), 0);
    assert_eq!(Sink::new(plan).unwrap().publish().unwrap().paths, [home.at("out/d")]);
}

#[test]
fn a_target_created_during_the_download_is_not_replaced() {
    let home = Home::new();
    let create: [fn(&Path) -> io::Result<()>; 4] = [
        |path| fs::write(path, "theirs"),
        |path| symlink("nowhere", path),
        |path| fs::create_dir(path),
        |path| mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).map_err(Into::into),
    ];
    let policies = [ConflictPolicy::Refuse, ConflictPolicy::Overwrite, ConflictPolicy::Rename];
    for (create, policy) in create.iter().flat_map(|create| policies.map(|policy| (create, policy))) {
        for name in ["f", "d"] {
            let manifest = manifest(&[("a", 5), ("d/", 0), ("d/x", 5), ("f", 5)]);
            let mut sink = start(&home, &manifest, policy).unwrap();
            [0, 2, 3].into_iter().for_each(|i| receive_hello(&mut sink, i).unwrap());
            create(&home.at("out").join(name)).unwrap();
            let before = fs::symlink_metadata(home.at("out").join(name)).unwrap();
            let e = sink.publish().unwrap_err();
            assert_eq!(e.kind(), Kind::Disk);
            assert_says(&e, &[&format!("out/{name} was created while the download was running")]);
            let after = fs::symlink_metadata(home.at("out").join(name)).unwrap();
            assert_eq!((before.file_type(), before.len()), (after.file_type(), after.len()));
            assert_eq!(home.read("out/a"), "hello"); // published entries stay published
            // The rest stays staged for the next download.
            assert!(home.tree("out").iter().any(|p| p.ends_with(".part/files/f")));
            fs::remove_dir_all(home.folder("out")).unwrap();
            home.folder("out");
        }
    }
}

#[test]
fn a_target_folder_that_is_replaced_by_a_link_is_not_followed() {
    let home = Home::new();
    home.folder("out/d/e");
    home.folder("elsewhere");
    let manifest = manifest(&[("d/", 0), ("d/e/", 0), ("d/e/f", 5)]);
    let mut sink = start(&home, &manifest, ConflictPolicy::Overwrite).unwrap();
    receive_hello(&mut sink, 2).unwrap();
    fs::remove_dir(home.at("out/d/e")).unwrap();
    home.link("../../elsewhere", "out/d/e");
    let e = sink.publish().unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    assert_says(&e, &["d/e/f"]);
    assert!(home.tree("elsewhere").is_empty());
}
