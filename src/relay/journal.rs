//! The slots that were issued, kept for the next process: it must not give one of them to somebody else.

use std::time::Duration;

use crate::{
    code::Slot,
    error::{Error, Kind, Result},
    state::{StateDir, unix_time},
};

const FILE: &str = "slots";

/// A slot and the second from which on it is free.
const ENTRY: usize = 4 + 8;

/// All slots that there are.
const LONGEST: u64 = Slot::COUNT as u64 * ENTRY as u64;

/// A file in the relay's state folder.
#[derive(Debug, Clone)]
pub struct SlotJournal(StateDir);

impl SlotJournal {
    /// In this folder.
    pub fn new(dir: StateDir) -> Self {
        Self(dir)
    }

    /// The slots that are not free yet, each with how long it is to rest.
    ///
    /// # Errors
    /// [`Kind::Disk`] where the file cannot be read or is damaged.
    pub(super) fn read(&self) -> Result<Vec<(Slot, Duration)>> {
        let bytes = self.0.read(FILE, LONGEST)?.unwrap_or_default();
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

    /// Replaces what the file says.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub(super) fn write(&self, issued: &[(Slot, Duration)]) -> Result<()> {
        let now = unix_time();
        let mut bytes = Vec::with_capacity(issued.len() * ENTRY);
        for (slot, rest) in issued {
            bytes.extend_from_slice(slot.as_str().as_bytes());
            bytes.extend_from_slice(&(now + rest.as_secs()).to_be_bytes());
        }
        self.0.write(FILE, &bytes)
    }

    fn damaged(&self) -> Error {
        Error::new(Kind::Disk, format!("{} is damaged", self.0.path(FILE).display()))
            .hint("remove it; codes that are still in use may then be given to others")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_issued_is_known_to_the_next_process() {
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
