use proptest::prelude::*;

use super::{
    super::{Comparison, ComparisonState, SourceFile},
    *,
};
use crate::{disk::StagedDownload, error::Kind, manifest::FileFailure};

const GROUP_SIZE: usize = super::super::GROUP_SIZE as usize;

/// Interrupts a download of a file of two and a half groups after `bytes` bytes of it, and of a small file that is
/// complete. Returns the manifest and the content of the large file.
fn interrupt_after(home: &Home, bytes: usize) -> (Arc<Manifest>, Vec<u8>) {
    let content: Vec<u8> = (0..GROUP_SIZE / 2 * 5).map(|i| (i / 1_000) as u8).collect();
    let manifest = manifest(&[("d/", 0), ("d/big", content.len() as u64), ("d/small", 5)]);
    let mut sink = resume(home, &manifest);
    assert!(staged_groups(&sink).is_empty());
    receive_hello(&mut sink, 2).unwrap();
    sink.start_file(1, 0).unwrap();
    write_all(&mut sink, &content[..bytes]);
    (manifest, content)
}

fn resume(home: &Home, manifest: &Arc<Manifest>) -> Sink {
    start(home, manifest, ConflictPolicy::Refuse).unwrap()
}

/// Resumes an interrupted download and offers everything that it has staged.
fn resume_and_offer(home: &Home, manifest: &Arc<Manifest>) -> Sink {
    let sink = resume(home, manifest);
    staged_groups(&sink);
    sink
}

fn write_all(sink: &mut Sink, content: &[u8]) {
    content.chunks(100_000).for_each(|chunk| sink.write(chunk).unwrap());
}

#[test]
fn a_download_resumes_after_any_staged_group() {
    for (interrupted_at, groups) in
        [(GROUP_SIZE - 1, 0), (GROUP_SIZE, 1), (2 * GROUP_SIZE + 7, 2), (GROUP_SIZE / 2 * 5, 3)]
    {
        let home = Home::new();
        let (manifest, content) = interrupt_after(&home, interrupted_at);
        let plan = plan(&home, &manifest, ConflictPolicy::Refuse).unwrap();
        let resumable = (groups * GROUP_SIZE).min(content.len()) as u64 + 5;
        assert_eq!(EarlierDownload::find(&manifest, Some(&home.at("out"))).bytes, resumable);
        let mut sink = Sink::new(plan).unwrap();
        let staged = staged_groups(&sink);
        let of_big = staged.iter().find(|(index, _)| *index == 1).map_or(0, |(_, groups)| groups.len());
        assert_eq!((of_big, staged.last().map(|(index, _)| *index)), (groups, Some(2)));
        // The sender may continue after each group that was offered.
        for from in (0..=of_big).rev().map(|group| (group * GROUP_SIZE).min(content.len())) {
            sink.start_file(1, from as u64).unwrap();
            write_all(&mut sink, &content[from..]);
            if from > 0 && from < content.len() {
                drop(sink);
                sink = resume_and_offer(&home, &manifest);
                continue;
            }
            sink.finish_file(&hash(&content)).unwrap();
            break;
        }
        sink.start_file(2, 5).unwrap();
        sink.finish_file(&hash(HELLO)).unwrap();
        sink.publish().unwrap();
        assert_eq!(home.tree("out"), ["d", "d/big", "d/small"]);
        assert!(fs::read(home.at("out/d/big")).unwrap() == content);
        assert_eq!(home.read("out/d/small"), "hello");
    }
}

/// Compares a file of a share with staged groups. Returns the file and the offset at which it continues.
fn compare(file: SourceFile, staged: &[GroupHash]) -> (SourceFile, u64) {
    let mut comparison = Comparison::new(file, staged.len() as u64 * GROUP_SIZE as u64);
    for page in staged.chunks(PAGE) {
        comparison.hash_page(PAGE, &HashProgress::default()).unwrap();
        if comparison.compare_page(page) == ComparisonState::Decided {
            break;
        }
    }
    comparison.into_file()
}

