use super::{super::space::staged_usage, *};
use crate::error::Kind;

fn plan_to(home: &Home, entries: &[(&str, u64)], out: &str, policy: ConflictPolicy) -> Result<Plan> {
    Plan::new(manifest(entries), Some(&home.at(out)), policy)
}

#[track_caller]
fn assert_refused(home: &Home, entries: &[(&str, u64)], out: &str, policy: ConflictPolicy, words: &[&str]) {
    let e = plan_to(home, entries, out, policy).unwrap_err();
    assert_eq!(e.kind(), Kind::Disk, "{e}");
    assert!(e.hint_text().is_some());
    assert_says(&e, words);
}

/// Downloads empty files to `out`; returns the final top-level paths below `home`.
fn download_empty(home: &Home, entries: &[(&str, u64)], out: &str, policy: ConflictPolicy) -> Vec<String> {
    let mut sink = Sink::new(plan_to(home, entries, out, policy).unwrap()).unwrap();
    for (index, _) in entries.iter().enumerate().filter(|(_, (path, _))| !path.ends_with('/')) {
        if sink.start_file(index, 0).is_ok() {
            sink.finish_file(blake3::hash(b"").as_bytes()).unwrap();
        }
    }
    let paths = sink.publish().unwrap().paths;
    paths.iter().map(|p| p.strip_prefix(home.0.path()).unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn out_is_a_folder_or_the_name_of_the_only_file() {
    let home = Home::new();
    let download = |entries: &[(&str, u64)], out| download_empty(&home, entries, out, ConflictPolicy::Refuse);
    assert_eq!(download(&[("f", 0)], "out"), ["out/f"]);
    assert_eq!(download(&[("f", 0)], "out/g"), ["out/g"]);
    assert_eq!(download(&[("f", 0)], "out/h/"), ["out/h/f"]);
    assert_eq!(download(&[("f", 0), ("g", 0)], "out/two"), ["out/two/f", "out/two/g"]);
    assert_eq!(download(&[("d/", 0), ("d/f", 0)], "out/new"), ["out/new/d"]);
    home.link("new", "out/link");
    assert_eq!(download(&[("x", 0)], "out/link"), ["out/link/x"]);
    assert_eq!(
        home.tree("out"),
        ["f", "g", "h", "h/f", "link", "new", "new/d", "new/d/f", "new/x", "two", "two/f", "two/g"]
    );
    assert_refused(&home, &[("f", 0)], "out/f/", ConflictPolicy::Overwrite, &["out/f", "not a folder"]);
    assert_refused(&home, &[("a", 0), ("b", 0)], "out/f", ConflictPolicy::Overwrite, &["out/f", "not a folder"]);
    let missing = ["the folder", "missing", "does not exist"];
    assert_refused(&home, &[("f", 0)], "out/missing/name", ConflictPolicy::Refuse, &missing);
    assert_refused(&home, &[("f", 0), ("g", 0)], "missing/deep", ConflictPolicy::Refuse, &missing);
    assert_refused(&home, &[("f", 0)], "out/f/..", ConflictPolicy::Refuse, &["the folder", "does not exist"]);
}

#[test]
fn without_out_the_target_is_the_current_folder() {
    let manifest = manifest(&[("a name that does not exist here", 0)]);
    let plan = Plan::new(manifest, None, ConflictPolicy::Refuse).unwrap();
    assert_eq!(plan.target().path_of("x".as_ref()), Path::new("x"));
}

#[test]
fn refuse_reports_existing_targets_of_any_kind() {
    let home = Home::new();
    home.file("out/file", "");
    home.folder("out/folder");
    home.link("nowhere", "out/dangling");
    home.fifo("out/pipe");
    for name in ["file", "folder", "dangling", "pipe"] {
        let message = format!("out/{name} already exists");
        assert_refused(&home, &[(name, 1)], "out", ConflictPolicy::Refuse, &[&message]);
        assert_refused(&home, &[(&format!("{name}/"), 1)], "out", ConflictPolicy::Refuse, &[&message]);
        assert_refused(&home, &[("ok", 1), (name, 1)], "out", ConflictPolicy::Refuse, &[&message]);
    }
    for name in ["file", "dangling", "pipe"] {
        assert_refused(&home, &[("other", 1)], &format!("out/{name}"), ConflictPolicy::Refuse, &["out/", name]);
    }
    let e = plan_to(&home, &[("file", 0)], "out", ConflictPolicy::Refuse).unwrap_err();
    let hint = "pass --overwrite, --rename or --skip, or use --out DIR to save to another folder";
    assert_eq!(e.hint_text(), Some(hint));
    assert_eq!(home.tree("out"), ["dangling", "file", "folder", "pipe"]);
}

#[test]
fn rename_uses_the_first_free_number() {
    let home = Home::new();
    for name in ["a.txt", "a (1).txt", ".hidden", "tar.tar.gz"] {
        home.file(&format!("out/{name}"), "old");
    }
    home.folder("out/d.old");
    let entries =
        [("a.txt", 0), ("a (2).txt", 0), (".hidden", 0), ("tar.tar.gz", 0), ("d.old/", 0), ("d.old/x", 0), ("new", 0)];
    assert_eq!(
        download_empty(&home, &entries, "out", ConflictPolicy::Rename),
        ["out/a (3).txt", "out/a (2).txt", "out/.hidden (1)", "out/tar.tar (1).gz", "out/d.old (1)", "out/new"]
    );
    assert_eq!(home.read("out/a.txt"), "old");
    assert!(home.at("out/d.old (1)/x").exists() && !home.at("out/d.old/x").exists());
    assert_eq!(download_empty(&home, &[("whatever", 0)], "out/a.txt", ConflictPolicy::Rename), ["out/a (4).txt"]);
    let long = format!("{}.txt", "ü".repeat(125));
    home.file(&format!("out/{long}"), "");
    let renamed = download_empty(&home, &[(&long, 0)], "out", ConflictPolicy::Rename);
    assert!(renamed[0].ends_with("ü (1).txt"), "{renamed:?}");
}

#[test]
fn overwrite_and_skip_do_not_replace_folders_with_files_or_files_with_folders() {
    let home = Home::new();
    home.file("out/d/sub/keep", "");
    home.file("out/f", "");
    home.link("d", "out/link");
    home.fifo("out/pipe");
    for policy in [ConflictPolicy::Overwrite, ConflictPolicy::Skip] {
        for name in ["f", "link", "pipe"] {
            let words = ["cannot replace the", name, "with a folder"];
            assert_refused(&home, &[(&format!("{name}/"), 0)], "out", policy, &words);
        }
        home.link("/etc", "out/d/etc");
        let words = ["cannot replace the link d/etc with a folder"];
        assert_refused(&home, &[("d/", 0), ("d/etc/", 0), ("d/etc/x", 0)], "out", policy, &words);
        fs::remove_file(home.at("out/d/etc")).unwrap();
    }
    let words = ["cannot replace the folder", "out/d with a file"];
    assert_refused(&home, &[("d", 0)], "out", ConflictPolicy::Overwrite, &words);
    let words = ["cannot replace the folder d/sub with a file"];
    assert_refused(&home, &[("d/", 0), ("d/sub", 0)], "out", ConflictPolicy::Overwrite, &words);
    let plan = plan_to(&home, &[("d", 5)], "out", ConflictPolicy::Skip).unwrap();
    assert_eq!((plan.wants(0), plan.files(), plan.bytes()), (false, 0, Some(0)));
}

#[test]
fn skip_downloads_only_missing_files() {
    let home = Home::new();
    home.file("out/d/have", "old");
    home.link("nowhere", "out/top");
    let entries = [("d/", 0), ("d/have", 10), ("d/lack", 20), ("d/e/", 0), ("d/e/f", 30), ("top", 40), ("top2", 50)];
    let plan = plan_to(&home, &entries, "out", ConflictPolicy::Skip).unwrap();
    let wants: Vec<bool> = (0..8).map(|i| plan.wants(i)).collect();
    assert_eq!(wants, [true, false, true, true, true, false, true, false]);
    assert_eq!((plan.files(), plan.bytes()), (3, Some(100)));
}

#[test]
fn a_download_that_does_not_fit_is_refused_with_both_sizes() {
    let home = Home::new();
    let names: Vec<String> = (0..1_500).map(|n| n.to_string()).collect();
    let entries: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1 << 43)).collect();
    let words = ["not enough space in", "8.8 PB needed", " free"];
    assert_refused(&home, &entries[..1_000], "out", ConflictPolicy::Refuse, &words);
    assert_refused(&home, &entries, "out/new", ConflictPolicy::Refuse, &["13.2 PB needed"]);
    home.file("out/f", "");
    assert!(plan_to(&home, &[("f", 1 << 43)], "out", ConflictPolicy::Skip).is_ok());
    assert_eq!(home.tree("out"), ["f"]);
}

