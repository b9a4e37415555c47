//! Finds out what a disk cannot hold of a share, by trying it with empty files before the first byte.
//!
//! No property of the file system is assumed: a name counts as allowed because the disk has stored it, and two names
//! count as different because the disk has stored both. Only names that some file system refuses, changes or confuses
//! are tried. Characters are tried together, so that the number of trials hardly depends on the number of entries.
//! Publishing never relies on the result alone: files are created exclusively in the staging folder.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsStr,
    io,
};

use unicode_normalization::UnicodeNormalization as _;

use super::{
    disk_limit::{DiskLimit, UnsupportedEntries},
    similar_names::similar_names,
    trial_disk::TrialDisk,
};
use crate::manifest::{EntryRow, Manifest, is_device_name};

/// The most files that a rehearsal creates for names. A sender can choose any number of names that deserve a trial;
/// the rest of them is tried when it is written.
const MAX_TRIALS: usize = 4_096;

/// The most characters that are tried.
const MAX_CHARACTERS: usize = 4_096;

/// The number of characters that are tried together: 30 of at most 4 bytes are shorter than any limit but unusual ones.
const CHARACTERS_PER_TRIAL: usize = 30;

/// Every file system holds names of this length in bytes.
const SHORT_NAME: usize = 64;

/// A name that every file system holds as it is.
const PLAIN_NAME: &str = "qshare";

/// Returns the entries that `disk` cannot hold, without those below them. Only entries for which `includes` returns
/// `true` are tried.
///
/// # Errors
/// Any I/O error that has nothing to do with a particular entry.
pub(super) fn find_unsupported(
    manifest: &Manifest,
    includes: impl Fn(usize) -> bool,
    disk: &mut dyn TrialDisk,
) -> io::Result<UnsupportedEntries> {
    let mut rehearsal = Rehearsal { manifest, includes, disk, trials: 0, found: UnsupportedEntries::new() };
    let stores_plain_names = rehearsal.try_plain_name()?;
    rehearsal.try_folders();
    rehearsal.try_links()?;
    rehearsal.try_file_sizes();
    rehearsal.try_characters()?;
    rehearsal.try_similar_names()?;
    rehearsal.try_lengths()?;
    rehearsal.try_names(|name| !stores_plain_names || deserves_trial(name))?;
    Ok(rehearsal.found)
}

/// Whether some file system refuses or changes the name, although it allows each character.
fn deserves_trial(name: &str) -> bool {
    name.ends_with(['.', ' ']) || name.starts_with(' ') || is_device_name(name)
}

struct Rehearsal<'a, F> {
    manifest: &'a Manifest,
    includes: F,
    disk: &'a mut dyn TrialDisk,
    /// The number of names that were tried.
    trials: usize,
    found: UnsupportedEntries,
}