#[test]
fn the_sender_resumes_at_the_first_group_that_differs() {
    let home = Home::new();
    let (manifest, content) = interrupt_after(&home, GROUP_SIZE / 2 * 5);
    let original = home.at("original");
    let resume_offset = || {
        let file = scan(std::slice::from_ref(&original)).unwrap().open(0).unwrap();
        let staged = staged_groups(&resume(&home, &manifest));
        let (mut file, offset) = compare(file, &staged[0].1);
        let mut rest = vec![0; content.len() + 1];
        let read = file.read(&mut rest).unwrap();
        assert_eq!((read + offset as usize) as u64, fs::metadata(&original).unwrap().len());
        assert_eq!(file.finish(&HashProgress::default()).unwrap(), hash(&fs::read(&original).unwrap()));
        offset as usize
    };
    fs::write(&original, &content).unwrap();
    assert_eq!(resume_offset(), content.len());
    let mut other = content.clone();
    other[GROUP_SIZE + 1] ^= 1;
    fs::write(&original, &other).unwrap();
    assert_eq!(resume_offset(), GROUP_SIZE);
    fs::write(&original, &content[..GROUP_SIZE + 9]).unwrap();
    assert_eq!(resume_offset(), GROUP_SIZE, "the original was truncated");
    fs::write(&original, "").unwrap();
    assert_eq!(resume_offset(), 0);
    // Another process has changed the staged file.
    fs::write(&original, &content).unwrap();
    let staged = home.staging(&manifest).join("files/d/big");
    let mut changed = content.clone();
    changed[0] ^= 1;
    fs::write(&staged, &changed).unwrap();
    assert_eq!(resume_offset(), 0);
    fs::File::options().write(true).open(&staged).unwrap().set_len(GROUP_SIZE as u64 + 1).unwrap();
    assert_eq!(staged_groups(&resume(&home, &manifest))[0].1.len(), 1);
}

#[test]
fn an_offset_that_was_not_offered_is_refused() {
    let home = Home::new();
    let (manifest, content) = interrupt_after(&home, 2 * GROUP_SIZE);
    for offset in [1, GROUP_SIZE as u64 - 1, 3 * GROUP_SIZE as u64, content.len() as u64, u64::MAX] {
        assert_eq!(
            resume_and_offer(&home, &manifest).start_file(1, offset).unwrap_err().kind(),
            Kind::Transfer,
            "{offset}"
        );
    }
    assert_eq!(resume_and_offer(&home, &manifest).start_file(2, 4).unwrap_err().kind(), Kind::Transfer);
}

#[test]
fn a_file_that_does_not_match_its_hash_is_not_offered_again() {
    let home = Home::new();
    let (manifest, content) = interrupt_after(&home, 2 * GROUP_SIZE);
    let mut sink = resume_and_offer(&home, &manifest);
    sink.start_file(1, 2 * GROUP_SIZE as u64).unwrap();
    sink.write(&content[..GROUP_SIZE / 2]).unwrap();
    assert_eq!(sink.finish_file(&hash(&content)).unwrap_err().kind(), Kind::Corrupt);
    drop(sink);
    let staged = staged_groups(&resume(&home, &manifest));
    assert_eq!(staged.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2]);
}

#[test]
fn cancelling_the_hashing_does_not_remove_staged_data() {
    let home = Home::new();
    let (manifest, _) = interrupt_after(&home, 2 * GROUP_SIZE);
    let progress = HashProgress::default();
    drop(progress.cancel_on_drop());
    let plan = plan(&home, &manifest, ConflictPolicy::Refuse).unwrap();
    let sink = Sink::new(plan).unwrap();
    let e = sink.hash_staged().unwrap().unwrap().next_pages(PAGE, &progress).unwrap_err();
    assert_eq!(e.kind(), Kind::Disk);
    drop(sink);
    let staged = staged_groups(&resume(&home, &manifest));
    assert_eq!(staged.iter().map(|(index, groups)| (*index, groups.len())).collect::<Vec<_>>(), [(1, 2), (2, 1)]);
}

