//! The file of established slots, so that a restarted relay does not give the slot of one sender to another.
//!
//! ```text
//! header, 16 bytes | record | record | …        record: | slot, 4 | Unix time, 8 | BLAKE3 of both, 4 |
//! ```
//!
//! Records are appended; the last one of a slot counts. The time is the Unix time at which the slot stops resting, or
//! [`HELD`]. When most records are outdated, a new file without them is synced and then replaces the old one.
//!
//! A batch that cannot be written is cut off before the next one is appended. A file that was deleted is written again
//! from the open one.
//!
//! Appended records are synced in batches. A power failure loses the last batch at most, and a torn record is skipped.
//! The loss matters only if the relay assigns one of the lost slots again, out of 923,521.

use std::{
    fs::File,
    io::{
        self, BufReader,
        ErrorKind::{NotADirectory, NotFound},
        Read, Seek, Write,
    },
    time::Duration,
};

use tracing::warn;

use super::tickets::TICKET_LIFETIME;
use crate::{
    code::Slot,
    error::{Error, Kind, Result},
    state::{StateDir, unix_time},
};

const FILE: &str = "slots";

const HEADER: &[u8; 16] = b"qshare slots v1\n";

// The lengths of a record and of its fields, in bytes.
const RECORD: usize = SLOT + TIME + CHECK;
const SLOT: usize = 4;
const TIME: usize = 8;
const CHECK: usize = 4;

/// The time in the record of a slot that a sender holds.
const HELD: u64 = u64::MAX;

/// A file with fewer records is never replaced: 64 KiB.
const MIN_RECORDS: u64 = 4_096;

/// The file of established slots in the relay's state folder.
#[derive(Debug, Clone)]
pub struct SlotJournal(StateDir);

impl SlotJournal {
    /// Uses the file in `dir`, which need not exist yet.
    pub fn new(dir: StateDir) -> Self {
        Self(dir)
    }

    /// Opens the file, and returns the slots that are still reserved, each with its remaining time. Slots that were
    /// held when the earlier process ended start to rest now.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be read or written, or is not a journal.
    pub(super) fn open(&self) -> Result<(JournalFile, Vec<(Slot, Duration)>)> {
        let now = unix_time();
        let mut issued = self.read_latest()?;
        issued.iter_mut().filter(|(_, until)| *until == HELD).for_each(|(_, until)| {
            *until = now + TICKET_LIFETIME.as_secs();
        });
        issued.retain(|(_, until)| *until > now);
        let file = self.replace(&issued)?;
        // The clock may have been wrong when the record was written.
        let remaining = |(slot, until)| (slot, Duration::from_secs(until - now).min(TICKET_LIFETIME));
        Ok((file, issued.into_iter().map(remaining).collect()))
    }

    /// Replaces the file by one with these records only.
    fn replace(&self, records: &[(Slot, u64)]) -> Result<JournalFile> {
        let mut bytes = HEADER.to_vec();
        bytes.reserve_exact(records.len() * RECORD);
        records.iter().for_each(|(slot, until)| bytes.extend_from_slice(&encode(*slot, *until)));
        self.0.recreate()?;
        self.0.write(FILE, &bytes)?;
        let file = self.0.open_to_append(FILE)?;
        let records = records.len() as u64;
        Ok(JournalFile { journal: self.clone(), file, records, replace_at: 2 * records + MIN_RECORDS })
    }

    /// Reads the last time of each slot.
    fn read_latest(&self) -> Result<Vec<(Slot, u64)>> {
        self.0.open_to_read(FILE)?.map_or_else(|| Ok(Vec::new()), |file| self.read_latest_from(&file))
    }

    fn read_latest_from(&self, file: &File) -> Result<Vec<(Slot, u64)>> {
        let mut reader = BufReader::with_capacity(64 * 1024, file);
        match read_array(&mut reader).map_err(|e| self.unreadable(&e))? {
            Ok(header) if header == *HEADER => {}
            Ok(_) => return Err(self.damaged()),
            Err(torn) if HEADER.starts_with(&torn) => return Ok(Vec::new()),
            Err(_) => return Err(self.damaged()),
        }
        // Indexed by slot number: 7 MB for all slots, regardless of the length of the file.
        let mut times = vec![0; Slot::COUNT as usize];
        let mut damaged = 0u64;
        loop {
            match read_array(&mut reader).map_err(|e| self.unreadable(&e))?.map(|record| decode(&record)) {
                Ok(Some((slot, until))) => times[slot.number() as usize] = until,
                Ok(None) => damaged += 1,
                Err(torn) => {
                    damaged += u64::from(!torn.is_empty());
                    break;
                }
            }
        }
        if damaged > 0 {
            warn!("{damaged} damaged records of slots are skipped");
        }
        let slots = (0..Slot::COUNT).map(Slot::from_number).zip(times);
        Ok(slots.filter(|(_, until)| *until > 0).collect())
    }