#[test]
fn names_that_collide_only_on_other_systems_are_accepted() {
    if !cfg!(target_os = "linux") {
        return; // they collide on macOS
    }
    let home = Home::new();
    let entries = [("net/", 0), ("net/xt_CONNMARK.h", 0), ("net/xt_connmark.h", 0), ("\u{e9}", 0), ("e\u{301}", 0)];
    let paths = download_empty(&home, &entries, "out", ConflictPolicy::Refuse);
    assert_eq!(paths.len(), 3);
    assert_eq!(home.tree("out").len(), 5);
}

#[test]
fn staged_data_counts_as_free_space() {
    let home = Home::new();
    let manifest = &manifest(&[("g", 5)]);
    let dir = cap_std::fs::Dir::open_ambient_dir(home.at("out"), cap_std::ambient_authority()).unwrap();
    assert_eq!(staged_usage(&dir, &staging_name(manifest, None)).bytes, 0);
    let content = "x".repeat(100_000);
    for path in ["files/d/f", "files/g"] {
        let file = home.file(&format!("out/{}/{path}", staging_name(manifest, None)), &content);
        File::open(file).unwrap().sync_all().unwrap(); // allocates its blocks
    }
    assert!(staged_usage(&dir, &staging_name(manifest, None)).bytes >= 200_000);
}

#[test]
fn a_share_that_exceeds_the_limit_of_the_user_is_refused() {
    let home = Home::new();
    let plan = || plan_to(&home, &[("a", 5), ("b", 6)], "out", ConflictPolicy::Refuse).unwrap();
    plan().with_max_size(None).unwrap();
    plan().with_max_size(Some(11)).unwrap();
    let e = plan().with_max_size(Some(10)).unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    assert_says(&e, &["11 B", "--max-size 10 B"]);
}

#[test]
fn a_folder_that_is_not_writable_is_refused_at_once() {
    // Not even root can create files in /proc.
    if cfg!(target_os = "linux") {
        let plan = Plan::new(manifest(&[("f", 0)]), Some(Path::new("/proc/self")), ConflictPolicy::Refuse);
        let sink = plan.map(Sink::new);
        assert!(matches!(sink, Err(_) | Ok(Err(_))));
    }
}