#[test]
fn a_staged_link_and_a_staged_file_with_another_hard_link_are_removed() {
    let home = Home::new();
    let (manifest, _) = interrupt_after(&home, GROUP_SIZE);
    let staged = home.staging(&manifest).join("files/d/big");
    let precious = home.at("precious");
    fs::rename(&staged, &precious).unwrap();
    for link in [|from: &Path, to: &Path| symlink(from, to), |from: &Path, to: &Path| fs::hard_link(from, to)] {
        link(&precious, &staged).unwrap();
        let sink = resume(&home, &manifest);
        assert_eq!(staged_groups(&sink).len(), 1, "only the small file is staged");
        assert!(fs::symlink_metadata(&staged).is_err());
        assert_eq!(fs::metadata(&precious).unwrap().len(), GROUP_SIZE as u64);
    }
}

/// What an interrupted download has staged of a file, and where the sender's file differs from it.
#[derive(Debug, Clone)]
struct StagedCase {
    size: usize,
    staged: usize,
    /// The bytes of the staged file that differ from the sender's.
    differing: Vec<usize>,
    /// The number of groups that are hashed at once.
    page: usize,
}

impl StagedCase {
    fn strategy() -> impl Strategy<Value = Self> {
        let sizes = prop_oneof![1..GROUP_SIZE * 5, (1..5_usize).prop_map(|groups| groups * GROUP_SIZE)];
        sizes.prop_flat_map(|size| {
            let staged = prop_oneof![0..=size, Just(size)];
            let differing = proptest::collection::vec(0..size, 0..3);
            (staged, differing, 1..5_usize).prop_map(move |(staged, differing, page)| Self {
                size,
                staged,
                differing,
                page,
            })
        })
    }

