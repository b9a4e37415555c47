use std::io::Read as _;

use proptest::{collection::btree_map, prelude::*};

use super::{
    super::{OutputForm, OutputSink},
    *,
};
use crate::{error::Kind, manifest::FileFailure, sync::Mutex};

/// Memory for what is written. Clones share it.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn output(manifest: &Arc<Manifest>, form: OutputForm) -> (OutputSink<Written>, Written) {
    let out = Written::default();
    (OutputSink::new(Arc::clone(manifest), form, out.clone(), None).unwrap().begin().unwrap(), out)
}

#[test]
fn the_content_of_one_file_is_written_as_it_is() {
    let manifest = manifest(&[("d/", 0), ("d/a", 5)]);
    let (mut sink, out) = output(&manifest, OutputForm::Content);
    sink.start_file(1, 0).unwrap();
    sink.write(b"hel").unwrap();
    assert_eq!(*out.0.lock(), b"hel", "it is not held back");
    sink.write(b"lo").unwrap();
    assert!(!sink.is_complete());
    sink.finish_file(&hash(b"hello")).unwrap();
    assert!(sink.is_complete() && sink.publish().unwrap().failed.is_empty());
    assert_eq!(*out.0.lock(), b"hello");
}

#[test]
fn what_is_not_one_file_needs_a_tar_stream() {
    for entries in [&[("a", 1), ("b", 1)][..], &[("d/", 0), ("d/a", 1), ("d/l->a", 0)], &[("d/", 0)]] {
        let manifest = manifest(entries);
        let refused = OutputSink::new(manifest, OutputForm::Content, Written::default(), None).unwrap_err();
        assert_eq!(refused.kind(), Kind::Usage);
        assert!(refused.hint_text().unwrap().contains("--tar"), "{refused}");
    }
    let refused = OutputSink::new(manifest(&[("a", 11)]), OutputForm::Tar, Written::default(), Some(10)).unwrap_err();
    assert!(refused.kind() == Kind::Disk && refused.message().contains("--max-size"), "{refused}");
}

#[test]
fn a_pipe_ends_at_the_users_limit_and_cannot_be_put_into_a_tar_stream() {
    let entry =
        Entry { path: SafePath::parse("s").unwrap(), kind: EntryKind::File { size: None }, mode: 0o644, mtime: None };
    let header =
        ManifestHeader { share: ShareId::random(), name: "s".into(), entries: 1, holes: 0, kind: ShareKind::Files };
    let mut builder = ManifestBuilder::new(header).unwrap();
    builder.push(entry).unwrap();
    let manifest = Arc::new(builder.finish().unwrap());
    let new = |form| OutputSink::new(Arc::clone(&manifest), form, Written::default(), Some(10));
    assert_eq!(new(OutputForm::Tar).unwrap_err().kind(), Kind::Usage);
    let mut sink = new(OutputForm::Content).unwrap();
    sink.start_file(0, 0).unwrap();
    sink.write(&[0; 10]).unwrap();
    let refused = sink.write(&[0]).unwrap_err();
    assert!(refused.kind() == Kind::Disk && refused.message().contains("--max-size"), "{refused}");
}

