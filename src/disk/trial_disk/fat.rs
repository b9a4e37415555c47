//! A disk that behaves like FAT on Linux, so that tests need none.

use std::{collections::BTreeMap, ffi::OsString, io};

use super::TrialDisk;

/// An empty FAT file system in memory: it ignores case, drops dots and spaces at the end of a name, and refuses
/// reserved characters, symbolic links and files of 4 GiB.
#[derive(Debug, Default)]
pub(in crate::disk) struct FatDisk {
    /// The stored names by their upper-case form.
    names: BTreeMap<String, String>,
}

impl TrialDisk for FatDisk {
    fn create(&mut self, name: &str) -> io::Result<()> {
        let stored = name.trim_end_matches(['.', ' ']);
        if stored.is_empty() || name.contains([':', '*', '?', '"', '<', '>', '|', '\\']) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if stored.encode_utf16().count() > 255 {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let key = stored.to_uppercase();
        if self.names.contains_key(&key) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.names.insert(key, stored.to_owned());
        Ok(())
    }

    fn link(&mut self, _name: &str) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn keeps_renamed_folders(&mut self) -> bool {
        true
    }

    fn stored_names(&self) -> io::Result<Vec<OsString>> {
        Ok(self.names.values().map(OsString::from).collect())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.names.clear();
        Ok(())
    }

    fn allows_length(&mut self, length: u64) -> bool {
        length <= u64::from(u32::MAX)
    }

    fn keeps_holes(&mut self) -> bool {
        false
    }

    fn allocation_unit(&mut self) -> u64 {
        32 * 1024
    }
}
