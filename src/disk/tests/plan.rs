use super::{
    super::{
        case_collision::Folding,
        plan::check_twins,
        staging::{left_behind, name},
    },
    *,
};
use crate::error::Kind;

fn plan(home: &Home, entries: &[(&str, u64)], out: &str, clash: ConflictPolicy) -> Result<Plan> {
    Plan::new(made_up(entries), Some(&home.at(out)), clash)
}

fn refused(home: &Home, entries: &[(&str, u64)], out: &str, clash: ConflictPolicy, words: &[&str]) {
    let e = plan(home, entries, out, clash).unwrap_err();
    assert_eq!(e.kind(), Kind::Disk, "{e}");
    assert!(e.hint_text().is_some());
    says(&e, words);
}

/// The top-level paths of an empty download, below `home`.
fn published(home: &Home, entries: &[(&str, u64)], out: &str, clash: ConflictPolicy) -> Vec<String> {
    let mut sink = Sink::new(plan(home, entries, out, clash).unwrap(), &HashProgress::default()).unwrap();
    for (index, _) in entries.iter().enumerate().filter(|(_, (path, _))| !path.ends_with('/')) {
        if sink.start_file(index, 0).is_ok() {
            sink.finish_file(blake3::hash(b"").as_bytes()).unwrap();
        }
    }
    let paths = sink.publish().unwrap();
    paths.iter().map(|p| p.strip_prefix(home.0.path()).unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn out_is_a_folder_or_the_name_of_the_only_file() {
    let home = Home::new();
    assert_eq!(published(&home, &[("f", 0)], "out", ConflictPolicy::Refuse), ["out/f"]);
    assert_eq!(published(&home, &[("f", 0)], "out/g", ConflictPolicy::Refuse), ["out/g"]);
    assert_eq!(published(&home, &[("f", 0)], "out/h/", ConflictPolicy::Refuse), ["out/h/f"]);
    assert_eq!(published(&home, &[("f", 0), ("g", 0)], "out/two", ConflictPolicy::Refuse), ["out/two/f", "out/two/g"]);
    assert_eq!(published(&home, &[("d/", 0), ("d/f", 0)], "out/new", ConflictPolicy::Refuse), ["out/new/d"]);
    home.link("new", "out/link");
    assert_eq!(published(&home, &[("x", 0)], "out/link", ConflictPolicy::Refuse), ["out/link/x"]);
    assert_eq!(
        home.tree("out"),
        ["f", "g", "h", "h/f", "link", "new", "new/d", "new/d/f", "new/x", "two", "two/f", "two/g"]
    );
    refused(&home, &[("f", 0)], "out/f/", ConflictPolicy::Overwrite, &["out/f", "no"]);
    refused(&home, &[("a", 0), ("b", 0)], "out/f", ConflictPolicy::Overwrite, &["out/f", "not a folder"]);
    refused(&home, &[("f", 0)], "out/missing/name", ConflictPolicy::Refuse, &["no folder", "missing"]);
    refused(&home, &[("f", 0), ("g", 0)], "missing/deep", ConflictPolicy::Refuse, &["no folder", "missing"]);
    refused(&home, &[("f", 0)], "out/f/..", ConflictPolicy::Refuse, &["no folder"]);
}

#[test]
fn without_out_it_is_the_current_folder() {
    let manifest = made_up(&[("a name that nobody has here", 0)]);
    let plan = Plan::new(manifest, None, ConflictPolicy::Refuse).unwrap();
    assert_eq!(plan.target().path_of("x".as_ref()), Path::new("x"));
}

#[test]
fn refuse_names_what_stands_in_any_form() {
    let home = Home::new();
    home.file("out/file", "");
    home.folder("out/folder");
    home.link("nowhere", "out/dangling");
    home.fifo("out/pipe");
    for name in ["file", "folder", "dangling", "pipe"] {
        refused(&home, &[(name, 1)], "out", ConflictPolicy::Refuse, &["out/", name, "stands there already"]);
        refused(&home, &[(&format!("{name}/"), 1)], "out", ConflictPolicy::Refuse, &[name]);
        refused(&home, &[("ok", 1), (name, 1)], "out", ConflictPolicy::Refuse, &[name]);
    }
    for name in ["file", "dangling", "pipe"] {
        refused(&home, &[("other", 1)], &format!("out/{name}"), ConflictPolicy::Refuse, &["out/", name]);
    }
    let e = plan(&home, &[("file", 0)], "out", ConflictPolicy::Refuse).unwrap_err();
    assert_eq!(e.hint_text(), Some("--overwrite, --rename, --skip, or --out DIR"));
    assert_eq!(home.tree("out"), ["dangling", "file", "folder", "pipe"]);
}

#[test]
fn rename_takes_the_first_free_number() {
    let home = Home::new();
    for name in ["a.txt", "a (1).txt", ".hidden", "tar.tar.gz"] {
        home.file(&format!("out/{name}"), "old");
    }
    home.folder("out/d.old");
    let entries =
        [("a.txt", 0), ("a (2).txt", 0), (".hidden", 0), ("tar.tar.gz", 0), ("d.old/", 0), ("d.old/x", 0), ("new", 0)];
    assert_eq!(
        published(&home, &entries, "out", ConflictPolicy::Rename),
        ["out/a (3).txt", "out/a (2).txt", "out/.hidden (1)", "out/tar.tar (1).gz", "out/d.old (1)", "out/new"]
    );
    assert_eq!(home.read("out/a.txt"), "old");
    assert!(home.at("out/d.old (1)/x").exists() && !home.at("out/d.old/x").exists());
    assert_eq!(published(&home, &[("whatever", 0)], "out/a.txt", ConflictPolicy::Rename), ["out/a (4).txt"]);
    let long = format!("{}.txt", "ü".repeat(125));
    home.file(&format!("out/{long}"), "");
    let renamed = published(&home, &[(&long, 0)], "out", ConflictPolicy::Rename);
    assert!(renamed[0].ends_with("ü (1).txt"), "{renamed:?}");
}

#[test]
fn overwrite_and_skip_do_not_take_a_folder_for_a_file() {
    let home = Home::new();
    home.file("out/d/sub/keep", "");
    home.file("out/f", "");
    home.link("d", "out/link");
    home.fifo("out/pipe");
    for clash in [ConflictPolicy::Overwrite, ConflictPolicy::Skip] {
        for name in ["f", "link", "pipe"] {
            refused(&home, &[(&format!("{name}/"), 0)], "out", clash, &[name, "stands in the way of a folder"]);
        }
        home.link("/etc", "out/d/etc");
        refused(&home, &[("d/", 0), ("d/etc/", 0), ("d/etc/x", 0)], "out", clash, &["d/etc", "the link"]);
        fs::remove_file(home.at("out/d/etc")).unwrap();
    }
    refused(&home, &[("d", 0)], "out", ConflictPolicy::Overwrite, &["the folder", "stands in the way of a file"]);
    refused(
        &home,
        &[("d/", 0), ("d/sub", 0)],
        "out",
        ConflictPolicy::Overwrite,
        &["d/sub", "stands in the way of a file"],
    );
    let plan = plan(&home, &[("d", 5)], "out", ConflictPolicy::Skip).unwrap();
    assert_eq!((plan.wants(0), plan.files(), plan.bytes()), (false, 0, Some(0)));
}

#[test]
fn skip_wants_only_what_is_missing() {
    let home = Home::new();
    home.file("out/d/have", "old");
    home.link("nowhere", "out/top");
    let entries = [("d/", 0), ("d/have", 10), ("d/lack", 20), ("d/e/", 0), ("d/e/f", 30), ("top", 40), ("top2", 50)];
    let plan = plan(&home, &entries, "out", ConflictPolicy::Skip).unwrap();
    let wants: Vec<bool> = (0..8).map(|i| plan.wants(i)).collect();
    assert_eq!(wants, [true, false, true, true, true, false, true, false]);
    assert_eq!((plan.files(), plan.bytes()), (3, Some(100)));
}

#[test]
fn what_cannot_fit_is_refused_with_both_numbers() {
    let home = Home::new();
    refused(&home, &[("f", 1 << 63)], "out", ConflictPolicy::Refuse, &["9.2 EB needed", "free in", "not enough space"]);
    refused(&home, &[("f", 1 << 63), ("g", 1 << 62)], "out/new", ConflictPolicy::Refuse, &["13.8 EB needed"]);
    home.file("out/f", "");
    assert!(plan(&home, &[("f", 1 << 63)], "out", ConflictPolicy::Skip).is_ok());
    assert_eq!(home.tree("out"), ["f"]);
}

#[test]
fn names_that_only_other_systems_take_for_one_pass_here() {
    if !cfg!(target_os = "linux") {
        return; // macOS takes them for one
    }
    let home = Home::new();
    let entries = [("net/", 0), ("net/xt_CONNMARK.h", 0), ("net/xt_connmark.h", 0), ("\u{e9}", 0), ("e\u{301}", 0)];
    let paths = published(&home, &entries, "out", ConflictPolicy::Refuse);
    assert_eq!(paths.len(), 3);
    assert_eq!(home.tree("out").len(), 5);
}

#[test]
fn names_that_the_target_takes_for_one_are_both_named() {
    let manifest = made_up(&[("net/", 0), ("net/xt_CONNMARK.h", 0), ("net/xt_connmark.h", 0)]);
    let folding = Folding { case: true, form: false };
    let e = check_twins(&manifest, folding, "/mnt").unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    says(&e, &["“net/xt_CONNMARK.h”", "“net/xt_connmark.h”", "/mnt"]);
    check_twins(&manifest, Folding { case: false, form: true }, "/mnt").unwrap();
}

#[test]
fn what_a_killed_download_left_counts_as_free() {
    let home = Home::new();
    let share = ShareId::random();
    let dir = cap_std::fs::Dir::open_ambient_dir(home.at("out"), cap_std::ambient_authority()).unwrap();
    assert_eq!(left_behind(&dir, share), 0);
    let content = "x".repeat(100_000);
    home.file(&format!("out/{}/files/d/f", name(share)), &content);
    home.file(&format!("out/{}/files/g", name(share)), &content);
    File::open(home.at("out").join(name(share)).join("files/g")).unwrap().sync_all().unwrap(); // gives it its blocks
    File::open(home.at("out").join(name(share)).join("files/d/f")).unwrap().sync_all().unwrap();
    assert!(left_behind(&dir, share) >= 200_000);
}

#[test]
fn the_name_of_the_staging_folder_is_not_for_shares() {
    let home = Home::new();
    let share = ShareId::random();
    let reserved = name(share).to_uppercase();
    let mut builder = ManifestBuilder::new(ManifestHeader { share, name: "x".into(), entries: 1 }).unwrap();
    let path = SafePath::parse(&reserved).unwrap();
    builder.push(Entry { path, kind: EntryKind::Folder, mode: 0, mtime: None }).unwrap();
    let e =
        Plan::new(Arc::new(builder.finish().unwrap()), Some(&home.at("out")), ConflictPolicy::Overwrite).unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    says(&e, &["staged"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_at_once() {
    // /proc takes no new files from anybody, root included.
    if cfg!(target_os = "linux") {
        let made = Plan::new(made_up(&[("f", 0)]), Some(Path::new("/proc/self")), ConflictPolicy::Refuse);
        let made = made.map(|plan| Sink::new(plan, &HashProgress::default()));
        assert!(matches!(made, Err(_) | Ok(Err(_))));
    }
}