    /// Returns the offset at which the sender must continue the file.
    fn expected_offset(&self) -> usize {
        let usable = if self.staged == self.size { self.size } else { self.staged / GROUP_SIZE * GROUP_SIZE };
        let differing = self.differing.iter().filter(|at| **at < usable).min();
        differing.map_or(usable, |at| at / GROUP_SIZE * GROUP_SIZE)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Both ends compare page by page. The receiver gets an answer after each page, or none before the file starts.
    #[test]
    fn a_file_continues_at_the_first_group_that_differs(case in StagedCase::strategy(), is_answered: bool) {
        let home = Home::new();
        let content: Vec<u8> = (0..case.size).map(|i| (i / 1_000 * 7) as u8).collect();
        fs::write(home.at("src/f"), &content).unwrap();
        let source = scan(&[home.at("src/f")]).unwrap();
        let manifest = source.manifest();
        let mut staged = content[..case.staged].to_vec();
        case.differing.iter().filter(|at| **at < case.staged).for_each(|at| staged[*at] ^= 1);
        home.folder(&format!("out/{}/files", staging_name(manifest, None)));
        fs::write(home.staging(manifest).join("files/f"), staged).unwrap();
        let mut sink = resume(&home, manifest);
        let progress = HashProgress::default();
        let mut comparison = Comparison::new(source.open(0).unwrap(), sink.staged().first().map_or(0, |file| file.bytes));
        let mut hasher = sink.hash_staged().unwrap().unwrap();
        while let [page] = &hasher.next_pages(case.page, &progress).unwrap()[..] {
            comparison.hash_page(case.page, &progress).unwrap();
            if comparison.compare_page(&page.groups) == ComparisonState::Decided {
                break;
            }
            if is_answered {
                sink.confirm_groups(0, comparison.equal_groups()).unwrap();
                prop_assert_eq!(hasher.unanswered_groups(), 0);
            }
        }
        let (mut file, offset) = comparison.into_file();
        prop_assert_eq!(offset as usize, case.expected_offset());
        sink.start_file(0, offset).unwrap();
        prop_assert!(hasher.next_pages(case.page, &progress).unwrap().is_empty(), "a started file is not hashed");
        let mut rest = vec![0; case.size];
        let read = file.read(&mut rest).unwrap();
        write_all(&mut sink, &rest[..read]);
        sink.finish_file(&file.finish(&HashProgress::default()).unwrap()).unwrap();
        sink.publish().unwrap();
        prop_assert!(fs::read(home.at("out/f")).unwrap() == content);
    }
}

#[test]
fn incomplete_files_are_offered_first_and_small_files_share_a_page() {
    let home = Home::new();
    let big = 3 * GROUP_SIZE as u64;
    let manifest = manifest(&[("a", 5), ("b", 5), ("big", big), ("c", 0), ("part", big), ("tiny", 5)]);
    let staged = home.folder(&format!("out/{}/files", staging_name(&manifest, None)));
    for (name, bytes) in [("a", 5), ("b", 5), ("big", big), ("c", 0), ("part", big - 1), ("tiny", 4)] {
        File::create(staged.join(name)).unwrap().set_len(bytes).unwrap();
    }
    let sink = resume(&home, &manifest);
    let mut hasher = sink.hash_staged().unwrap().unwrap();
    let mut next = |max| {
        let pages = hasher.next_pages(max, &HashProgress::default()).unwrap();
        pages.iter().map(|page| (page.index, page.groups.len())).collect::<Vec<_>>()
    };
    assert_eq!([next(3), next(3), next(3), next(3)], [vec![(4, 2), (0, 1)], vec![(1, 1)], vec![(2, 3)], vec![]]);
    assert_eq!(sink.hash_staged().unwrap().unwrap().unanswered_groups(), 7);
}

/// The sender could not send one file. The next download of the share adds it to the folder that was saved.
#[test]
fn an_incomplete_download_is_completed_by_the_next_one() {
    let home = Home::new();
    for name in ["changed", "failed", "kept", "mine"] {
        home.file(&format!("src/t/d/{name}"), "hello");
    }
    let source = scan(&[home.at("src/t")]).unwrap();
    let download = |source: &Source| {
        let mut sink = start(&home, source.manifest(), ConflictPolicy::Refuse).unwrap();
        for name in ["changed", "kept", "mine"] {
            receive_hello(&mut sink, index_of(source.manifest(), &format!("t/d/{name}"))).unwrap();
        }
        let failed = index_of(source.manifest(), "t/d/failed");
        assert_eq!(sink.fail_file(failed, FileFailure::Changed).unwrap(), 0);
        sink.fail_file(failed, FileFailure::Changed).unwrap_err();
        sink.fail_file(0, FileFailure::Changed).unwrap_err();
        let published = sink.publish().unwrap();
        assert_eq!(published.failed.len(), 1);
        assert_eq!(published.failed[0].path.as_str(), "t/d/failed");
    };
    download(&source);
    assert_eq!(home.tree("out/t"), ["d", "d/changed", "d/kept", "d/mine"]);
    home.file("src/t/d/changed", "newer");
    let next = source.rescan().unwrap();
    let plan = plan(&home, next.manifest(), ConflictPolicy::Refuse).unwrap();
    let wanted = |name: &str| plan.wants(index_of(next.manifest(), name));
    assert_eq!(["changed", "failed", "kept"].map(|name| wanted(&format!("t/d/{name}"))), [true, true, false]);
    assert_eq!(plan.files(), 4);
    // The user has changed a file, and the sender, too.
    home.file("out/t/d/mine", "mine");
    home.file("src/t/d/mine", "theirs");
    let conflict = receive(&home, &next.rescan().unwrap(), ConflictPolicy::Refuse).unwrap_err();
    assert_says(&conflict, &["t/d/mine already exists"]);
    fs::remove_file(home.at("out/t/d/mine")).unwrap();
    receive(&home, &next.rescan().unwrap(), ConflictPolicy::Refuse).unwrap();
    assert_eq!(home.tree("out"), ["t", "t/d", "t/d/changed", "t/d/failed", "t/d/kept", "t/d/mine"]);
    assert_eq!((home.read("out/t/d/changed"), home.read("out/t/d/mine")), ("newer".into(), "theirs".into()));
    // The record of another incomplete download can be removed.
    fs::rename(home.at("out/t"), home.at("away")).unwrap();
    for name in ["changed", "mine"] {
        home.file(&format!("src/t/d/{name}"), "hello");
    }
    download(&source.rescan().unwrap());
    let found = StagedDownload::find_in(&home.at("out")).unwrap();
    assert_eq!(found.len(), 1);
    found[0].remove(&home.at("out")).unwrap();
    assert_eq!(home.tree("out").len(), 5);
}
