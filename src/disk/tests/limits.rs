use super::*;
use crate::{
    disk::{
        DiskLimit,
        rehearsal::find_unsupported,
        space::SpaceNeeded,
        target::Target,
        trial_disk::{FatDisk, TrialDisk as _},
    },
    error::Kind,
};

/// Plans a download to a disk that behaves like FAT.
fn plan_on_fat(home: &Home, manifest: &Arc<Manifest>) -> Plan {
    let target = Target::resolve(manifest, Some(&home.at("out"))).unwrap();
    Plan::on_disk(Arc::clone(manifest), target, &ConflictPolicy::Refuse.into(), &mut FatDisk::default()).unwrap()
}

/// Returns what a FAT disk cannot hold of these entries.
fn unsupported(entries: &[(&str, u64)]) -> Vec<(String, DiskLimit)> {
    let manifest = manifest(entries);
    let mut disk = FatDisk::default();
    let found = find_unsupported(&manifest, |_| true, &mut disk).unwrap();
    assert!(disk.stored_names().unwrap().is_empty(), "trials leave nothing");
    found.into_iter().map(|(index, limit)| (manifest.row(index).unwrap().path().into_string(), limit)).collect()
}

#[test]
fn all_limits_that_a_share_meets_are_found_at_once() {
    let long = "é".repeat(127);
    let found = unsupported(&[
        ("d/", 0),
        ("d/a", 1),
        ("d/A", 1),
        ("d/l->a", 0),
        ("d/12:30.png", 1),
        ("d/what?", 1),
        ("d/end.", 1),
        ("d/blank ", 1),
        ("d/a.", 1),
        ("d/film", 1 << 33),
        ("d/small", u64::from(u32::MAX)),
        (&long, 1),
        ("x/", 0),
        ("X/", 0),
        ("X/f", 1),
        ("...", 1),
    ]);
    let expected = [
        ("d/A", DiskLimit::SameName),
        ("d/l", DiskLimit::Links),
        ("d/12:30.png", DiskLimit::Name),
        ("d/what?", DiskLimit::Name),
        ("d/end.", DiskLimit::ChangedName),
        ("d/blank ", DiskLimit::ChangedName),
        ("d/a.", DiskLimit::SameName),
        ("d/film", DiskLimit::FileSize),
        ("X", DiskLimit::SameName),
        ("...", DiskLimit::Name),
    ];
    assert_eq!(found, expected.map(|(path, limit)| (path.to_owned(), limit)));
}

#[test]
fn names_that_the_disk_holds_side_by_side_are_allowed() {
    let entries =
        [("\u{e9}", 0), ("e\u{301}", 0), ("a/", 0), ("a/k", 0), ("b/", 0), ("b/K", 0), ("x y", 0), ("aux.c", 0)];
    assert!(unsupported(&entries).is_empty());
}

/// A name that the disk changes must not stand in the way of the name that it becomes.
#[test]
fn a_changed_name_blocks_no_other_one() {
    assert_eq!(unsupported(&[("a.", 1), ("a", 1)]), [("a.".to_owned(), DiskLimit::ChangedName)]);
}

#[test]
fn many_similar_names_cost_a_bounded_number_of_trials() {
    let names: Vec<String> = (0..5_000).map(|n| format!("{n:020b}").replace('0', "a").replace('1', "A")).collect();
    let entries: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    let found = unsupported(&entries).len();
    assert!((4_000..4_100).contains(&found), "{found}");
}

#[test]
fn the_rest_of_a_share_is_downloaded() {
    let home = Home::new();
    let manifest = manifest(&[("d/", 0), ("d/a", 5), ("d/a:b/", 0), ("d/a:b/f", 5), ("d/l->a", 0), ("d/A", 7)]);
    let plan = plan_on_fat(&home, &manifest);
    assert_eq!(plan.unsupported().map(|(row, _)| row.index()).collect::<Vec<_>>(), [2, 4, 5]);
    assert_eq!((plan.unsupported_entries(), plan.skipped_entries()), (4, 4));
    assert_eq!((plan.files(), plan.bytes()), (1, Some(5)));
    let mut sink = Sink::new(plan).unwrap();
    receive_hello(&mut sink, 1).unwrap();
    for index in [3, 5] {
        assert_eq!(sink.start_file(index, 0).unwrap_err().kind(), Kind::Transfer);
    }
    sink.publish().unwrap();
    assert_eq!(home.tree("out"), ["d", "d/a"]);
}

#[test]
fn blocks_and_not_bytes_must_fit() {
    let manifest = manifest(&[("a", 1), ("b", 0), ("c", 32 * 1024 + 1)]);
    let needed = SpaceNeeded::of(manifest.rows(), FatDisk::default().allocation_unit());
    assert_eq!((needed.bytes, needed.entries), (3 * 32 * 1024, 3));
    assert_eq!(SpaceNeeded::of(manifest.rows(), 0).bytes, 32 * 1024 + 2, "a disk that does not say");
}

/// An earlier download on a disk that composes or decomposes names resumes by the names that the disk has stored.
#[test]
fn staged_files_are_found_under_the_form_that_the_disk_has_stored() {
    let home = Home::new();
    let manifest = manifest(&[("\u{e9}", 5), ("o\u{308}/", 0), ("o\u{308}/f", 5)]);
    let staged = home.staging(&manifest).join("files");
    fs::create_dir_all(staged.join("\u{f6}")).unwrap();
    fs::write(staged.join("e\u{301}"), HELLO).unwrap();
    fs::write(staged.join("\u{f6}/f"), HELLO).unwrap();
    assert_eq!(EarlierDownload::find(&manifest, Some(&home.at("out"))).bytes, 10);
}
