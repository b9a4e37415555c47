use super::*;
use crate::error::Kind;

const GROUP_SIZE: usize = super::super::GROUP_SIZE as usize;

/// Interrupts a download of a file of two and a half groups after `bytes` bytes of it, and of a small file that is
/// complete. Returns the manifest and the content of the large file.
fn interrupt_after(home: &Home, bytes: usize) -> (Arc<Manifest>, Vec<u8>) {
    let content: Vec<u8> = (0..GROUP_SIZE / 2 * 5).map(|i| (i / 1_000) as u8).collect();
    let manifest = manifest(&[("d/", 0), ("d/big", content.len() as u64), ("d/small", 5)]);
    let mut sink = resume(home, &manifest);
    assert!(sink.staged_groups().is_empty());
    receive_hello(&mut sink, 2).unwrap();
    sink.start_file(1, 0).unwrap();
    write_all(&mut sink, &content[..bytes]);
    (manifest, content)
}

fn resume(home: &Home, manifest: &Arc<Manifest>) -> Sink {
    start(home, manifest, ConflictPolicy::Refuse).unwrap()
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
        assert_eq!(Plan::resumable_bytes(&manifest, Some(&home.at("out"))), resumable);
        let mut sink = Sink::new(plan, &HashProgress::default()).unwrap();
        let staged = sink.staged_groups();
        let of_big = staged.iter().find(|(index, _)| *index == 1).map_or(0, |(_, groups)| groups.len());
        assert_eq!((of_big, staged.last().map(|(index, _)| *index)), (groups, Some(2)));
        // The sender may continue after each group that was offered.
        for from in (0..=of_big).rev().map(|group| (group * GROUP_SIZE).min(content.len())) {
            sink.start_file(1, from as u64).unwrap();
            write_all(&mut sink, &content[from..]);
            if from > 0 && from < content.len() {
                drop(sink);
                sink = resume(&home, &manifest);
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

#[test]
fn the_sender_resumes_at_the_first_group_that_differs() {
    let home = Home::new();
    let (manifest, content) = interrupt_after(&home, GROUP_SIZE / 2 * 5);
    let original = home.at("original");
    let resume_offset = || {
        let mut file = scan(std::slice::from_ref(&original)).unwrap().open(0).unwrap();
        let staged = resume(&home, &manifest).staged_groups();
        let offset = file.resume_after(&staged[0].1, &HashProgress::default()).unwrap();
        let mut rest = vec![0; content.len() + 1];
        let read = file.read(&mut rest).unwrap();
        assert_eq!((read + offset as usize) as u64, fs::metadata(&original).unwrap().len());
        assert_eq!(file.finish().unwrap(), hash(&fs::read(&original).unwrap()));
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
    assert_eq!(resume(&home, &manifest).staged_groups()[0].1.len(), 1);
}

#[test]
fn an_offset_that_was_not_offered_is_refused() {
    let home = Home::new();
    let (manifest, content) = interrupt_after(&home, 2 * GROUP_SIZE);
    for offset in [1, GROUP_SIZE as u64 - 1, 3 * GROUP_SIZE as u64, content.len() as u64, u64::MAX] {
        assert_eq!(resume(&home, &manifest).start_file(1, offset).unwrap_err().kind(), Kind::Transfer, "{offset}");
    }
    assert_eq!(resume(&home, &manifest).start_file(2, 4).unwrap_err().kind(), Kind::Transfer);
}

#[test]
fn a_file_that_does_not_match_its_hash_is_not_offered_again() {
    let home = Home::new();
    let (manifest, content) = interrupt_after(&home, 2 * GROUP_SIZE);
    let mut sink = resume(&home, &manifest);
    sink.start_file(1, 2 * GROUP_SIZE as u64).unwrap();
    sink.write(&content[..GROUP_SIZE / 2]).unwrap();
    assert_eq!(sink.finish_file(&hash(&content)).unwrap_err().kind(), Kind::Corrupt);
    drop(sink);
    let staged = resume(&home, &manifest).staged_groups();
    assert_eq!(staged.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2]);
}

#[test]
fn cancelling_the_hashing_does_not_remove_staged_data() {
    let home = Home::new();
    let (manifest, _) = interrupt_after(&home, 2 * GROUP_SIZE);
    let progress = HashProgress::default();
    drop(progress.cancel_on_drop());
    let plan = plan(&home, &manifest, ConflictPolicy::Refuse).unwrap();
    assert_eq!(Sink::new(plan, &progress).unwrap_err().kind(), Kind::Disk);
    let staged = resume(&home, &manifest).staged_groups();
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
        assert_eq!(sink.staged_groups().len(), 1, "only the small file is staged");
        assert!(fs::symlink_metadata(&staged).is_err());
        assert_eq!(fs::metadata(&precious).unwrap().len(), GROUP_SIZE as u64);
    }
}