    fn damaged(&self) -> Error {
        Error::new(Kind::Disk, format!("{} is damaged", self.0.path(FILE).display()))
            .hint("remove the file; the relay may then give codes that are still in use to other senders")
    }

    fn unreadable(&self, e: &io::Error) -> Error {
        Error::new(Kind::Disk, format!("cannot read {}: {e}", self.0.path(FILE).display()))
            .hint("check the permissions of the file")
    }
}

/// A record about a slot in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotRecord {
    pub(super) slot: Slot,
    until: u64,
}

impl SlotRecord {
    /// Creates the record of a slot that a sender holds.
    pub(super) fn held(slot: Slot) -> Self {
        Self { slot, until: HELD }
    }

    /// Creates the record of a slot that rests until this Unix time.
    pub(super) fn resting(slot: Slot, until: u64) -> Self {
        Self { slot, until }
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct JournalFile {
    journal: SlotJournal,
    file: File,
    /// The number of records in the file.
    records: u64,
    /// The number of records at which the file is replaced.
    replace_at: u64,
}

impl JournalFile {
    /// Appends records and syncs them.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be written. A later call removes what this one has written.
    pub(super) fn append(&mut self, records: &[SlotRecord]) -> Result<()> {
        if self.is_deleted() {
            self.replace()?;
        }
        let bytes: Vec<u8> = records.iter().flat_map(|record| encode(record.slot, record.until)).collect();
        self.cut_off_failed_write()
            .and_then(|()| self.file.write_all(&bytes))
            .and_then(|()| self.file.sync_data())
            .map_err(|e| self.unwritable(&e))?;
        self.records += records.len() as u64;
        Ok(())
    }

    /// Replaces the file if most of its records are outdated.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it cannot be replaced. The file is still complete.
    pub(super) fn replace_if_outdated(&mut self) -> Result<()> {
        if self.records >= self.replace_at { self.replace() } else { Ok(()) }
    }

    /// Replaces the file by one with the same content, without outdated records.
    fn replace(&mut self) -> Result<()> {
        self.file.rewind().map_err(|e| self.journal.unreadable(&e))?;
        let (now, mut latest) = (unix_time(), self.journal.read_latest_from(&self.file)?);
        latest.retain(|(_, until)| *until > now);
        *self = self.journal.replace(&latest)?;
        Ok(())
    }

    /// Whether the file no longer exists under its name. The open file still has its content.
    fn is_deleted(&self) -> bool {
        let path = self.journal.0.path(FILE);
        std::fs::symlink_metadata(path).is_err_and(|e| matches!(e.kind(), NotFound | NotADirectory))
    }

    /// Cuts off what a failed write has left: a partial record would misalign the records after it.
    fn cut_off_failed_write(&self) -> io::Result<()> {
        let length = HEADER.len() as u64 + self.records * RECORD as u64;
        if self.file.metadata()?.len() == length { Ok(()) } else { self.file.set_len(length) }
    }

    fn unwritable(&self, e: &io::Error) -> Error {
        Error::new(Kind::Disk, format!("cannot write {}: {e}", self.journal.0.path(FILE).display()))
            .hint("check the permissions and the free space of the folder")
    }
}

fn encode(slot: Slot, until: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..SLOT].copy_from_slice(slot.as_str().as_bytes());
    record[SLOT..SLOT + TIME].copy_from_slice(&until.to_be_bytes());
    let check = checksum(&record);
    record[SLOT + TIME..].copy_from_slice(&check);
    record
}

/// Returns the slot and the time of a record; `None` if it is damaged.
fn decode(record: &[u8; RECORD]) -> Option<(Slot, u64)> {
    let (slot, rest) = record.split_first_chunk::<SLOT>()?;
    let (until, check) = rest.split_first_chunk::<TIME>()?;
    let is_intact = *check == checksum(record);
    is_intact.then(|| Slot::try_from(*slot).ok()).flatten().map(|slot| (slot, u64::from_be_bytes(*until)))
}

fn checksum(record: &[u8; RECORD]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    blake3::Hasher::new().update(&record[..SLOT + TIME]).finalize_xof().fill(&mut check);
    check
}

/// Reads the next 16 bytes, which are a header or a record. At the end of the file, returns the remaining bytes.
fn read_array(reader: &mut impl Read) -> io::Result<std::result::Result<[u8; RECORD], Vec<u8>>> {
    let mut bytes = Vec::with_capacity(RECORD);
    reader.take(RECORD as u64).read_to_end(&mut bytes)?;
    Ok(bytes.try_into())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use tempfile::TempDir;

    use super::*;

    const WEEK: u64 = TICKET_LIFETIME.as_secs();

    struct TestJournal {
        journal: SlotJournal,
        home: TempDir,
    }

    impl TestJournal {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            Self { journal: SlotJournal::new(StateDir::open(home.path()).unwrap()), home }
        }

        fn path(&self) -> PathBuf {
            self.home.path().join(FILE)
        }

        fn open(&self) -> (JournalFile, Vec<(Slot, Duration)>) {
            self.journal.open().unwrap()
        }

        fn read(&self) -> Vec<Slot> {
            self.open().1.into_iter().map(|(slot, _)| slot).collect()
        }
    }