#[test]
fn a_sender_that_breaks_the_order_is_refused() {
    let manifest = manifest(&[("d/", 0), ("a", 1), ("b", 1)]);
    let started = || {
        let (mut sink, _) = output(&manifest, OutputForm::Tar);
        sink.start_file(1, 0).unwrap();
        sink
    };
    let finished = || {
        let mut sink = started();
        sink.write(b"x").unwrap();
        sink.finish_file(&hash(b"x")).unwrap();
        sink
    };
    let new = || output(&manifest, OutputForm::Tar).0;
    for (what, result) in [
        ("a folder", new().start_file(0, 0)),
        ("no entry", new().start_file(3, 0)),
        ("an offset", new().start_file(1, 1)),
        ("a file in a file", started().start_file(2, 0)),
        ("a file twice", finished().start_file(1, 0)),
        ("content first", new().write(b"x")),
        ("an end first", new().finish_file(&hash(b""))),
        ("too much", started().write(b"xx")),
        ("too little", started().finish_file(&hash(b""))),
        ("an end too early", started().publish().map(drop)),
        ("an incomplete end", finished().publish().map(drop)),
        ("the failure of another file", started().fail_file(2, FileFailure::Gone).map(drop)),
        ("the failure of a complete file", finished().fail_file(1, FileFailure::Gone).map(drop)),
        ("groups", new().confirm_groups(1, 1).map(drop)),
    ] {
        assert_eq!(result.unwrap_err().kind(), Kind::Transfer, "{what}");
    }
    let mut sink = started();
    sink.write(b"x").unwrap();
    assert_eq!(sink.finish_file(&hash(b"y")).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_file_that_fails_before_its_start_is_left_out_and_one_in_the_middle_ends_the_output() {
    let manifest = manifest(&[("a", 1), ("b", 1)]);
    let (mut sink, out) = output(&manifest, OutputForm::Tar);
    assert_eq!(sink.fail_file(0, FileFailure::Gone).unwrap(), 0);
    sink.start_file(1, 0).unwrap();
    sink.write(b"x").unwrap();
    sink.finish_file(&hash(b"x")).unwrap();
    let published = sink.publish().unwrap();
    assert_eq!(published.failed[0].path.as_str(), "a");
    assert_eq!(unpack(&out.0.lock()), [("b".to_owned(), "file x".to_owned())]);

    let (mut sink, _) = output(&manifest, OutputForm::Tar);
    sink.start_file(0, 0).unwrap();
    let e = sink.fail_file(0, FileFailure::Changed).unwrap_err();
    assert!(e.kind() == Kind::Transfer && e.message().contains("“a” changed"), "{e}");
}

/// Returns the paths of a tar stream, and what is there.
fn unpack(stream: &[u8]) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(stream);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned();
        let what = match entry.header().entry_type() {
            tar::EntryType::Directory => "folder".to_owned(),
            tar::EntryType::Symlink => format!("link {}", entry.link_name().unwrap().unwrap().display()),
            tar::EntryType::Regular => {
                let mut content = String::new();
                entry.read_to_string(&mut content).unwrap();
                format!("file {content}")
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(entry.header().mode().unwrap(), 0o755);
        (path, what)
    });
    entries.collect()
}

/// Names of a tree of any depth, with the lengths of files.
fn trees() -> impl Strategy<Value = BTreeMap<String, Option<u16>>> {
    let name = prop_oneof!["[a-z]{1,3}", "[a-z]{90,120}", "ü{40,120}"];
    let path = proptest::collection::vec(name, 1..4).prop_map(|names| format!("top/{}", names.join("/")));
    btree_map(path, proptest::option::of(0..2_000_u16), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tar_unpacks_to_what_was_shared(tree in trees(), files_in_reverse in any::<bool>()) {
        // Paths that are needed as folders are folders.
        let mut entries = BTreeMap::new();
        for (path, size) in tree {
            for (end, _) in path.match_indices('/') {
                entries.insert(path[..end].to_owned(), "folder".to_owned());
            }
            entries.entry(path).or_insert_with(|| match size {
                Some(size) => format!("file {}", "x".repeat(size.into())),
                None => format!("link ./{}t", "t//".repeat(30)),
            });
        }
        let specs: Vec<(String, u64)> = entries.iter().map(|(path, what)| match what.split_at(5) {
            ("folde", _) => (format!("{path}/"), 0),
            ("link ", target) => (format!("{path}->{target}"), 0),
            (_, content) => (path.clone(), content.len() as u64),
        }).collect();
        let specs: Vec<(&str, u64)> = specs.iter().map(|(text, size)| (text.as_str(), *size)).collect();
        let manifest = manifest(&specs);
        let (mut sink, out) = output(&manifest, OutputForm::Tar);
        let mut files: Vec<_> = manifest.rows().filter(|row| row.is_file()).collect();
        if files_in_reverse {
            files.reverse();
        }
        for row in files {
            let content = vec![b'x'; row.size().unwrap() as usize];
            sink.start_file(row.index(), 0).unwrap();
            content.chunks(300).for_each(|part| sink.write(part).unwrap());
            sink.finish_file(&hash(&content)).unwrap();
        }
        sink.publish().unwrap();
        let written = out.0.lock();
        prop_assert_eq!(written.len() % 512, 0);
        let unpacked = unpack(&written);
        let mut seen = std::collections::BTreeSet::new();
        for (path, what) in &unpacked {
            let folder = path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
            prop_assert!(folder.is_none_or(|folder| seen.contains(&folder)), "a folder precedes what is in it");
            if what == "folder" {
                seen.insert(path.clone());
            }
        }
        prop_assert_eq!(unpacked.into_iter().collect::<BTreeMap<_, _>>(), entries);
    }
}
