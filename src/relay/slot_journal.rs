//! The file of issued slots, so that a restarted relay does not give the slot of one sender to another.

use std::time::Duration;

use crate::{
    code::Slot,
    error::{Error, Kind, Result},
    state::{StateDir, unix_time},
};

const FILE: &str = "slots";

/// Bytes of an entry: a slot, and the Unix time in seconds until which it is reserved.
const ENTRY: usize = 4 + 8;

/// The longest file: an entry for every slot.
const MAX_FILE: u64 = Slot::COUNT as u64 * ENTRY as u64;

/// The file of issued slots in the relay's state folder.
#[derive(Debug, Clone)]
pub struct SlotJournal(StateDir);

impl SlotJournal {
    /// Uses the file in `dir`, which need not exist yet.
    pub fn new(dir: StateDir) -> Self {
        Self(dir)
    }

    /// Reads the slots that are still reserved, each with its remaining time.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be read or is damaged.
    pub(super) fn read(&self) -> Result<Vec<(Slot, Duration)>> {
        let bytes = self.0.read(FILE, MAX_FILE)?.unwrap_or_default();
        let now = unix_time();
        let mut issued = Vec::new();
        let (entries, rest) = bytes.as_chunks::<ENTRY>();
        for entry in entries {
            let (slot, until) = entry.split_first_chunk::<4>().ok_or_else(|| self.damaged())?;
            let slot = Slot::try_from(*slot).map_err(|_| self.damaged())?;
            let until = u64::from_be_bytes(until.try_into().map_err(|_| self.damaged())?);
            if until > now {
                issued.push((slot, Duration::from_secs(until - now)));
            }
        }
        if rest.is_empty() { Ok(issued) } else { Err(self.damaged()) }
    }

    /// Replaces the file by the slots `issued`, each with the time for which it is reserved from now on.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be written.
    pub(super) fn write(&self, issued: &[(Slot, Duration)]) -> Result<()> {
        let now = unix_time();
        let mut bytes = Vec::with_capacity(issued.len() * ENTRY);
        for (slot, reserved) in issued {
            bytes.extend_from_slice(slot.as_str().as_bytes());
            bytes.extend_from_slice(&(now + reserved.as_secs()).to_be_bytes());
        }
        self.0.write(FILE, &bytes)
    }

    fn damaged(&self) -> Error {
        Error::new(Kind::Disk, format!("{} is damaged", self.0.path(FILE).display()))
            .hint("remove the file; the relay may then give codes that are still in use to other senders")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_reads_the_issued_slots() {
        let home = tempfile::tempdir().unwrap();
        let journal = SlotJournal::new(StateDir::open(home.path()).unwrap());
        assert_eq!(journal.read().unwrap(), []);
        let [one, two] = [1, 2].map(Slot::from_number);
        journal.write(&[(one, Duration::from_secs(1_000)), (two, Duration::ZERO)]).unwrap();
        let read = journal.read().unwrap();
        assert!(matches!(&read[..], [(slot, rest)] if *slot == one && rest.as_secs() >= 990), "{read:?}");
        std::fs::write(home.path().join(FILE), "nonsense").unwrap();
        assert_eq!(journal.read().unwrap_err().kind(), Kind::Disk);
        std::fs::write(home.path().join(FILE), "0OIL12345678").unwrap();
        assert!(journal.read().unwrap_err().message().contains("slots is damaged"));
    }
}
