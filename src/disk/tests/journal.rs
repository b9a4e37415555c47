use cap_std::{ambient_authority, fs::Dir};

use super::*;
use crate::{
    disk::{
        durability::Durability,
        journal::{self, FileIdentity, RenameRecord},
    },
    error::Kind,
};

/// Writes the journal that a complete download writes before its first rename.
fn write_journal(home: &Home, manifest: &Manifest) {
    let staging = Dir::open_ambient_dir(home.staging(manifest), ambient_authority()).unwrap();
    let record = |(index, entry): (usize, Entry)| {
        let meta = staging.symlink_metadata(Path::new("files").join(entry.path.as_str())).unwrap();
        let name = entry.path.name();
        RenameRecord::new(index, name, name.as_ref(), FileIdentity::of(&meta).unwrap())
    };
    let top_level = manifest.entries().enumerate().filter(|(_, entry)| entry.path.depth() == 1);
    journal::write(&staging, manifest, top_level.map(record).collect(), Durability::Synced).unwrap();
}

/// Kills a download after each of its steps. The next download must complete it, must not download again what was
/// complete, and must leave nothing but the published entries.
#[test]
fn a_download_resumes_after_any_step() {
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
        ("files/a", Some("published")),
        ("files/b", Some("published")),
        ("files/d", Some("published")),
        ("files", Some("removed")),
        ("lock", Some("removed")),
        ("names", Some("removed")),
    ];
    for steps in 0..=STEPS.len() {
        let home = Home::new();
        let manifest = manifest(&[("a", 5), ("b", 5), ("d/", 0), ("d/c", 5)]);
        let folder = home.staging(&manifest);
        for (path, what) in &STEPS[..steps] {
            let path = folder.join(path);
            match *what {
                None => fs::create_dir(path).unwrap(),
                Some("journal") => write_journal(&home, &manifest),
                Some("published") => fs::rename(&path, home.at("out").join(path.file_name().unwrap())).unwrap(),
                Some("removed") if path.is_dir() => fs::remove_dir(path).unwrap(),
                Some("removed") => fs::remove_file(path).unwrap(),
                Some(content) => fs::write(path, content).unwrap(),
            }
        }
        let plan = plan(&home, &manifest, ConflictPolicy::Refuse);
        if steps > 15 {
            assert_eq!(plan.unwrap_err().kind(), Kind::Disk, "{steps} steps: only an empty folder was left over");
            continue;
        }
        let plan = plan.unwrap();
        let complete = steps.clamp(5, 8) - 5;
        assert_eq!(EarlierDownload::find(&manifest, Some(&home.at("out"))).bytes, 5 * complete as u64, "{steps} steps");
        assert_eq!((plan.bytes(), plan.files()), (Some(15), 3));
        let wanted: Vec<_> = (0..4).filter(|i| manifest.row(*i).unwrap().is_file() && plan.wants(*i)).collect();
        assert_eq!(wanted.len(), 13 - steps.clamp(10, 13), "{steps} steps");
        let mut sink = Sink::new(plan).unwrap();
        let staged: Vec<_> = staged_groups(&sink).into_iter().map(|(index, _)| index).collect();
        assert_eq!(sink.published_bytes() as usize / 5 + staged.len(), complete, "{steps} steps");
        for index in wanted {
            if staged.contains(&index) {
                sink.start_file(index, 5).unwrap();
                sink.finish_file(&hash(HELLO)).unwrap();
            } else {
                receive_hello(&mut sink, index).unwrap();
            }
        }
        assert_eq!(sink.publish().unwrap().paths, ["a", "b", "d"].map(|name| home.at("out").join(name)));
        assert_eq!(home.tree("out"), ["a", "b", "d", "d/c"], "{steps} steps");
        for file in ["a", "b", "d/c"] {
            assert_eq!(home.read(&format!("out/{file}")), "hello", "{steps} steps");
        }
    }
}

/// Interrupts a download after its first renames with a file under the final name of `d`, or of `d/f` if `d` is merged.
fn interrupt_publishing(home: &Home, policy: ConflictPolicy) -> Arc<Manifest> {
    let manifest = manifest(&[("a", 5), ("d/", 0), ("d/e", 5), ("d/f", 5), ("g", 5)]);
    let mut sink = start(home, &manifest, policy).unwrap();
    [0, 2, 3, 4].into_iter().for_each(|index| receive_hello(&mut sink, index).unwrap());
    home.file(if policy == ConflictPolicy::Overwrite { "out/d/f" } else { "out/d" }, "obstacle");
    assert_eq!(sink.publish().unwrap_err().kind(), Kind::Disk);
    manifest
}