    fn slots<const N: usize>() -> [Slot; N] {
        std::array::from_fn(|n| Slot::from_number(n as u32))
    }

    #[test]
    fn the_next_process_reads_what_is_held_or_rests() {
        let journal = TestJournal::new();
        let (mut file, issued) = journal.open();
        assert_eq!(issued, []);
        let [held, resting, expired, freed, claimed] = slots();
        let now = unix_time();
        file.append(&[SlotRecord::held(held), SlotRecord::held(freed), SlotRecord::resting(claimed, now)]).unwrap();
        file.append(&[SlotRecord::resting(resting, now + 1_000), SlotRecord::resting(expired, now)]).unwrap();
        file.append(&[SlotRecord::resting(freed, now + 5), SlotRecord::held(claimed)]).unwrap();
        for _ in 0..2 {
            let remaining: Vec<_> = journal.open().1.into_iter().map(|(slot, time)| (slot, time.as_secs())).collect();
            let expected = [(held, WEEK), (resting, 1_000), (freed, 5), (claimed, WEEK)];
            assert_eq!(remaining.len(), expected.len(), "{remaining:?}");
            for ((slot, time), (expected_slot, expected_time)) in remaining.into_iter().zip(expected) {
                assert!(slot == expected_slot && time <= expected_time && time + 3 >= expected_time, "{slot} {time}");
            }
        }
    }

    #[test]
    fn torn_and_damaged_records_are_skipped() {
        let [one, two, three] = slots();
        for cut in 1..RECORD {
            let journal = TestJournal::new();
            journal.open().0.append(&[SlotRecord::held(one), SlotRecord::held(two)]).unwrap();
            let bytes = fs::read(journal.path()).unwrap();
            fs::write(journal.path(), &bytes[..bytes.len() - cut]).unwrap();
            let (mut file, _) = journal.open();
            file.append(&[SlotRecord::held(three)]).unwrap();
            assert_eq!(journal.read(), [one, three], "{cut} bytes are missing");
        }
        let journal = TestJournal::new();
        for length in 0..HEADER.len() {
            fs::write(journal.path(), &HEADER[..length]).unwrap();
            assert_eq!(journal.read(), []);
        }
        journal.open().0.append(&[SlotRecord::held(one), SlotRecord::held(two), SlotRecord::held(three)]).unwrap();
        let mut bytes = fs::read(journal.path()).unwrap();
        bytes[HEADER.len() + RECORD + 7] ^= 1;
        bytes.extend([0; 3 * RECORD]); // a power failure may leave zeros after the last record
        fs::write(journal.path(), bytes).unwrap();
        assert_eq!(journal.read(), [one, three]);
    }

    #[test]
    fn a_file_that_is_no_journal_is_left_alone() {
        let journal = TestJournal::new();
        for content in ["nonsense", "sixteen bytes of nonsense"] {
            fs::write(journal.path(), content).unwrap();
            let e = journal.journal.open().unwrap_err();
            assert!(e.kind() == Kind::Disk && e.message().contains("slots is damaged"), "{e}");
            assert_eq!(fs::read_to_string(journal.path()).unwrap(), content);
        }
    }