impl<'a, F: Fn(usize) -> bool> Rehearsal<'a, F> {
    /// Returns the entries that are included and not found to be unsupported.
    fn rows(&self) -> impl Iterator<Item = EntryRow<'a>> {
        let is_open = |row: &EntryRow<'_>| (self.includes)(row.index()) && !self.found.contains_key(&row.index());
        self.manifest.rows().filter(is_open)
    }

    /// Records the entries for which `limit` returns one.
    fn note(&mut self, limit: impl Fn(EntryRow<'_>) -> Option<DiskLimit>) {
        let found: Vec<_> = self.rows().filter_map(|row| Some((row.index(), limit(row)?))).collect();
        self.found.extend(found);
    }

    /// Tries a plain name. If that fails, no name is the cause. Returns whether the disk has stored it unchanged.
    fn try_plain_name(&mut self) -> io::Result<bool> {
        self.disk.create(PLAIN_NAME)?;
        let stored = self.disk.stored_names()?;
        self.disk.clear()?;
        Ok(stored == [PLAIN_NAME])
    }

    fn try_folders(&mut self) {
        if self.rows().any(EntryRow::is_folder) && !self.disk.keeps_renamed_folders() {
            self.note(|row| row.is_folder().then_some(DiskLimit::Folders));
        }
    }

    fn try_links(&mut self) -> io::Result<()> {
        if !self.rows().any(EntryRow::is_link) {
            return Ok(());
        }
        if self.disk.link(PLAIN_NAME).is_err() {
            self.note(|row| row.is_link().then_some(DiskLimit::Links));
        }
        self.disk.clear()
    }

    fn try_file_sizes(&mut self) {
        let largest = self.rows().filter_map(EntryRow::size).max().unwrap_or(0);
        if largest <= i32::MAX as u64 || self.disk.allows_length(largest) {
            return;
        }
        // FAT holds files of less than 4 GiB; some systems stop at 2 GiB.
        let limits = [u64::from(u32::MAX), i32::MAX as u64];
        let limit = limits.into_iter().find(|length| self.disk.allows_length(*length)).unwrap_or(0);
        self.note(|row| row.size().is_some_and(|size| size > limit).then_some(DiskLimit::FileSize));
    }

    fn try_characters(&mut self) -> io::Result<()> {
        let mut characters = BTreeSet::new();
        for row in self.rows().filter(|row| !row.name().bytes().all(is_plain)) {
            characters.extend(row.name().chars().filter(|c| !u8::try_from(*c).is_ok_and(is_plain)));
            if characters.len() >= MAX_CHARACTERS {
                break;
            }
        }
        let characters: Vec<char> = characters.into_iter().take(MAX_CHARACTERS).collect();
        let mut limits = HashMap::new();
        for together in characters.chunks(CHARACTERS_PER_TRIAL) {
            self.try_characters_together(together, &mut limits)?;
        }
        if !limits.is_empty() {
            self.note(|row| row.name().chars().find_map(|c| limits.get(&c).copied()));
        }
        Ok(())
    }

    /// Tries characters in one name. If the disk does not store it, tries each half of them.
    fn try_characters_together(&mut self, chars: &[char], limits: &mut HashMap<char, DiskLimit>) -> io::Result<()> {
        let name: String = ["x", &chars.iter().collect::<String>(), "x"].concat();
        match (self.try_alone(&name)?, chars) {
            (None, _) | (Some(_), []) => Ok(()),
            (Some(limit), [c]) => {
                limits.insert(*c, limit);
                Ok(())
            }
            (Some(_), chars) => {
                let (one, other) = chars.split_at(chars.len() / 2);
                self.try_characters_together(one, limits)?;
                self.try_characters_together(other, limits)
            }
        }
    }

    /// Creates the names of each group beside each other. Of two names that the disk treats as one, the first stays.
    fn try_similar_names(&mut self) -> io::Result<()> {
        for group in similar_names(self.manifest, &self.includes) {
            let mut stored: Vec<&str> = Vec::new();
            for row in group.iter().filter_map(|index| self.manifest.row(*index)) {
                if self.found.contains_key(&row.index()) || self.trials >= MAX_TRIALS {
                    continue;
                }
                match self.try_name(row.name())? {
                    None => stored.push(row.name()),
                    Some(limit) => {
                        self.found.insert(row.index(), limit);
                        // What the disk has stored under another name may block the next one.
                        self.disk.clear()?;
                        stored.iter().try_for_each(|name| self.disk.create(name))?;
                    }
                }
            }
            self.disk.clear()?;
        }
        Ok(())
    }

    /// Tries the longest name in bytes and in UTF-16 units. If the disk refuses one of them, tries all long names.
    fn try_lengths(&mut self) -> io::Result<()> {
        let long = || self.rows().map(EntryRow::name).filter(|name| name.len() > SHORT_NAME);
        let longest = [long().max_by_key(|name| name.len()), long().max_by_key(|name| name.encode_utf16().count())];
        for name in longest.into_iter().flatten() {
            if self.try_alone(name)?.is_some() {
                return self.try_names(|name| name.len() > SHORT_NAME);
            }
        }
        Ok(())
    }

    /// Tries each name that is `selected`.
    fn try_names(&mut self, selected: impl Fn(&str) -> bool) -> io::Result<()> {
        let names: BTreeSet<&str> = self.rows().map(EntryRow::name).filter(|name| selected(name)).collect();
        let mut limits = HashMap::new();
        for name in names {
            if let Some(limit) = self.try_alone(name)? {
                limits.insert(name, limit);
            }
        }
        if !limits.is_empty() {
            self.note(|row| limits.get(row.name()).copied());
        }
        Ok(())
    }

    /// Tries a name in the empty folder.
    fn try_alone(&mut self, name: &str) -> io::Result<Option<DiskLimit>> {
        if self.trials >= MAX_TRIALS + MAX_CHARACTERS {
            return Ok(None);
        }
        let limit = self.try_name(name)?;
        self.disk.clear()?;
        Ok(limit)
    }

    /// Creates a file with this name. Returns why the disk does not store it, if it does not.
    fn try_name(&mut self, name: &str) -> io::Result<Option<DiskLimit>> {
        use io::ErrorKind::{AlreadyExists, InvalidFilename, QuotaExceeded, StorageFull};
        self.trials += 1;
        match self.disk.create(name).map_err(|e| e.kind()) {
            Ok(()) => {
                let is_stored = self.disk.stored_names()?.iter().any(|stored| is_same_name(stored, name));
                Ok((!is_stored).then_some(DiskLimit::ChangedName))
            }
            Err(StorageFull | QuotaExceeded) => Ok(None), // the check of the space reports it
            Err(AlreadyExists) => Ok(Some(DiskLimit::SameName)),
            Err(InvalidFilename) => Ok(Some(DiskLimit::NameLength)),
            Err(_) => Ok(Some(DiskLimit::Name)),
        }
    }
}

/// Whether every file system allows this byte inside a name.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Whether the disk has stored `name` as it is, apart from the composition of its characters.
fn is_same_name(stored: &OsStr, name: &str) -> bool {
    stored.to_str().is_some_and(|stored| stored == name || stored.nfc().eq(name.nfc()))
}