/// Publishes a download whose missing files are all staged.
fn publish_staged(mut sink: Sink) -> Vec<PathBuf> {
    for (index, _) in staged_groups(&sink) {
        sink.start_file(index, 5).unwrap();
        sink.finish_file(&hash(HELLO)).unwrap();
    }
    sink.publish().unwrap().paths
}

#[test]
fn published_files_are_identified_by_inode_and_birth_time() {
    let home = Home::new();
    let manifest = interrupt_publishing(&home, ConflictPolicy::Refuse);
    let plan = || plan(&home, &manifest, ConflictPolicy::Refuse);
    assert_eq!(plan().unwrap_err().kind(), Kind::Disk, "out/d still exists");
    fs::remove_file(home.at("out/d")).unwrap();
    assert_eq!(plan().unwrap().missing_files(), 3);
    assert_eq!(EarlierDownload::find(&manifest, Some(&home.at("out"))).bytes, 20);
    // The published file is moved away, and another one gets its name.
    fs::rename(home.at("out/a"), home.at("moved")).unwrap();
    assert_eq!(plan().unwrap().missing_files(), 4);
    home.file("out/a", "hello");
    assert_says(&plan().unwrap_err(), &["out/a already exists"]);
    fs::rename(home.at("moved"), home.at("out/a")).unwrap();
    assert_eq!(plan().unwrap().missing_files(), 3);
}

#[test]
fn a_journal_that_is_damaged_or_of_another_version_is_ignored() {
    let home = Home::new();
    let manifest = interrupt_publishing(&home, ConflictPolicy::Refuse);
    let plan = || plan(&home, &manifest, ConflictPolicy::Refuse);
    fs::remove_file(home.at("out/d")).unwrap();
    let journal = home.staging(&manifest).join("names");
    let bytes = fs::read(&journal).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], &[0xff; 100], b""] {
        fs::write(&journal, damaged).unwrap();
        assert_says(&plan().unwrap_err(), &["out/a already exists"]);
    }
    let mut other_version = bytes.clone();
    other_version[0] ^= 1;
    fs::write(&journal, other_version).unwrap();
    assert_says(&plan().unwrap_err(), &["out/a already exists"]);
    fs::remove_file(&journal).unwrap();
    symlink("/dev/zero", &journal).unwrap();
    assert_says(&plan().unwrap_err(), &["out/a already exists"]);
    fs::remove_file(&journal).unwrap();
    fs::write(&journal, &bytes).unwrap();
    assert_eq!(plan().unwrap().missing_files(), 3, "the original journal");
}

#[test]
fn files_published_under_numbered_names_are_recognized() {
    let home = Home::new();
    home.file("out/a", "old");
    let manifest = interrupt_publishing(&home, ConflictPolicy::Rename);
    let published: Vec<_> = home.tree("out").into_iter().filter(|path| !path.starts_with('.')).collect();
    assert_eq!(published, ["a", "a (1)", "d"]);
    home.file("out/g", "obstacle");
    let plan = plan(&home, &manifest, ConflictPolicy::Rename).unwrap();
    assert_eq!(plan.missing_files(), 3);
    publish_staged(Sink::new(plan).unwrap());
    assert_eq!(home.tree("out"), ["a", "a (1)", "d", "d (1)", "d (1)/e", "d (1)/f", "g", "g (1)"]);
}

#[test]
fn files_published_into_merged_folders_are_recognized() {
    let home = Home::new();
    for path in ["out/a", "out/d/e"] {
        home.file(path, "old");
    }
    let manifest = interrupt_publishing(&home, ConflictPolicy::Overwrite);
    let plan = plan(&home, &manifest, ConflictPolicy::Overwrite).unwrap();
    assert_eq!((plan.missing_files(), plan.files()), (2, 4), "a and d/e are published");
    let saved = publish_staged(Sink::new(plan).unwrap());
    assert_eq!(saved, ["a", "d", "g"].map(|name| home.at("out").join(name)));
    assert_eq!(home.tree("out"), ["a", "d", "d/e", "d/f", "g"]);
    assert!(["a", "d/e", "d/f", "g"].iter().all(|path| home.read(&format!("out/{path}")) == "hello"));
}
