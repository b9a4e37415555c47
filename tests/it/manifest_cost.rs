//! The memory that a manifest takes at both ends before anything is downloaded.

use std::fs::{self, File};

use crate::support::{TestEnv, peak_memory};

const MIB: u64 = 1024 * 1024;

/// The memory of both ends in bytes, when the receiver asks whether to download.
struct Peaks {
    sender: u64,
    receiver: u64,
}

/// Shares `count` empty files in folders of 1,000 and in one folder, and waits for the receiver's question. `None` on
/// systems that do not report the memory of a process.
fn share(count: u64) -> Option<Peaks> {
    let env = TestEnv::new();
    let tree = env.folder("tree");
    for n in 0..count {
        let folder = if n % 2 == 0 { tree.join("flat") } else { tree.join(format!("folder-{}", n / 2_000)) };
        if n < 2 || n % 2_000 == 1 {
            fs::create_dir_all(&folder).unwrap();
        }
        File::create(folder.join(format!("a file with number {n:07}"))).unwrap();
    }
    let relay = env.relay();
    let sender = env.send(&[&tree]).via(&relay).share();
    let (receiver, mut keyboard) = env.recv_until_prompt(sender.code(), &relay, &env.path("in"));
    let peaks = peak_memory(sender.process.id()).zip(peak_memory(receiver.id()));
    for (name, id) in [("send", sender.process.id()), ("recv", receiver.id())] {
        println!("{name}: {count} entries, {:?} bytes, {:?} s", peak_memory(id), processor_seconds(id));
    }
    keyboard.line("n");
    receiver.end().expect(7);
    sender.stop();
    peaks.map(|(sender, receiver)| Peaks { sender, receiver })
}

/// Returns the processor time of a process, from the system's ticks of 10 ms.
fn processor_seconds(id: i32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<u64>);
    Some((fields.next()?.ok()? + fields.next()?.ok()?) as f64 / 100.0)
}

/// An entry takes 32 bytes, its name, 8 to 16 bytes for an index while the manifest is built, 8 for its fingerprint at
/// the sender, and 16 for the search for case collisions at the receiver.
#[test]
fn a_million_entries_take_less_than_200_mb() {
    let count = std::env::var("MANIFEST_ENTRIES").map_or(100_000, |entries| entries.parse().unwrap());
    let Some((one, many)) = share(1).zip(share(count)) else { return };
    for (small, large) in [(one.sender, many.sender), (one.receiver, many.receiver)] {
        let limit = small + count * 150 + 6 * MIB;
        assert!(large < limit, "{small} bytes for one entry, {large} for {count}");
    }
}