    /// Replaces the open file by a handle that cannot write. Returns the other one.
    fn break_file(file: &mut JournalFile, journal: &TestJournal) -> File {
        std::mem::replace(&mut file.file, File::open(journal.path()).unwrap())
    }

    #[test]
    fn a_failed_write_does_not_misalign_later_records() {
        let [before, failed, after] = slots();
        for torn in 0..2 * RECORD {
            let journal = TestJournal::new();
            let (mut file, _) = journal.open();
            file.append(&[SlotRecord::held(before)]).unwrap();
            let working = break_file(&mut file, &journal);
            (&working).write_all(&vec![b'X'; torn]).unwrap(); // a part of the batch
            for _ in 0..2 {
                let e = file.append(&[SlotRecord::held(failed)]).unwrap_err();
                assert!(e.kind() == Kind::Disk && e.message().contains("cannot write"), "{e}");
            }
            file.file = working;
            file.append(&[SlotRecord::held(failed), SlotRecord::held(after)]).unwrap();
            let length = HEADER.len() + 3 * RECORD;
            assert_eq!(fs::metadata(journal.path()).unwrap().len(), length as u64, "{torn} bytes were written");
            assert_eq!(journal.read(), [before, failed, after], "{torn} bytes were written");
        }
    }

    #[test]
    fn a_deleted_file_is_written_again() {
        let [one, two, three] = slots();
        let journal = TestJournal::new();
        let (mut file, _) = journal.open();
        file.append(&[SlotRecord::held(one)]).unwrap();
        fs::remove_file(journal.path()).unwrap();
        file.append(&[SlotRecord::held(two)]).unwrap();
        fs::remove_dir_all(journal.home.path()).unwrap();
        fs::write(journal.home.path(), "a file in place of the folder").unwrap();
        assert!(file.append(&[SlotRecord::held(three)]).is_err());
        fs::remove_file(journal.home.path()).unwrap();
        file.append(&[SlotRecord::held(three)]).unwrap();
        assert_eq!(journal.read(), [one, two, three]);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_still_appended_to() {
        let journal = TestJournal::new();
        let (mut file, _) = journal.open();
        let [kept, changing] = slots();
        file.append(&[SlotRecord::held(kept)]).unwrap();
        let away = journal.path().with_extension("away");
        fs::rename(journal.path(), &away).unwrap();
        fs::create_dir(journal.path()).unwrap(); // no file can get this name
        let changes = [SlotRecord::held(changing), SlotRecord::resting(changing, 1)].repeat(3_000);
        for _ in 0..2 {
            file.append(&changes).unwrap();
            assert!(file.replace_if_outdated().is_err());
        }
        let grown = fs::metadata(&away).unwrap().len();
        fs::remove_dir(journal.path()).unwrap();
        fs::rename(&away, journal.path()).unwrap();
        file.append(&[]).unwrap();
        file.replace_if_outdated().unwrap();
        assert!(fs::metadata(journal.path()).unwrap().len() < grown / 100);
        assert_eq!(journal.read(), [kept]);
    }

    #[test]
    fn the_file_stays_short_however_often_a_slot_changes() {
        let journal = TestJournal::new();
        let (mut file, _) = journal.open();
        let [kept, changing] = slots();
        file.append(&[SlotRecord::held(kept)]).unwrap();
        for _ in 0..30 {
            file.append(&[SlotRecord::held(changing), SlotRecord::resting(changing, 1)].repeat(1_000)).unwrap();
            file.replace_if_outdated().unwrap();
            let length = fs::metadata(journal.path()).unwrap().len();
            assert!(length <= (MIN_RECORDS + 2_000) * RECORD as u64 + 100, "{length} bytes");
        }
        assert_eq!(journal.read(), [kept]);
    }

    #[test]
    fn all_slots_fit() {
        let journal = TestJournal::new();
        let (mut file, _) = journal.open();
        let all: Vec<_> = (0..Slot::COUNT).map(|n| SlotRecord::held(Slot::from_number(n))).collect();
        for _ in 0..3 {
            file.append(&all).unwrap();
            file.replace_if_outdated().unwrap();
            assert!(fs::metadata(journal.path()).unwrap().len() < 3 * all.len() as u64 * RECORD as u64);
        }
        assert_eq!(journal.read().len(), Slot::COUNT as usize);
    }
}
